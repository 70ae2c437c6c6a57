-- Notes in the hash `key` that `field` is not wanted since `milliseconds`, unless it was noted later.
-- Whether the field is new: then `trim_unwanted` is to follow.
local function not_wanted(key, field, milliseconds)
  local LIFE = 90 * 86400
  local known = redis.call('HGET', key, field)
  if known and tonumber(known) >= tonumber(milliseconds) then
    return false
  end
  local permanent = redis.call('TTL', key) == -1 -- it holds a report
  redis.call('HSET', key, field, milliseconds)
  if string.sub(field, 1, 2) == 'r:' then
    redis.call('PERSIST', key)
  elseif not permanent then
    redis.call('EXPIRE', key, LIFE)
  end
  return not known
end

-- Keeps to the caps, one for reports and one for the others: the oldest go, of the fields in `added` last.
local function trim_unwanted(key, added)
  local MOST, MOST_REPORTS = 1000, 5000
  if redis.call('HLEN', key) <= MOST then
    return
  end
  local all, reports, others = redis.call('HGETALL', key), {}, {}
  for at = 1, #all, 2 do
    local kind = string.sub(all[at], 1, 2) == 'r:' and reports or others
    kind[#kind + 1] = {field = all[at], since = tonumber(all[at + 1]), added = added[all[at]] or false}
  end
  local function trim(kind, most)
    if #kind <= most then
      return
    end
    table.sort(kind, function(one, other)
      if one.added ~= other.added then
        return other.added
      end
      return one.since < other.since
    end)
    for at = 1, #kind - most do
      redis.call('HDEL', key, kind[at].field)
    end
  end
  trim(reports, MOST_REPORTS)
  trim(others, MOST)
end
