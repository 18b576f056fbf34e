-- Forgets an answer (redis_answers.py). KEYS as where it was kept; ARGV: bytes an entry takes beside its data, the answer's name.
local size = redis.call('STRLEN', KEYS[1])
if size == 0 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], string.format('%d:%s', size + ARGV[1], ARGV[2]))
redis.call('DECRBY', KEYS[3], size + ARGV[1])
return 1
