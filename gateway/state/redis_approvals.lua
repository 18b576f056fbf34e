-- What people were asked and what they said (redis_approvals.py). Everything of one script is one step.
--
-- KEYS[1] is the beginning of all names. An approval is a hash (<root>:id:<id>); by <root>:… it is found:
--   all (by creation) · pending, ended (by expiry) · note, tell (by creation: changes not on record, not told)
--   asks:<agent>      the pending ones of an agent
--   once:<binding>    what stands about a call: pending, denied, or approved and not used
--   for:<binding>     what is remembered for a session or an agent
local root, act = KEYS[1], ARGV[1]

local function key(...) return root .. ':' .. table.concat({...}, ':') end

local function get(id, ...) return redis.call('HMGET', key('id', id), ...) end

local function changed(id, created)
  redis.call('HINCRBY', key('id', id), 'change', 1)
  redis.call('ZADD', key('note'), created, id)
  redis.call('ZADD', key('tell'), created, id)
end

local function no_longer_pending(id, agent, expires)
  redis.call('ZREM', key('pending'), id)
  redis.call('SREM', key('asks', agent), id)
  redis.call('ZADD', key('ended'), expires, id)
end

local function stands_no_more(id)
  local row = get(id, 'once', 'session', 'anywhere')
  if not row[1] then return end
  redis.call('ZREM', key('once', row[1]), id)
  redis.call('ZREM', key('for', row[2]), id)
  redis.call('ZREM', key('for', row[3]), id)
end

local function expire(now)
  local over = redis.call('ZRANGEBYSCORE', key('pending'), '-inf', now)
  for _, id in ipairs(over) do
    local row = get(id, 'agent', 'created_us', 'expires_us')
    redis.call('HSET', key('id', id), 'state', 'expired')
    no_longer_pending(id, row[1], row[3])
    stands_no_more(id)
    changed(id, row[2])
  end
  return #over
end

local function remove(id)
  local row = get(id, 'agent')
  if not row[1] then return 0 end
  stands_no_more(id)
  redis.call('SREM', key('asks', row[1]), id)
  for _, list in ipairs({'all', 'pending', 'ended', 'note', 'tell'}) do redis.call('ZREM', key(list), id) end
  return redis.call('DEL', key('id', id))
end

local function allowed(row, ask) -- whether it was not given by the one who asks, where that matters
  if row[3] ~= '1' and ask.four_eyes ~= '1' then return true end
  return ask.user ~= '' and row[4] ~= ask.user
end

local function granted(names, ask) -- the oldest approval in the lists that the call may use
  for _, name in ipairs(names) do
    for _, id in ipairs(redis.call('ZRANGE', name, 0, -1)) do
      local row = get(id, 'state', 'expires_us', 'four_eyes', 'decided_folded', 'created_us')
      if row[1] == 'approved' and tonumber(row[2]) <= tonumber(ask.now) then
        stands_no_more(id)
      elseif row[1] == 'approved' and allowed(row, ask) then
        return id, row[5]
      end
    end
  end
end

local function consumed(id, created, now)
  if get(id, 'scope')[1] == 'once' then
    redis.call('HSET', key('id', id), 'state', 'used', 'used_us', now)
    stands_no_more(id)
  else
    redis.call('HSET', key('id', id), 'used_us', now)
  end
  changed(id, created)
  return redis.call('HGETALL', key('id', id))
end

local function standing(ask) -- a denial before what is pending
  local pending
  for _, id in ipairs(redis.call('ZRANGE', key('once', ask.once), 0, -1)) do
    local row = get(id, 'state', 'expires_us')
    local lives = tonumber(row[2]) > tonumber(ask.now)
    if row[1] == 'denied' and lives then return id end
    if row[1] == 'denied' then stands_no_more(id) end
    if row[1] == 'pending' and lives then pending = id end
  end
  return pending
end

local function insert(ask)
  redis.call('HSET', key('id', ask.id), 'id', ask.id, 'asked', ask.asked, 'agent', ask.agent, 'four_eyes', ask.four_eyes, 'created_us', ask.now,
    'once', ask.once, 'session', ask.session, 'anywhere', ask.anywhere, 'state', 'pending', 'expires_us', ask.expires, 'reason', '',
    'scope', 'once', 'change', ask.change, 'noted', 0, 'told', 0)
  for _, list in ipairs({'all', 'note', 'tell'}) do redis.call('ZADD', key(list), ask.now, ask.id) end
  redis.call('ZADD', key('pending'), ask.expires, ask.id)
  redis.call('SADD', key('asks', ask.agent), ask.id)
  redis.call('ZADD', key('once', ask.once), ask.now, ask.id)
end

if act == 'ask' then -- JSON of the call, the most that may be pending
  local ask = cjson.decode(ARGV[2])
  expire(ask.now)
  local id, created = granted({key('for', ask.session), key('for', ask.anywhere)}, ask)
  if not id then id, created = granted({key('once', ask.once)}, ask) end
  if id then return consumed(id, created, ask.now) end
  id = standing(ask)
  if not id then
    if redis.call('SCARD', key('asks', ask.agent)) >= tonumber(ARGV[3]) then return {} end
    insert(ask)
    id = ask.id
  end
  return redis.call('HGETALL', key('id', id))
elseif act == 'rule' then -- id, the change that was looked at, JSON of {field: value}; 0 when it has changed since
  local id, set = ARGV[2], cjson.decode(ARGV[4])
  local row = get(id, 'change', 'agent', 'created_us', 'session', 'anywhere')
  if row[1] ~= ARGV[3] then return 0 end
  for field, value in pairs(set) do redis.call('HSET', key('id', id), field, value) end
  no_longer_pending(id, row[2], set.expires_us)
  redis.call('ZREM', key('for', row[4]), id)
  redis.call('ZREM', key('for', row[5]), id)
  if set.state == 'approved' and set.scope == 'session' then redis.call('ZADD', key('for', row[4]), row[3], id) end
  if set.state == 'approved' and set.scope == 'agent' then redis.call('ZADD', key('for', row[5]), row[3], id) end
  changed(id, row[3])
  return 1
elseif act == 'caught up' then -- 'noted' or 'told', its list, id, change
  local row = get(ARGV[4], 'change', ARGV[2])
  if row[1] and tonumber(ARGV[5]) > tonumber(row[2]) then redis.call('HSET', key('id', ARGV[4]), ARGV[2], ARGV[5]) end
  if not row[1] or tonumber(ARGV[5]) >= tonumber(row[1]) then redis.call('ZREM', key(ARGV[3]), ARGV[4]) end
  return 1
elseif act == 'expire' then -- now, until when what is over and on record is forgotten
  local ended = expire(ARGV[2])
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('ended'), '-inf', '(' .. ARGV[3])) do
    local row = get(id, 'change', 'noted')
    if row[1] == row[2] then remove(id) end
  end
  return ended
elseif act == 'remove' then -- id
  return remove(ARGV[2])
end
return redis.error_reply('unknown act')
