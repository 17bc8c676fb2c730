-- Whose a ticket is: of those who have shown it whoever joined first, though the other was heard of before.
-- KEYS: ticket, when its owner joined    ARGV: participant, when that one joined, ms
local owner = redis.call('GET', KEYS[1])
local joined = tonumber(redis.call('GET', KEYS[2]) or '')
if owner and not (joined and tonumber(ARGV[2]) < joined) then return owner end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return ARGV[1]
