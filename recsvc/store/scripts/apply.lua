-- with unwanted sequence dropped
-- Adds to a user what another had, once.
-- KEYS: state, recent, unwanted, merged. ARGV: the other user, id of the entry that sealed it, its partition, its
-- `dropped` or '', how many recent events follow, how many of unwanted, how many merged users, whom experiments take the
-- other for; then these: events, and pairs of field and value.
-- Reply: '' where it was applied, else whom this user was merged into, or 1 where it had been applied.
local STATE, RECENT, UNWANTED, MERGED = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local MOST_RECENT, MOST_MERGED, LIFE = 200, 1000, 31 * 86400
local call = redis.call

local state = call('HMGET', STATE, 'into', 'seq', 'dropped', 'day')
if state[1] then
  return state[1]
end
local known = call('HGET', MERGED, ARGV[1])
if known and not after(ARGV[2], known) then
  return 1
end

local n_recent, n_unwanted, n_merged = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local at = 9

-- Who did nothing before goes on in the experiments as the other one.
if not state[4] and call('HEXISTS', STATE, 'unit') == 0 then
  call('HSET', STATE, 'unit', ARGV[8])
end

-- Recent events of both in the order of their ids, each with the partition it comes from.
local own = tonumber(string.sub(STATE, 3, 5))
local events = {}
local function take(record, partition)
  local code, ms, number = struct.unpack('>BI6I2', record)
  local length = math.floor(code / 64) % 2 == 1 and 13 or 10 -- up to the time
  local foreign = math.floor(code / 32) % 2 == 1
  local from = foreign and string.byte(record, length + 1) or partition
  if foreign ~= (from ~= own) then
    local rest = string.sub(record, foreign and length + 2 or length + 1)
    code = foreign and code - 32 or code + 32
    record = struct.pack('B', code) .. string.sub(record, 2, length) .. (foreign and '' or struct.pack('B', from)) .. rest
  end
  events[#events + 1] = {ms = ms, number = number, partition = from, record = record}
end
for _, record in ipairs(call('LRANGE', RECENT, 0, -1)) do
  take(record, own)
end
for _ = 1, n_recent do
  take(ARGV[at], tonumber(ARGV[3]))
  at = at + 1
end
table.sort(events, function(one, other)
  if one.ms ~= other.ms then
    return one.ms < other.ms
  elseif one.number ~= other.number then
    return one.number < other.number
  end
  return one.partition < other.partition
end)
local first = math.max(1, #events - MOST_RECENT + 1)
local dropped = state[3]
if ARGV[4] ~= '' then
  dropped = drop(STATE, dropped, ARGV[4])
end
if first > 1 then
  local last = events[first - 1]
  drop(STATE, dropped, string.format('%d:%.0f-%d', last.partition, last.ms, last.number))
end
if n_recent > 0 then
  local records = {}
  for event = first, #events do
    records[#records + 1] = events[event].record
  end
  call('DEL', RECENT)
  call('RPUSH', RECENT, unpack(records))
  call('EXPIRE', RECENT, LIFE)
end
for _ = 1, n_unwanted do
  not_wanted(UNWANTED, ARGV[at], ARGV[at + 1])
  at = at + 2
end
if n_unwanted > 0 then
  trim_unwanted(UNWANTED, {})
end

local function note_merged(user, sealed)
  local before = call('HGET', MERGED, user)
  if not before or after(sealed, before) then
    call('HSET', MERGED, user, sealed)
  end
end
for _ = 1, n_merged do
  note_merged(ARGV[at], ARGV[at + 1])
  at = at + 2
end
note_merged(ARGV[1], ARGV[2])
while call('HLEN', MERGED) > MOST_MERGED do
  local all = call('HGETALL', MERGED)
  local oldest = 1
  for field = 3, #all, 2 do
    if after(all[oldest + 1], all[field + 1]) then
      oldest = field
    end
  end
  call('HDEL', MERGED, all[oldest])
end

raise(STATE, state[2], call('TIME'))
call('EXPIRE', STATE, LIFE)
return ''
