-- Count one more within a window; answers the count and the ms that the window has left.
-- KEYS: counter    ARGV: window in ms
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
