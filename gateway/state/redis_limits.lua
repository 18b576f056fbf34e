-- What limits have counted (redis_limits.py). Everything of one script is one step.
--
-- An account is a hash. Of a session it holds what is spent. Of a window it holds the total of all that was ever taken; beside it lie two
-- sorted sets by time: ":t", the total after each taking, and ":back", what was given back of them ("<id>:<amount>"). What is spent is the
-- total, less the total when the window began, less what was given back since: however much was taken, it costs the same. `base` is
-- the total up to `base_us`, before which takings are taken out, some with each new one.
-- Amounts have up to 63 bits and totals more, Lua's numbers 53: they are pairs {high, low} to the base 10^9. Times have 51 bits.
local BASE, AT_ONCE, LEASE_KEPT_MS = 1000000000, 1000, 7 * 24 * 3600 * 1000

local function amount(text)
  local high = #text > 9 and tonumber(text:sub(1, -10)) or 0
  return {high, tonumber(text:sub(-9))}
end

local function shown(a)
  return a[1] > 0 and string.format('%.0f%09.0f', a[1], a[2]) or string.format('%.0f', a[2])
end

local function sortable(a) return string.format('%016.0f%09.0f', a[1], a[2]) end

local function whole(time) return string.format('%.0f', time) end

local function plus(a, b)
  local low = a[2] + b[2]
  local carried = low >= BASE and 1 or 0
  return {a[1] + b[1] + carried, low - carried * BASE}
end

local function less(a, b)
  return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2])
end

local function minus(a, b) -- never below zero
  if less(a, b) then return {0, 0} end
  local low = a[2] - b[2]
  local borrowed = low < 0 and 1 or 0
  return {a[1] - b[1] - borrowed, low + borrowed * BASE}
end

local function window_of(key, found, window, base, base_us) -- what counts is what was taken after `from`
  found.from = math.max(found.at - window, base_us and tonumber(base_us) or 0)
  local last = redis.call('ZREVRANGEBYSCORE', key .. ':t', whole(found.from), '-inf', 'LIMIT', 0, 1)[1]
  found.base = amount(last or base or '0')
  found.spent = minus(found.total, found.base)
  for _, back in ipairs(redis.call('ZRANGEBYSCORE', key .. ':back', '(' .. whole(found.from), '+inf')) do
    found.spent = minus(found.spent, amount(back:match(':(%d+)$')))
  end
end

local function standing(key, window, now)
  local row = redis.call('HMGET', key, 'total', 'seen', 'base', 'base_us')
  local found = {total = amount(row[1] or '0'), at = math.max(tonumber(row[2] or '0'), now)}
  found.spent = found.total
  if window > 0 then window_of(key, found, window, row[3], row[4]) end
  return found
end

local function take_out(key, from) -- some of what counts no more
  redis.call('ZREMRANGEBYSCORE', key .. ':back', '-inf', whole(from))
  local over = redis.call('ZCOUNT', key .. ':t', '-inf', whole(from))
  if over > AT_ONCE and over == redis.call('ZCARD', key .. ':t') then
    redis.call('UNLINK', key .. ':t')
  elseif over > 0 then
    redis.call('ZREMRANGEBYRANK', key .. ':t', 0, math.min(over, AT_ONCE) - 1)
  end
end

local function put(key, at, charge)
  local time = whole(at.at)
  at.total = plus(at.total, charge.amount)
  redis.call('HSETNX', key, 'born', time)
  redis.call('HSET', key, 'total', shown(at.total), 'seen', time)
  if charge.window > 0 then
    redis.call('HSET', key, 'base', shown(at.base), 'base_us', whole(at.from))
    take_out(key, at.from)
    redis.call('ZADD', key .. ':t', 'NX', time, sortable(at.total)) -- nothing taken is nothing new
  end
  for _, each in ipairs({key, key .. ':t', key .. ':back'}) do redis.call('PEXPIRE', each, charge.ttl) end
  return time
end

local function back(key, text, id, time)
  local born = redis.call('HGET', key, 'born')
  if not born then return end -- it has ended meanwhile
  if id == '' then
    redis.call('HSET', key, 'total', shown(minus(amount(redis.call('HGET', key, 'total')), amount(text))))
  elseif tonumber(time) >= tonumber(born) then
    redis.call('ZADD', key .. ':back', 'NX', time, id .. ':' .. text)
    redis.call('PEXPIRE', key .. ':back', redis.call('PTTL', key))
  end
end

local function lease_of(leases, id) return leases .. ':' .. id end

local function end_overdue(leases, now) -- what was taken on a lease that nobody renewed
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', '(' .. whole(now), 'LIMIT', 0, AT_ONCE)) do
    local held = redis.call('HGETALL', lease_of(leases, id))
    for n = 1, #held, 2 do
      local text, taking, time = held[n + 1]:match('^(%d+):(%d*):(%d+)$')
      back(held[n], text, taking, time)
    end
    redis.call('UNLINK', lease_of(leases, id))
    redis.call('ZREM', leases, id)
  end
end

if ARGV[1] == 'renew' then -- until, then the leases
  for n = 3, #ARGV do redis.call('ZADD', KEYS[1], 'XX', ARGV[2], ARGV[n]) end
  return {}
end

if ARGV[1] == 'overdue' then -- now
  end_overdue(KEYS[1], tonumber(ARGV[2]))
  return {}
end

if ARGV[1] == 'clear' then
  for _, key in ipairs(KEYS) do redis.call('UNLINK', key, key .. ':t', key .. ':back') end
  return {}
end

if ARGV[1] == 'settle' then -- now, lease, then for each key but the last (the leases): taken, used, window, time to live, id, time
  local leases, now = KEYS[#KEYS], tonumber(ARGV[2])
  local held = lease_of(leases, ARGV[3])
  for n = 1, #KEYS - 1 do
    local i = 6 * n - 2
    local key, taken, used = KEYS[n], amount(ARGV[i]), amount(ARGV[i + 1])
    if redis.call('HEXISTS', held, key) == 0 or not redis.call('HGET', key, 'born') then taken = {0, 0} end
    if less(used, taken) then
      back(key, shown(minus(taken, used)), ARGV[i + 4], ARGV[i + 5])
    elseif less(taken, used) then
      local window = tonumber(ARGV[i + 2])
      put(key, standing(key, window, now), {amount = minus(used, taken), window = window, ttl = ARGV[i + 3]})
    end
  end
  redis.call('UNLINK', held)
  redis.call('ZREM', leases, ARGV[3])
  return {}
end

if ARGV[1] == 'frees' then -- now, amount, most, window: when the first takings that stand in the way are past; nothing when they never are
  local now, window = tonumber(ARGV[2]), tonumber(ARGV[5])
  local at = standing(KEYS[1], window, now)
  local wanted, most = plus(at.spent, amount(ARGV[3])), amount(ARGV[4])
  if not less(most, wanted) then return whole(at.at) end
  if window == 0 then return '' end
  local over = minus(wanted, most)
  local after = whole(at.from)
  while true do
    local found = redis.call('ZRANGEBYSCORE', KEYS[1] .. ':t', '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, AT_ONCE)
    if #found == 0 then return '' end
    for n = 1, #found, 2 do
      after = whole(tonumber(found[n + 1]))
      if not less(minus(amount(found[n]), at.base), over) then return whole(tonumber(found[n + 1]) + window) end
    end
  end
end

if ARGV[1] == 'back' then -- for each key: amount, id, time
  for n, key in ipairs(KEYS) do back(key, ARGV[3 * n - 1], ARGV[3 * n], ARGV[3 * n + 1]) end
  return {}
end

-- 'take' or 'look', now, lease (or nothing) and until when, then for each key: amount, most, window, time to live (ms). With a lease the last
-- key is that of the leases.
local now, charges, at, spent, fits = tonumber(ARGV[2]), {}, {}, {}, ARGV[1] == 'take'
local leases = ARGV[3] ~= '' and table.remove(KEYS)
if leases then end_overdue(leases, now) end
for n, key in ipairs(KEYS) do
  local i = 4 * n + 1
  local charge = {amount = amount(ARGV[i]), most = amount(ARGV[i + 1]), window = tonumber(ARGV[i + 2]), ttl = ARGV[i + 3]}
  charges[n] = charge
  at[key] = at[key] or standing(key, charge.window, now)
  spent[n] = shown(at[key].spent)
  fits = fits and not less(charge.most, plus(at[key].spent, charge.amount))
end
local times = {}
if fits then
  for n, key in ipairs(KEYS) do
    times[n] = put(key, at[key], charges[n])
    if leases then
      local id = charges[n].window > 0 and ARGV[3] or ''
      redis.call('HSET', lease_of(leases, ARGV[3]), key, shown(charges[n].amount) .. ':' .. id .. ':' .. times[n])
    end
  end
  if leases then
    redis.call('PEXPIRE', lease_of(leases, ARGV[3]), LEASE_KEPT_MS)
    redis.call('ZADD', leases, ARGV[4], ARGV[3])
  end
end
return {spent, times}
