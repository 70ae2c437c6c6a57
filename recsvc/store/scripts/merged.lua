-- KEYS: merged. Reply: the users in it.
return redis.call('HKEYS', KEYS[1])
