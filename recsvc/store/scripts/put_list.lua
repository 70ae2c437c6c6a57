-- with lists
-- Caches a list unless the user's sequence number is another by now.
-- KEYS: state, lists. ARGV: digest, sequence number, list, its life in milliseconds, that of the whole hash.
-- Reply: 1 where it was cached.
local state = redis.call('HMGET', KEYS[1], 'into', 'seq')
if state[1] or (state[2] or '0') ~= ARGV[2] then
  return 0
end
local time = redis.call('TIME')
local expires = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[4]
redis.call('HDEL', KEYS[2], 'm' .. ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], struct.pack('>I8I6', ARGV[2], expires) .. ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
trim(KEYS[2], ARGV[1])
return 1
