-- Replace a record that still is what was read. A repeat finds its own there, and is done too.
-- KEYS: record, or a hash of records    ARGV: SHA-1 of what was read or '-', the new record, its field in a hash
local field = ARGV[3]
local current
if field then current = redis.call('HGET', KEYS[1], field) else current = redis.call('GET', KEYS[1]) end
if current ~= ARGV[2] and (current and redis.sha1hex(current) or '-') ~= ARGV[1] then return 0 end
if field then redis.call('HSET', KEYS[1], field, ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1
