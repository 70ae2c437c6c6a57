-- KEYS: merged, state. ARGV: a user. Reply: 1 where the user was in it.
if redis.call('HGET', KEYS[2], 'unit') == ARGV[1] then
  redis.call('HDEL', KEYS[2], 'unit')
end
return redis.call('HDEL', KEYS[1], ARGV[1])
