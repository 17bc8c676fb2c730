-- Replace what is known of who is in a room, if it still is what was read; and the count that refusals go by.
-- KEYS: roster, live    ARGV: SHA-1 of what was read or '-', roster, its ms, live, its ms (0: nobody knows the count)
local current = redis.pcall('GET', KEYS[1])
if (type(current) == 'string' and redis.sha1hex(current) or '-') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if tonumber(ARGV[5]) > 0 then
  redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
else
  redis.call('DEL', KEYS[2])
end
return 1
