-- Replace a record that still is what was read. A repeat finds its own there, and is done too.
-- KEYS: record, or a hash of records
-- ARGV: SHA-1 of what was read, '-' for nothing or '*' for whatever is there, the new record, its field in a hash, most
--       fields of the hash
local field = ARGV[3]
local current
if field then current = redis.call('HGET', KEYS[1], field) else current = redis.call('GET', KEYS[1]) end
local seen = ARGV[1] == '*' or (current and redis.sha1hex(current) or '-') == ARGV[1]
if current ~= ARGV[2] and not seen then return 'changed' end
if field and not current and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 'full' end
if field then redis.call('HSET', KEYS[1], field, ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2]) end
return current and 'replaced' or 'new'
