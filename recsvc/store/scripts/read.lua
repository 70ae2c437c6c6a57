-- with lists
-- A cached list, or the news it is to be computed from.
-- KEYS: state, lists, recent, unwanted, profile. ARGV: digest or '', life of a mark (milliseconds; 0: none is left),
-- life of the lists (milliseconds).
-- Reply: Redis' time in milliseconds, whom the user was merged into or '', sequence number, the list or nil, 1 where the
-- caller has the mark, `unit` or '', and where there is no list: recent events, `dropped`, unwanted, profile.
local STATE, LISTS, RECENT, UNWANTED, PROFILE = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local DIGEST, MARK_LIFE, LIFE = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local call = redis.call

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local shown = string.format('%.0f', now)
local state = call('HMGET', STATE, 'into', 'seq', 'dropped', 'unit')
if state[1] then
  return {shown, state[1]}
end
local sequence, mine = state[2] or '0', 0
if DIGEST ~= '' then
  local number = tonumber(sequence)
  local cached = call('HMGET', LISTS, DIGEST, 'm' .. DIGEST)
  if cached[1] then
    local computed_at, expires = struct.unpack('>I8I6', cached[1])
    if computed_at == number and expires > now then
      return {shown, '', sequence, string.sub(cached[1], 15), 0, state[4] or ''}
    end
  end
  local marked_at, until_then = -1, 0
  if cached[2] then
    marked_at, until_then = struct.unpack('>I8I6', cached[2])
  end
  if MARK_LIFE > 0 and (marked_at ~= number or until_then <= now) then
    mine = 1
    if call('HSET', LISTS, 'm' .. DIGEST, struct.pack('>I8I6', number, now + MARK_LIFE)) == 1 then
      trim(LISTS, DIGEST)
      if call('TTL', LISTS) == -1 then
        call('PEXPIRE', LISTS, LIFE)
      end
    end
  end
end
return {
  shown, '', sequence, false, mine, state[4] or '',
  call('LRANGE', RECENT, 0, -1), state[3] or '', call('HGETALL', UNWANTED), call('GET', PROFILE),
}
