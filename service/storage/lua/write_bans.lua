-- Ban users, all of them or none. Answers the bans that stand then, in order, nothing if there were too many, or 'gone'.
-- KEYS: bans, invites, waiting, waiters
-- ARGV: 1 to replace whatever is there, 0 to leave a ban that outweighs the new one, now, most bans, a guest's invite
--       or '', field, record ...
-- What ends with the invite must not begin after it.
if ARGV[4] ~= '' and not redis.call('HGET', KEYS[2], ARGV[4]) then return 'gone' end
-- A guest's bans (those with an invite) weigh less than everybody else's, and of two the one that lasts longer more.
local function weight(ban)
  return (ban['invite'] and '0' or '1') .. (ban['until'] or '~')
end
local count = redis.call('HLEN', KEYS[1])
for i = 5, #ARGV, 2 do
  if not redis.call('HGET', KEYS[1], ARGV[i]) then count = count + 1 end
end
if count > math.max(tonumber(ARGV[3]), redis.call('HLEN', KEYS[1])) then return false end
local stand = {}
for i = 5, #ARGV, 2 do
  local field, record = ARGV[i], ARGV[i + 1]
  local held = ARGV[1] == '0' and redis.call('HGET', KEYS[1], field)
  local readable, ban = pcall(cjson.decode, held or '')
  local outweighed = held and readable and (ban['until'] or '~') > ARGV[2] and weight(ban) > weight(cjson.decode(record))
  if not outweighed then redis.call('HSET', KEYS[1], field, record) end
  if redis.pcall('ZREM', KEYS[3], field) == 1 then redis.pcall('HDEL', KEYS[4], field) end
  stand[#stand + 1] = outweighed and held or record
end
return stand
