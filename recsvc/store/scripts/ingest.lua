-- with unwanted sequence dropped
-- The events of one user, all or none, in order.
-- KEYS: state, log, recent, unwanted. ARGV: beginning and end of the filter's names, limit of the stream, a digit for
-- each event (1: it raises the sequence number), then four for each event: number of its id, payload, draft of the
-- recent event or '', what is not wanted since when as '<milliseconds>:<field>' or ''.
-- Reply: a letter for each event, a accepted, d duplicate, n not stored; in an array where n may occur, with the user
-- that this one was merged into, or '' where the stream is full.
local STATE, LOG, RECENT, UNWANTED = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local FILTER, USER, LIMIT, RAISES = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local FIRST, STRIDE = 5, 4
local DAY, LIFE, RECENT_EVENTS, BUCKET_SIZE, BUCKETS = 86400, 31 * 86400, 200, 512, 8
local call = redis.call

local time = call('TIME')
local today = math.floor(time[1] / DAY)
local state = call('HMGET', STATE, 'into', 'seq', 'day')
local into, sequence, marked = state[1], state[2], tonumber(state[3] or 0)

-- `day` is the number of the day, of its open bucket (0 to 7), and how many buckets the day before has (0 to 8).
local day = math.floor(marked / 128)
local open, before = math.floor(marked / 16) % 8, marked % 16
local renewed = day ~= today
if renewed then
  open, before = 0, day == today - 1 and open + 1 or 0
end

local function bucket(of_day, number)
  return FILTER .. of_day .. '.' .. number .. USER
end

-- Which events are in a bucket that takes no more.
local numbers, known = {}, {}
for at = FIRST, #ARGV, STRIDE do
  numbers[#numbers + 1] = ARGV[at]
end
local function look_in(name)
  for at, found in ipairs(call('SMISMEMBER', name, unpack(numbers))) do
    if found == 1 then
      known[at] = true
    end
  end
end
for number = 0, before - 1 do
  look_in(bucket(today - 1, number))
end
for number = 0, open - 1 do
  look_in(bucket(today, number))
end
local filter = bucket(today, open)

local full = not into and call('XLEN', LOG) >= LIMIT
if into or full then
  look_in(filter)
  for at = 1, #numbers do
    numbers[at] = known[at] and 'd' or 'n'
  end
  return {table.concat(numbers), into or ''}
end

local function recent(draft, id)
  local milliseconds, number = string.match(id, '(%d+)-(%d+)')
  number = math.min(tonumber(number), 65535) -- what fits
  local code, seconds = struct.unpack('>BI4', draft)
  local age = math.floor(milliseconds / 1000) - seconds
  if age >= 0 and age < 256 then
    return struct.pack('>BI6I2B', code, milliseconds, number, age) .. string.sub(draft, 6)
  end
  return struct.pack('>BI6I2I4', code + 64, milliseconds, number, seconds) .. string.sub(draft, 6)
end

local size = renewed and 0 or call('SCARD', filter)
local letters, news, raised = {}, {}, false
local added, grown = {}, false -- fields of what is not wanted
for event = 1, #numbers do
  local at = FIRST + (event - 1) * STRIDE
  if size >= BUCKET_SIZE and open < BUCKETS - 1 then
    look_in(filter) -- from here on for the events to come, which may repeat one of this call
    open = open + 1
    filter, size = bucket(today, open), 0
  end
  if known[event] or call('SADD', filter, numbers[event]) == 0 then
    letters[event] = 'd'
  else
    letters[event] = 'a'
    if size == 0 then
      call('EXPIREAT', filter, (today + 2) * DAY)
    end
    size = size + 1
    local id = call('XADD', LOG, '*', 'e', ARGV[at + 1])
    if ARGV[at + 2] ~= '' then
      news[#news + 1] = recent(ARGV[at + 2], id)
    end
    local unwanted = ARGV[at + 3]
    if unwanted ~= '' then
      local colon = string.find(unwanted, ':', 1, true)
      local field = string.sub(unwanted, colon + 1)
      if not_wanted(UNWANTED, field, string.sub(unwanted, 1, colon - 1)) then
        added[field], grown = true, true
      end
    end
    raised = raised or string.byte(RAISES, event) == 49
  end
end

if grown then
  trim_unwanted(UNWANTED, added)
end

local lives = renewed -- whether lifetimes are set anew
if #news > 0 then
  local length = call('RPUSH', RECENT, unpack(news))
  lives = lives or length == #news
  if length > RECENT_EVENTS then
    local lost = call('LINDEX', RECENT, length - RECENT_EVENTS - 1)
    local code, milliseconds, number = struct.unpack('>BI6I2', lost)
    local partition = tonumber(string.sub(STATE, 3, 5))
    if math.floor(code / 32) % 2 == 1 then
      partition = string.byte(lost, math.floor(code / 64) % 2 == 1 and 14 or 11)
    end
    drop(STATE, call('HGET', STATE, 'dropped'), string.format('%d:%.0f-%d', partition, milliseconds, number))
    call('LTRIM', RECENT, -RECENT_EVENTS, -1)
  end
end
if raised then
  raise(STATE, sequence, time)
end
local mark = today * 128 + open * 16 + before
if mark ~= marked then
  call('HSET', STATE, 'day', mark)
end
if lives then
  call('EXPIRE', STATE, LIFE)
  call('EXPIRE', RECENT, LIFE)
end
return table.concat(letters)
