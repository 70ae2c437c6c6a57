-- Makes a user point to another, once, and tells what the user had.
-- KEYS: state, log, recent, unwanted, merged. ARGV: the other user, entry for the log, Unix
-- milliseconds up to which a user who points to nobody may be made to (0: for ever).
-- Reply: whom the user points to, id of that entry, recent events, unwanted, `dropped` or '', users merged into this,
-- `unit` or ''. False: it was too late.
local state = redis.call('HMGET', KEYS[1], 'into', 'sealed', 'dropped', 'unit')
local into, sealed = state[1], state[2]
if not into then
  local time, latest = redis.call('TIME'), tonumber(ARGV[3])
  if latest > 0 and time[1] * 1000 + math.floor(time[2] / 1000) >= latest then
    return false
  end
  into = ARGV[1]
  sealed = redis.call('XADD', KEYS[2], '*', 'e', ARGV[2])
  redis.call('HSET', KEYS[1], 'into', into, 'sealed', sealed)
  redis.call('PERSIST', KEYS[1])
end
return {
  into, sealed, redis.call('LRANGE', KEYS[3], 0, -1), redis.call('HGETALL', KEYS[4]), state[3] or '',
  redis.call('HGETALL', KEYS[5]), state[4] or '',
}
