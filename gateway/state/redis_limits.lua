-- What limits have counted (redis_limits.py). Everything of one script is one step.
--
-- An account is a hash {spent, seen}; what a window took is a sorted set beside it (":t"), by time, of "<id>:<amount>".
-- Amounts have up to 63 bits, and Lua's numbers 53: they are pairs {high, low} to the base 10^9. Times have 51 bits.
local BASE = 1000000000

local function amount(text)
  local high = #text > 9 and tonumber(text:sub(1, -10)) or 0
  return {high, tonumber(text:sub(-9))}
end

local function shown(a)
  return a[1] > 0 and string.format('%.0f%09.0f', a[1], a[2]) or string.format('%.0f', a[2])
end

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

local function taken(member)
  return amount(member:match(':(%d+)$'))
end

local function standing(key, window, now)
  local row = redis.call('HMGET', key, 'spent', 'seen')
  if not row[1] then return {spent = {0, 0}, at = now, over = 0} end
  local found = {spent = amount(row[1]), at = math.max(tonumber(row[2]), now), over = 0}
  if window > 0 then
    local gone = redis.call('ZRANGEBYSCORE', key .. ':t', '-inf', string.format('%.0f', found.at - window))
    for _, member in ipairs(gone) do found.spent = minus(found.spent, taken(member)) end
    found.over = #gone
  end
  return found
end

local function put(key, at, charge, id)
  local time, ttl = string.format('%.0f', at.at), charge.ttl
  at.spent = plus(at.spent, charge.amount)
  redis.call('HSET', key, 'spent', shown(at.spent), 'seen', time)
  redis.call('PEXPIRE', key, ttl)
  if charge.window > 0 then
    if at.over > 0 then
      redis.call('ZREMRANGEBYSCORE', key .. ':t', '-inf', string.format('%.0f', at.at - charge.window))
      at.over = 0
    end
    redis.call('ZADD', key .. ':t', time, id .. ':' .. shown(charge.amount))
    redis.call('PEXPIRE', key .. ':t', ttl)
  end
  return time
end

local function back(key, text, id)
  if redis.call('EXISTS', key) == 0 then return end
  if id ~= '' and redis.call('ZREM', key .. ':t', id .. ':' .. text) == 0 then return end -- it has expired meanwhile
  redis.call('HSET', key, 'spent', shown(minus(amount(redis.call('HGET', key, 'spent')), amount(text))))
end

if ARGV[1] == 'back' then -- for each key: amount, id
  for n, key in ipairs(KEYS) do back(key, ARGV[2 * n], ARGV[2 * n + 1]) end
  return {}
end

-- 'take' or 'look', now, then for each key: amount, most, window, time to live (ms), id
local now, charges, at, spent, fits = tonumber(ARGV[2]), {}, {}, {}, ARGV[1] == 'take'
for n, key in ipairs(KEYS) do
  local i = 5 * n - 2
  local charge = {amount = amount(ARGV[i]), most = amount(ARGV[i + 1]), window = tonumber(ARGV[i + 2]), ttl = ARGV[i + 3], id = ARGV[i + 4]}
  charges[n] = charge
  at[key] = at[key] or standing(key, charge.window, now)
  spent[n] = shown(at[key].spent)
  fits = fits and not less(charge.most, plus(at[key].spent, charge.amount))
end
local times = {}
if fits then
  for n, key in ipairs(KEYS) do times[n] = put(key, at[key], charges[n], charges[n].id) end
end
return {spent, times}
