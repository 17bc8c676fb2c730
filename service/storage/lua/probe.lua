-- What callers need: to read, and to write. Answers 'ok', or why it takes no writes.
-- KEYS: a key of ours    ARGV: ms until it ends
redis.call('GET', KEYS[1])
local written = redis.pcall('SET', KEYS[1], 1, 'PX', ARGV[1])
return written['err'] or 'ok'
