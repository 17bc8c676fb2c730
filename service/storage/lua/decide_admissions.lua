-- Admit or refuse users for the meeting that goes on, or for the one that begins with this.
-- KEYS: meeting, waiting, waiters    ARGV: decision, ms that the meeting lasts without a token, most, user fields ...
local meeting = redis.call('HGET', KEYS[1], 'begun')
if redis.call('HLEN', KEYS[1]) + #ARGV - 3 > tonumber(ARGV[3]) then return 'full' end
if not meeting then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'begun', string.format('%d.%06d', now[1], now[2]))
end
for i = 4, #ARGV do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[i])
  redis.call('HDEL', KEYS[3], ARGV[i])
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 'decided'
