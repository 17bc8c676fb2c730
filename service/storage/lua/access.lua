-- What a room says of who may enter it, and of one user.
-- KEYS: record, members, bans, adopted, invites    ARGV: user field, a guest's invite or ''
local record = redis.call('GET', KEYS[1])
local ban = redis.call('HGET', KEYS[3], ARGV[1])
-- A room that a template makes again has the bans that it had.
if not record then return {false, ban} end
local adopted = redis.pcall('GET', KEYS[4])
if type(adopted) == 'table' then adopted = false end
local invite = ARGV[2] ~= '' and redis.call('HGET', KEYS[5], ARGV[2])
return {record, ban, redis.call('HGET', KEYS[2], ARGV[1]), adopted, invite}
