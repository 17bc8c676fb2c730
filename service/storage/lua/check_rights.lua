-- Which of the commands that scripts of ours use this user may not run. What they do is of no account.
-- KEYS: a key of ours that nothing is in
local names = {
  'GET', 'SET', 'DEL', 'EXISTS', 'TYPE', 'INCR', 'PTTL', 'PEXPIRE', 'TIME',
  'HGET', 'HMGET', 'HGETALL', 'HVALS', 'HSET', 'HDEL', 'HLEN', 'HINCRBY',
  'ZADD', 'ZREM', 'ZSCORE', 'ZCARD', 'ZRANGE', 'ZRANGEBYLEX', 'ZRANGEBYSCORE', 'ZREMRANGEBYSCORE', 'ZPOPMIN',
  'SADD', 'SREM', 'SMEMBERS', 'RPUSH', 'LREM', 'LRANGE', 'XADD', 'XREAD',
}
local arguments = {
  SET = {'1', 'PX', '1'}, PEXPIRE = {'1'}, HGET = {'f'}, HMGET = {'f'}, HSET = {'f', '1'}, HDEL = {'f'},
  HINCRBY = {'f', '1'}, ZADD = {'1', 'm'}, ZREM = {'m'}, ZSCORE = {'m'}, ZRANGE = {'0', '0'},
  ZRANGEBYLEX = {'-', '+'}, ZRANGEBYSCORE = {'0', '0'}, ZREMRANGEBYSCORE = {'0', '0'}, SADD = {'m'}, SREM = {'m'},
  RPUSH = {'1'}, LREM = {'0', '1'}, LRANGE = {'0', '0'},
  XADD = {'*', 'f', '1'},
}
local refused = {}
for _, name in ipairs(names) do
  local words = {name, KEYS[1], unpack(arguments[name] or {})}
  if name == 'TIME' then words = {name} end
  if name == 'XREAD' then words = {name, 'STREAMS', KEYS[1], '0'} end
  local reply = redis.pcall(unpack(words))
  local why = type(reply) == 'table' and reply['err'] or ''
  if why:find('permission') or why:find("can't run this command") or why:find('nknown') then
    refused[#refused + 1] = name
  end
  if name ~= 'DEL' then redis.pcall('DEL', KEYS[1]) end
end
return refused
