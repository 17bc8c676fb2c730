-- Put what was taken away on the list of recent removals, and return its entries there. What is old leaves it.
-- KEYS: removals    ARGV: ms that they are kept, removals ...
local now = redis.call('TIME')
local oldest = string.format('%d', now[1] * 1000 - ARGV[1])
local entries = {}
for i = 2, #ARGV do
  entries[i - 1] = redis.call('XADD', KEYS[1], 'MINID', '~', oldest, '*', 'removal', ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return entries
