-- All that a token request needs to know of a room, and the count of the caller's requests.
-- KEYS: record, members, bans, adopted, token, rate, invites, live, devices, meeting, hosts, waiting, waiters
-- ARGV: user field, window in ms, a guest's invite or '', base of the room's keys,
--       ms for which somebody who waits is listed after each call, and how many are at most
local record = redis.call('GET', KEYS[1])
local ban = redis.call('HGET', KEYS[3], ARGV[1])
local meeting, admission, hosted = look_at_meeting(record, ARGV[1], KEYS[10], KEYS[9], KEYS[11], ARGV[4])
local listed = 1
if hosted and not admission then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if lenient('ZSCORE', KEYS[12], ARGV[1]) then
    lenient('ZADD', KEYS[12], now, ARGV[1])
    for at = 12, 13 do lenient('PEXPIRE', KEYS[at], ARGV[5]) end
  elseif (lenient('ZCARD', KEYS[12]) or 0) < tonumber(ARGV[6]) then
    listed = 0
  else
    -- A full list is of no use while it holds those who have gone.
    local gone = lenient('ZRANGEBYSCORE', KEYS[12], '-inf', now - ARGV[5], 'LIMIT', 0, 1) or {}
    if gone[1] then listed = 0 end
  end
end
-- A room that a template makes again has the bans that it had, and people wait for one before it is made.
if not record then return {false, false, ban, false, false, meeting or false, admission or false, hosted, listed} end
local member = redis.call('HGET', KEYS[2], ARGV[1])
local invite = ARGV[3] ~= '' and redis.call('HGET', KEYS[7], ARGV[3])
local adopted = lenient('GET', KEYS[4])
local token = lenient('GET', KEYS[5])
local left = token and redis.call('PTTL', KEYS[5]) or 0
local count = lenient('INCR', KEYS[6]) or -1
if count == 1 then lenient('PEXPIRE', KEYS[6], ARGV[2]) end
local window = count > 0 and redis.call('PTTL', KEYS[6]) or 0
-- How many are in matters only to who holds no token, on any device.
local live = not token and lenient('GET', KEYS[8])
local held = 0
for _, entry in ipairs(live and lenient('ZRANGE', KEYS[9], 0, -1) or {}) do
  if redis.call('EXISTS', ARGV[4] .. 'token:' .. entry) == 1 then held = 1 end
end
return {
  record, member, ban, adopted, invite, meeting or false, admission or false, hosted or 0, token, left, count, window,
  live, held, listed,
}
