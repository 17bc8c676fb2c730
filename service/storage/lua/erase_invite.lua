-- Take back an invite, and with it the bans of the guests who came with it.
-- KEYS: invites, uses, bans    ARGV: invite
local bans = redis.call('HGETALL', KEYS[3])
for i = 1, #bans, 2 do
  if bans[i + 1]:find('"invite":"' .. ARGV[1] .. '"', 1, true) then redis.call('HDEL', KEYS[3], bans[i]) end
end
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('HDEL', KEYS[1], ARGV[1])
