-- KEYS: state. Reply: whom the user was merged into, or ''.
return redis.call('HGET', KEYS[1], 'into') or ''
