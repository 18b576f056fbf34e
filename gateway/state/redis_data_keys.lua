-- Data keys (redis_data_keys.py). KEYS[1] is the beginning of all names: a hash per key (<root>:id:<id>); all, and those of a tenant and
-- user (<root>:of:<digest>) and of a tenant (<root>:tenant:<digest>), by creation; <root>:gone, what was erased and is not on record as such.
local root, act = KEYS[1], ARGV[1]
local function key(...) return root .. ':' .. table.concat({...}, ':') end

if act == 'take' then -- list of the owner, list of the tenant, created after, the most uses, uses taken, then a new key where none is good
  for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', key('of', ARGV[2]), '+inf', '(' .. ARGV[4])) do
    local row = redis.call('HMGET', key('id', id), 'wrapped', 'uses')
    if row[1] and tonumber(row[2]) < tonumber(ARGV[5]) then
      redis.call('HINCRBY', key('id', id), 'uses', ARGV[6])
      return redis.call('HGETALL', key('id', id))
    end
  end
  local id = ARGV[7]
  if not id then return {} end
  redis.call('HSET', key('id', id), 'id', id, 'tenant', ARGV[8], 'user', ARGV[9], 'wrapped', ARGV[10], 'created_us', ARGV[11], 'uses', ARGV[6])
  for _, list in ipairs({key('all'), key('of', ARGV[2]), key('tenant', ARGV[3])}) do redis.call('ZADD', list, ARGV[11], id) end
  return redis.call('HGETALL', key('id', id))
elseif act == 'erase' then -- 'of' or 'tenant', whose
  local list = key(ARGV[2], ARGV[3])
  for _, id in ipairs(redis.call('ZRANGE', list, 0, -1)) do
    if redis.call('HDEL', key('id', id), 'wrapped') == 1 then redis.call('ZADD', key('gone'), redis.call('HGET', key('id', id), 'created_us'), id) end
  end
  local gone = {}
  for _, id in ipairs(redis.call('ZRANGE', key('gone'), 0, -1)) do
    if redis.call('ZSCORE', list, id) then gone[#gone + 1] = id end
  end
  return gone
elseif act == 'rewrap' then -- id, wrapped
  if redis.call('HEXISTS', key('id', ARGV[2]), 'wrapped') == 0 then return 0 end
  redis.call('HSET', key('id', ARGV[2]), 'wrapped', ARGV[3])
  return 1
elseif act == 'noted' then -- ids, each with the lists of its owner and tenant: nothing of them is left
  for n = 2, #ARGV, 3 do
    redis.call('DEL', key('id', ARGV[n]))
    for _, list in ipairs({key('all'), key('gone'), key('of', ARGV[n + 1]), key('tenant', ARGV[n + 2])}) do redis.call('ZREM', list, ARGV[n]) end
  end
  return 1
end
return redis.error_reply('unknown act')
