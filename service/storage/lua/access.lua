-- What a room says of who may enter it, and of one user.
-- KEYS: record, members, bans, adopted, invites, meeting, devices, hosts
-- ARGV: user field, a guest's invite or '', base of the room's keys
local record = redis.call('GET', KEYS[1])
local ban = redis.call('HGET', KEYS[3], ARGV[1])
local meeting, admission, hosted = look_at_meeting(record, ARGV[1], KEYS[6], KEYS[7], KEYS[8], ARGV[3])
-- A room that a template makes again has the bans that it had, and people wait for one before it is made.
if not record then return {false, false, ban, false, false, meeting or false, admission or false, hosted} end
local invite = ARGV[2] ~= '' and redis.call('HGET', KEYS[5], ARGV[2])
return {
  record, redis.call('HGET', KEYS[2], ARGV[1]), ban, lenient('GET', KEYS[4]), invite, meeting or false,
  admission or false, hosted or 0,
}
