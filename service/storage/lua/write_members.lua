-- Write many records of a hash at once, or none where there would be more than there may be.
-- KEYS: hash    ARGV: most, then fields and records in turn
local new = 0
for i = 2, #ARGV, 2 do
  if not redis.call('HGET', KEYS[1], ARGV[i]) then new = new + 1 end
end
if redis.call('HLEN', KEYS[1]) + new > tonumber(ARGV[1]) then return -1 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return new
