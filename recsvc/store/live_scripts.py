"""The scripts of `live_store`: each numbers and announces the changes that it makes."""

from __future__ import annotations

from typing import Final

_LAST: Final = """
local function last_change(stream, floor)
  local entry = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local n = entry and tonumber(string.match(entry[1], '^%d+')) or 0
  return math.max(n, tonumber(floor))
end
local function announce(stream, length, n, kind, value)
  redis.call('XADD', stream, 'MAXLEN', '~', length, string.format('%.0f-0', n), 'k', kind, 'v', value)
end
"""

PUT_ITEMS: Final = (
    _LAST
    + """
-- KEYS: items, changes. ARGV: floor, most items, stream length, then for each item: id, value, what it must be now.
local n = last_change(KEYS[2], ARGV[1])
local results = {}
for at = 4, #ARGV, 3 do
  local id, value, expected = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local old = redis.call('HGET', KEYS[1], id)
  if expected ~= '' and expected ~= (old or '-') then
    results[#results + 1] = {'conflict', old or ''}
  elseif not old and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[2]) then
    results[#results + 1] = {'full', ''}
  else
    redis.call('HSET', KEYS[1], id, value)
    n = n + 1
    announce(KEYS[2], ARGV[3], n, 'item', value)
    results[#results + 1] = {'done', old or ''}
  end
end
return results
"""
)

_RISE: Final = """
local function parsed(json)
  local ok, tombstone = pcall(cjson.decode, json)
  return ok and type(tombstone) == 'table' and tombstone or {}
end
local function erased_at(json)
  return tonumber(parsed(json)['erased_at']) or 0
end
local function rise(latest, at)
  if tonumber(redis.call('GET', latest) or 0) < at then
    redis.call('SET', latest, string.format('%.6f', at))
  end
end
"""

PUT_TOMBSTONES: Final = (
    _LAST
    + _RISE
    + """
-- KEYS: erasures, changes, latest time. ARGV: floor, stream length, then for each: digest, tombstone. The later stays.
local n = last_change(KEYS[2], ARGV[1])
for at = 3, #ARGV, 2 do
  local old = redis.call('HGET', KEYS[1], ARGV[at])
  rise(KEYS[3], erased_at(ARGV[at + 1]))
  if not old or erased_at(old) <= erased_at(ARGV[at + 1]) then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    n = n + 1
    announce(KEYS[2], ARGV[2], n, 'erasure', ARGV[at + 1])
  end
end
return n
"""
)

ERASE: Final = (
    _LAST
    + _RISE
    + """
-- KEYS: erasures, changes, latest time. ARGV: stream length, digest, until, erased at.
-- Reply: the tombstone as it is now.
local function after(one, other)
  local milliseconds, number = string.match(one, '^(%d+)-(%d+)$')
  local other_milliseconds, other_number = string.match(other, '^(%d+)-(%d+)$')
  if milliseconds ~= other_milliseconds then
    return tonumber(milliseconds) > tonumber(other_milliseconds)
  end
  return tonumber(number) > tonumber(other_number)
end
local until_then, at = ARGV[3], tonumber(ARGV[4])
local latest = tonumber(redis.call('GET', KEYS[3]) or 0)
local old = redis.call('HGET', KEYS[1], ARGV[2])
local before = old and parsed(old)['until']
local known = type(before) == 'string' and string.match(before, '^%d+-%d+$') and not after(until_then, before)
if known then
  until_then = before
end
if at <= latest then -- the clock was set back, or this is written again
  if known then
    return old
  end
  at = latest + 0.000001
end
local format = '{"digest":"%s","until":"%s","erased_at":%.6f}'
local tombstone = string.format(format, ARGV[2], until_then, at)
rise(KEYS[3], at)
redis.call('HSET', KEYS[1], ARGV[2], tombstone)
announce(KEYS[2], ARGV[1], last_change(KEYS[2], 0) + 1, 'erasure', tombstone)
return tombstone
"""
)
