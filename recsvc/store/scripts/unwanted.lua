-- Notes in the hash `key` that `field` is not wanted since `milliseconds`, unless it was noted later; keeps to the cap.
local function not_wanted(key, field, milliseconds)
  local MOST, LIFE = 1000, 90 * 86400
  local known = redis.call('HGET', key, field)
  if known and tonumber(known) >= tonumber(milliseconds) then
    return
  end
  local permanent = redis.call('TTL', key) == -1 -- it holds a report
  redis.call('HSET', key, field, milliseconds)
  if string.sub(field, 1, 2) == 'r:' then
    redis.call('PERSIST', key)
  elseif not permanent then
    redis.call('EXPIRE', key, LIFE)
  end
  if redis.call('HLEN', key) <= MOST then
    return
  end
  local all = redis.call('HGETALL', key)
  local oldest, since, reported = nil, nil, true
  for at = 1, #all, 2 do
    local report, time = string.sub(all[at], 1, 2) == 'r:', tonumber(all[at + 1])
    if all[at] ~= field and (not oldest or (reported and not report) or (reported == report and time < since)) then
      oldest, since, reported = all[at], time, report
    end
  end
  redis.call('HDEL', key, oldest)
end
