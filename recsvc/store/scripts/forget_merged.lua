-- KEYS: merged. ARGV: a user. Reply: 1 where the user was in it.
return redis.call('HDEL', KEYS[1], ARGV[1])
