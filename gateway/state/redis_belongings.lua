-- Keeps one belonging (redis_belongings.py): owner, upstream, created, owed, tools, settled, time to live (ms), whether each keeping renews it.
-- What is another owner's is left as it is; what is there changes what it owes, and is settled once it was.
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then
  redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'upstream', ARGV[2], 'created', ARGV[3], 'owed', ARGV[4], 'tools', ARGV[5], 'settled', ARGV[6])
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
elseif owner == ARGV[1] then
  redis.call('HSET', KEYS[1], 'owed', ARGV[4])
  if ARGV[6] == '1' then redis.call('HSET', KEYS[1], 'settled', '1') end
  if ARGV[8] == '1' then redis.call('PEXPIRE', KEYS[1], ARGV[7]) end
end
return 1
