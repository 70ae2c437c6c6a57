-- Deletes everything of a user.
-- KEYS: log, dead letters, state, then the others with a name of their own. ARGV: the user, beginning and end of the
-- filter's names.
-- Reply: last id of the log, Redis' time in microseconds, how many keys were deleted, whom the user was merged into or
-- '', users merged into this one (the last of KEYS).
local BUCKETS, DAY = 8, 86400
local call = redis.call

local time = call('TIME')
local into = call('HGET', KEYS[3], 'into')
local merged = call('HKEYS', KEYS[#KEYS])

local log = redis.pcall('XINFO', 'STREAM', KEYS[1])
-- Without a stream its entries of before, if there were any, are all older than this moment.
local last = string.format('%.0f-0', time[1] * 1000 + math.floor(time[2] / 1000) - 1)
if not log.err then
  for at = 1, #log, 2 do
    if log[at] == 'last-generated-id' then
      last = log[at + 1]
    end
  end
end

local names = {}
for at = 3, #KEYS do
  names[#names + 1] = KEYS[at]
end
local today = math.floor(time[1] / DAY)
for day = today - 2, today + 1 do
  for bucket = 0, BUCKETS - 1 do
    names[#names + 1] = ARGV[2] .. day .. '.' .. bucket .. ARGV[3]
  end
end
local deleted = call('DEL', unpack(names))

for _, entry in ipairs(call('XRANGE', KEYS[2], '-', '+')) do
  local fields = entry[2]
  for at = 1, #fields, 2 do
    if fields[at] == 'e' then
      local readable, event = pcall(cjson.decode, fields[at + 1])
      local theirs
      if readable and type(event) == 'table' and event.u then
        theirs = event.u == ARGV[1]
      else
        theirs = string.find(fields[at + 1], ARGV[1], 1, true) -- it may well be theirs
      end
      if theirs then
        call('XDEL', KEYS[2], entry[1])
      end
    end
  end
end
return {last, string.format('%.0f', time[1] * 1000000 + time[2]), deleted, into or '', merged}
