-- Drop all tokens of one user in one room.
-- KEYS: devices    ARGV: base of the room's keys
if redis.call('TYPE', KEYS[1])['ok'] == 'zset' then
  for _, entry in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    redis.call('DEL', ARGV[1] .. 'token:' .. entry, ARGV[1] .. 'refresh:' .. entry)
  end
end
return redis.call('DEL', KEYS[1])
