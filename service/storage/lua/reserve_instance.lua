-- Take a place for a room made from a template.
-- KEYS: instances of the template    ARGV: alias, now, most rooms
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 'taken' end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 'none' end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
return 'new'
