-- Keep a webhook's event until it has taken effect, unless it came before. Ids that are old enough are forgotten.
-- KEYS: ids, pending    ARGV: digest of the event's id, now, oldest moment to remember, event
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[4])
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[3], 'LIMIT', 0, 100)
if #old > 0 then redis.call('ZREM', KEYS[1], unpack(old)) end
return 1
