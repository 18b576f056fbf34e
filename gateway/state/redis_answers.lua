-- Keeps an answer (redis_answers.py) within a bound on all of them together; what ends first goes first.
-- KEYS: the answer, the index of all by their end ("<size>:<name>"), the sum of their sizes.
-- ARGV: data, milliseconds it lasts, the bound, bytes an entry takes beside its data, the answer's name, the beginning of all names.
local function take_out(members)
  for _, member in ipairs(members) do
    local size, name = string.match(member, '^(%d+):(.*)$')
    redis.call('DEL', ARGV[6] .. name)
    redis.call('ZREM', KEYS[2], member)
    redis.call('DECRBY', KEYS[3], size)
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
take_out(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now))
local before = redis.call('STRLEN', KEYS[1])
if before > 0 then take_out({ string.format('%d:%s', before + ARGV[4], ARGV[5]) }) end
local size, most = string.len(ARGV[1]) + ARGV[4], tonumber(ARGV[3])
if size > most then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[2], string.format('%d:%s', size, ARGV[5]))
local sum = redis.call('INCRBY', KEYS[3], size)
while sum > most do
  take_out(redis.call('ZRANGE', KEYS[2], 0, 0))
  sum = tonumber(redis.call('GET', KEYS[3]))
end
return 1
