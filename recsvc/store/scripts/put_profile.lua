-- with sequence
-- Sets or deletes a profile. KEYS: state, profile. ARGV: the new one or '' to delete, 1 to compare, the expected one or ''.
-- Reply: whom the user was merged into or '', 1 where it was done, 1 where there was one.
local LIFE = 31 * 86400
local state = redis.call('HMGET', KEYS[1], 'into', 'seq')
if state[1] then
  return {state[1], 0, 0}
end
local known = redis.call('GET', KEYS[2])
if ARGV[2] == '1' and (known or '') ~= ARGV[3] then
  return {'', 0, known and 1 or 0}
end
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[2], ARGV[1])
elseif known then
  redis.call('DEL', KEYS[2])
else
  return {'', 0, 0}
end
raise(KEYS[1], state[2], redis.call('TIME'))
redis.call('EXPIRE', KEYS[1], LIFE)
return {'', 1, known and 1 or 0}
