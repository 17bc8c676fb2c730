-- One command, on the keys it names.
-- KEYS: its keys, which come first    ARGV: its name, the rest of its arguments
local words = {ARGV[1]}
for _, key in ipairs(KEYS) do words[#words + 1] = key end
for i = 2, #ARGV do words[#words + 1] = ARGV[i] end
return redis.call(unpack(words))
