-- Removes what a merge carried over. KEYS: state, recent, unwanted, lists, merged. Reply: 1, or 0 for a user who is not merged.
if redis.call('HEXISTS', KEYS[1], 'into') == 0 then
  return 0
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('HDEL', KEYS[1], 'dropped', 'seq', 'unit')
return 1
