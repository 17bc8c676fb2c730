-- Add an invite to a room that is there, unless it has as many as it may have.
-- KEYS: record, invites, uses    ARGV: invite, its record, most invites, invites that have ended ...
if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
for i = 4, #ARGV do
  redis.call('HDEL', KEYS[2], ARGV[i])
  redis.call('HDEL', KEYS[3], ARGV[i])
end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 'added'
