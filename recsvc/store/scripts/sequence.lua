-- Ends the user's cached lists. A first sequence number is Redis' time, so that it is above those before an erasure.
local function raise(state, known, time)
  if known then
    redis.call('HINCRBY', state, 'seq', 1)
  else
    redis.call('HSET', state, 'seq', string.format('%.0f', time[1] * 1000000 + time[2]))
  end
end
