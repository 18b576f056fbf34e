-- Settles a belonging: 1 for the first who does.
if redis.call('HGET', KEYS[1], 'settled') ~= '0' then return 0 end
redis.call('HSET', KEYS[1], 'settled', '1')
return 1
