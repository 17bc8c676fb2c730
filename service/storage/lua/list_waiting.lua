-- What is known of those who wait.
-- KEYS: waiting, waiters    ARGV: ms for which they are listed after each call
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for _, user in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now - ARGV[1], '+inf')) do
  found[#found + 1] = redis.call('HGET', KEYS[2], user) or nil
end
return found
