-- Void bearers up to a moment that never moves back, and drop moments that no bearer is left for.
-- New bearers that were seen before are void too, whatever they say of when they were issued.
-- KEYS: revocations of a user or a session, new bearers of the same
-- ARGV: the moment up to which none matters, the new one, its fields
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local moment = tonumber(held[i + 1])
  if moment and moment <= tonumber(ARGV[1]) then redis.call('HDEL', KEYS[1], held[i]) end
end
for i = 3, #ARGV do
  local known = tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '')
  if not known or known < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[i], ARGV[2]) end
end
for _, mark in ipairs(KEYS[2] and redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf') or {}) do
  for i = 3, #ARGV do
    if ARGV[i] == '*' or mark:find(ARGV[i] .. '@', 1, true) == 1 then redis.call('HSET', KEYS[1], mark, ARGV[2]) end
  end
end
return redis.call('HLEN', KEYS[1])
