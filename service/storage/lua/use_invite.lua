-- Count one use of an invite that is still as the caller read it, if it has one left.
-- KEYS: invites, uses    ARGV: invite, its record, most uses
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
local used = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0')
if used >= tonumber(ARGV[3]) then return 0 end
redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
return 1
