-- Drop a field that still is as it was read.
-- KEYS: hash    ARGV: field, its value
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])
