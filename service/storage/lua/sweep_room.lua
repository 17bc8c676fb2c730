-- Take a room out of the directory, if it is as it was read and unused for so long. Its id at Telnyx is kept until it is
-- deleted there too. Its bans stay: they are of the name, and a room of that name may be made again. Those of guests end
-- with its invites.
-- KEYS: record, used, life, swept, bans, what else goes with the room ...
-- ARGV: record, latest use that is long ago, latest end of a token that is long ago, id at Telnyx, longest life
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local used = tonumber(redis.call('GET', KEYS[2]) or '0')
local life = tonumber(redis.call('GET', KEYS[3]) or ARGV[5])
if used > tonumber(ARGV[2]) or used + life > tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[4], ARGV[4])
local bans = redis.call('HGETALL', KEYS[5])
for i = 1, #bans, 2 do
  if bans[i + 1]:find('"invite":"', 1, true) then redis.call('HDEL', KEYS[5], bans[i]) end
end
for i = 1, #KEYS do if i ~= 4 and i ~= 5 then redis.call('DEL', KEYS[i]) end end
return 1
