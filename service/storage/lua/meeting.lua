-- Comes before other scripts: what a room's meeting says of a user.
-- Cache of the wrong type, or writes that are off, must not stop a read of permission.
local function lenient(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply['err'] then return false end
  return reply
end
-- When the meeting began, what was decided in it or that the user was given a token in it, and for all others 1 if a
-- moderator has a token. All that only where somebody may have to wait, or a template may make the room: else nothing.
local function look_at_meeting(record, user, meeting, devices, hosts, base)
  -- In a JSON text these stand for members and for nothing else: within a string the quotes would be escaped.
  if record and not (record:find('"waiting_room":', 1, true) or record:find('"host_required":', 1, true)) then
    return
  end
  local begun = redis.call('HGET', meeting, 'begun')
  local admission = begun and redis.call('HGET', meeting, user)
  local newest = begun and not admission and lenient('ZRANGE', devices, -1, -1, 'WITHSCORES') or {}
  if newest[2] and tonumber(newest[2]) >= tonumber(begun) then admission = 'entered' end
  local hosted = 0
  for _, entry in ipairs(not admission and lenient('ZRANGE', hosts, 0, -1) or {}) do
    if redis.call('EXISTS', base .. 'token:' .. entry) == 1 then hosted = 1 end
  end
  return begun, admission, hosted
end
