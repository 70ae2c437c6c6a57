-- KEYS: state, profile. Reply: whom the user was merged into or '', the profile or nil, the sequence number.
local state = redis.call('HMGET', KEYS[1], 'into', 'seq')
return {state[1] or '', redis.call('GET', KEYS[2]), state[2] or '0'}
