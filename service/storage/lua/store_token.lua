-- Store a new token, unless what permission was decided on has changed, or a longer-lived token is there already.
-- KEYS: record, members, bans, token, refresh, lease, devices, used, invites, life, meeting, hosts, waiting, waiters
-- ARGV: user field, fingerprint of (record, member, ban, invite), token, its ms, refresh token or '', its ms (without
--       one: for how long the one that is there can be used), SHA-1 of an unreadable token seen or '-', lease owner,
--       now, entry, most devices, base of the room's keys, a guest's invite or '', this server's time when the command
--       was made, ms, or '', the ms that its caller waits, the meeting that permission was decided in or '', ms
--       that a meeting outlasts this token, 1 for a moderator's
local function seen(value) return value and redis.sha1hex(value) or '-' end
if redis.pcall('GET', KEYS[6]) == ARGV[8] then redis.call('DEL', KEYS[6]) end
local now_seen = seen(redis.call('GET', KEYS[1])) .. seen(redis.call('HGET', KEYS[2], ARGV[1]))
  .. seen(redis.call('HGET', KEYS[3], ARGV[1]))
  .. seen(ARGV[13] ~= '' and redis.call('HGET', KEYS[9], ARGV[13]))
if now_seen ~= ARGV[2] then return 'changed' end
local meeting = redis.call('HGET', KEYS[11], 'begun')
if ARGV[16] ~= '' and meeting ~= ARGV[16] then return 'changed' end
-- A server that stood still finds the commands of callers who have given up. All lives are shorter by now.
local late, now = 0, redis.call('TIME')
if ARGV[14] ~= '' then late = math.max(0, math.ceil(now[1] * 1000 + now[2] / 1000 - ARGV[14])) end
local left, refresh_left = ARGV[4] - late, ARGV[6] - late
if late > tonumber(ARGV[15]) or left <= 0 then return 'late' end
local current = redis.pcall('GET', KEYS[4])
local unreadable = type(current) == 'table' or (current and redis.sha1hex(current) == ARGV[7])
if current and not unreadable and redis.call('PTTL', KEYS[4]) >= left then return 'older' end
redis.call('SET', KEYS[4], ARGV[3], 'PX', left)
if ARGV[5] ~= '' and refresh_left > 0 then
  redis.call('SET', KEYS[5], ARGV[5], 'PX', refresh_left)
elseif redis.call('PTTL', KEYS[5]) > refresh_left then
  redis.call('PEXPIRE', KEYS[5], refresh_left)
end
-- For how long after this use some token of the room lives.
local ends = tonumber(redis.call('GET', KEYS[8]) or '0') + tonumber(redis.call('GET', KEYS[10]) or '0') - ARGV[9]
redis.call('SET', KEYS[10], math.ceil(math.max(ends, ARGV[4] / 1000)))
redis.call('SET', KEYS[8], ARGV[9])
-- To the microsecond: what was stored before a meeting's end must not seem to belong to the next one.
local devices, stamp = KEYS[7], string.format('%d.%06d', now[1], now[2])
if redis.call('TYPE', devices)['ok'] ~= 'zset' then redis.call('DEL', devices) end
redis.call('ZADD', devices, stamp, ARGV[10])
local life = math.max(left, redis.call('PTTL', KEYS[5]))
if redis.call('ZCARD', devices) == 1 or redis.call('PTTL', devices) < life then
  redis.call('PEXPIRE', devices, life)
end
if not meeting then redis.call('HSET', KEYS[11], 'begun', stamp) end
-- Who waited for a moderator to come waits no more.
if redis.pcall('ZREM', KEYS[13], ARGV[1]) == 1 then redis.pcall('HDEL', KEYS[14], ARGV[1]) end
if redis.call('PTTL', KEYS[11]) < left + ARGV[17] then redis.call('PEXPIRE', KEYS[11], left + ARGV[17]) end
if ARGV[18] == '1' then
  redis.call('ZADD', KEYS[12], stamp, ARGV[10])
  if redis.call('PTTL', KEYS[12]) < left then redis.call('PEXPIRE', KEYS[12], left) end
  -- One of them is enough.
  local more = redis.call('ZCARD', KEYS[12]) - 8
  if more > 0 then redis.call('ZPOPMIN', KEYS[12], more) end
else
  redis.call('ZREM', KEYS[12], ARGV[10])
end
local surplus = redis.call('ZCARD', devices) - tonumber(ARGV[11])
if surplus > 0 then
  local popped = redis.call('ZPOPMIN', devices, surplus)
  for i = 1, #popped, 2 do
    redis.call('DEL', ARGV[12] .. 'token:' .. popped[i], ARGV[12] .. 'refresh:' .. popped[i])
  end
end
return 'kept'
