-- Look at a token and its refresh token, and take the lease of renewing them if nobody holds it.
-- KEYS: token, refresh, lease    ARGV: random owner, lease in ms
local function lenient(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply['err'] then return false end
  return reply
end
local token = lenient('GET', KEYS[1])
local left = token and redis.call('PTTL', KEYS[1]) or 0
local refresh = lenient('GET', KEYS[2])
local refresh_left = refresh and redis.call('PTTL', KEYS[2]) or 0
local held = lenient('GET', KEYS[3])
local mine = 0
if held == ARGV[1] then
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
  mine = 1
elseif not held then
  redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
  mine = 1
end
local now = redis.call('TIME')
return {token, left, refresh, refresh_left, mine, now[1] * 1000 + math.floor(now[2] / 1000)}
