-- Count so many more within a window; answers the count and the ms that the window has left.
-- KEYS: counter    ARGV: window in ms, how many
local count
for _ = 1, tonumber(ARGV[2]) do count = redis.call('INCR', KEYS[1]) end
if count == tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
