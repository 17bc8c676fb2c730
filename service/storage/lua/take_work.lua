-- What is to be done, for whoever holds the lease of doing it; it is taken if nobody does. Nothing is removed here.
-- KEYS: lease, pending, due
-- ARGV: random owner, lease in ms, most events, now, moments and rooms that are to be compared then, if not before ...
for i = 5, #ARGV, 2 do redis.call('ZADD', KEYS[3], 'NX', ARGV[i], ARGV[i + 1]) end
local holder = redis.pcall('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local room = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', ARGV[4], 'LIMIT', 0, 1)
return {redis.call('LRANGE', KEYS[2], 0, ARGV[3] - 1), room[1] or false}
