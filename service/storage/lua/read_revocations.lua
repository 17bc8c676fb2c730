-- What voids a bearer of a user, or of a session. A new one is noted: whatever is revoked from now on was revoked after it, even if the
-- clock of its issuer, or of another process of ours, is ahead of the one that says when.
-- KEYS: revocations, new bearers    ARGV: all, its session or '-', and its digest and when it was issued
if not ARGV[3] then return redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2]) end
local mark = ARGV[2] .. '@' .. ARGV[3]
local moments = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2], mark)
-- Longer than the clocks of two processes may differ.
local slack, now = 60, redis.call('TIME')[1]
local ends = math.ceil((ARGV[4] - now + slack) * 1000)
if ends > 0 then
  -- That writes are off must not stop a read of permission.
  redis.pcall('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - slack)
  redis.pcall('ZADD', KEYS[2], ARGV[4], mark)
  if redis.pcall('PTTL', KEYS[2]) < ends then redis.pcall('PEXPIRE', KEYS[2], ends) end
end
return {moments[1], moments[2], moments[3] and ARGV[4]}
