-- Makes a user point to nobody again. KEYS: state. ARGV: whom the user points to. Reply: 1 where it did.
local LIFE = 31 * 86400
if redis.call('HGET', KEYS[1], 'into') ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'into', 'sealed')
redis.call('EXPIRE', KEYS[1], LIFE)
return 1
