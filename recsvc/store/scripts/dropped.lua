-- Whether a stream id, also one with its partition before it, is after another.
local function after(one, other)
  local milliseconds, number = string.match(one, '(%d+)-(%d+)$')
  local other_milliseconds, other_number = string.match(other, '(%d+)-(%d+)$')
  if milliseconds ~= other_milliseconds then
    return tonumber(milliseconds) > tonumber(other_milliseconds)
  end
  return tonumber(number) > tonumber(other_number)
end

-- Notes the place of a recent event that is no longer kept, unless a newer one, `known`, is noted.
local function drop(state, known, place)
  if not known or after(place, known) then
    redis.call('HSET', state, 'dropped', place)
    return place
  end
  return known
end
