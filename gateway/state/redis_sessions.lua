-- Sessions in which calls were denied (redis_sessions.py). KEYS: the session, the stopped ones by time, those to be recorded by time.
local session, stopped, to_note = KEYS[1], KEYS[2], KEYS[3]
local act = ARGV[1]

local function settled() -- what is neither stopped nor to be recorded ends by itself
  local row = redis.call('HMGET', session, 'state', 'change', 'noted')
  if row[1] ~= 'stopped' and row[2] == row[3] then redis.call('PEXPIRE', session, ARGV[2]) else redis.call('PERSIST', session) end
end

local function changed(at) -- ARGV[at]: when
  redis.call('HINCRBY', session, 'change', 1)
  redis.call('HSET', session, 'changed_us', ARGV[at])
  redis.call('ZADD', to_note, ARGV[at], session)
  settled()
end

if act == 'denied' then -- ttl, when, most or '', whose it is, by whose rule (both JSON)
  if redis.call('EXISTS', session) == 0 then
    redis.call('HSET', session, 'who', ARGV[5], 'denials', 0, 'state', 'open', 'changed_us', ARGV[3], 'change', 0, 'noted', 0)
  end
  local count = redis.call('HINCRBY', session, 'denials', 1)
  settled()
  if redis.call('HGET', session, 'state') == 'stopped' or ARGV[4] == '' or count < tonumber(ARGV[4]) then return {} end
  redis.call('HSET', session, 'state', 'stopped', 'by', ARGV[6], 'changed_by', '', 'why', '')
  redis.call('ZADD', stopped, ARGV[3], session)
  changed(3)
  return redis.call('HGETALL', session)
elseif act == 'pause' then -- ttl, when, by, why, whose it is (JSON)
  if redis.call('HGET', session, 'state') == 'stopped' then return 0 end
  if redis.call('EXISTS', session) == 0 then redis.call('HSET', session, 'who', ARGV[6], 'denials', 0, 'change', 0, 'noted', 0) end
  redis.call('HSET', session, 'state', 'stopped', 'changed_by', ARGV[4], 'why', ARGV[5])
  redis.call('ZADD', stopped, ARGV[3], session)
  changed(3)
  return 1
elseif act == 'resume' then -- ttl, when, by, why
  if redis.call('HGET', session, 'state') ~= 'stopped' then return 0 end
  redis.call('HSET', session, 'state', 'resumed', 'denials', 0, 'changed_by', ARGV[4], 'why', ARGV[5])
  redis.call('ZREM', stopped, session)
  changed(3)
  return 1
elseif act == 'recorded' then -- ttl, change
  local row = redis.call('HMGET', session, 'change', 'noted')
  if not row[1] then redis.call('ZREM', to_note, session) return 0 end
  if tonumber(ARGV[3]) > tonumber(row[2]) then redis.call('HSET', session, 'noted', ARGV[3]) end
  if tonumber(ARGV[3]) >= tonumber(row[1]) then redis.call('ZREM', to_note, session) end
  settled()
  return 1
end
return redis.error_reply('unknown act')
