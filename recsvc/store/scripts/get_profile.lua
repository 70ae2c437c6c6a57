-- KEYS: state, profile. Reply: whom the user was merged into or '', the profile or nil.
return {redis.call('HGET', KEYS[1], 'into') or '', redis.call('GET', KEYS[2])}
