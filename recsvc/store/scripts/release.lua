-- Takes away the mark of who computes a list, where it is still for this sequence number.
-- KEYS: lists. ARGV: digest, sequence number. Reply: 1 where it did.
local mark = redis.call('HGET', KEYS[1], 'm' .. ARGV[1])
if mark and struct.unpack('>I8', mark) == tonumber(ARGV[2]) then
  return redis.call('HDEL', KEYS[1], 'm' .. ARGV[1])
end
return 0
