-- Note that something has begun, unless it has before. A repeat finds its own note, which is none.
-- KEYS: note    ARGV: the note, ms that it is kept
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return found end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
