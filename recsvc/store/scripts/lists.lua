-- Keeps the hash of cached lists to its cap: one that is over it is emptied but for this digest's.
local function trim(lists, digest)
  local MOST = 16
  if redis.call('HLEN', lists) <= MOST then
    return
  end
  for _, field in ipairs(redis.call('HKEYS', lists)) do
    if field ~= digest and field ~= 'm' .. digest then
      redis.call('HDEL', lists, field)
    end
  end
end
