-- KEYS[1]: what one has come with, by the time it was last so. ARGV: what, now, oldest that counts, most that are noted, time to live (ms).
-- Answers {1 when it is new, how many there are}.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[3])
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if known or redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[4]) then
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {known and 0 or 1, redis.call('ZCARD', KEYS[1])}
