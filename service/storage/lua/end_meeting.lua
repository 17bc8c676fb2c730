-- End a meeting: what was decided in it holds no more. Moderators' tokens go, so that their return begins another one.
-- KEYS: meeting, hosts    ARGV: base of the room's keys
for _, entry in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  redis.call('DEL', ARGV[1] .. 'token:' .. entry, ARGV[1] .. 'refresh:' .. entry)
end
return redis.call('DEL', KEYS[1], KEYS[2])
