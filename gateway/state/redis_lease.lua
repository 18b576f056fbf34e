-- A turn (redis_lease.py): 1 when it is the asker's, who takes it when it is nobody's. 'go on' makes it last anew.
local holder = redis.call('GET', KEYS[1])
if not holder then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
elseif holder ~= ARGV[2] then
  return 0
elseif ARGV[1] == 'go on' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
