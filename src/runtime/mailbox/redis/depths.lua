-- How many messages each lane holds. KEYS[1]: the partition's identity. Answers lane and count in turn.
local base = KEYS[1]
local depths = {}
for _, name in ipairs(redis.call('SMEMBERS', base .. ':lanes')) do
  depths[#depths + 1] = name
  depths[#depths + 1] = redis.call('XLEN', base .. ':in:' .. name) + redis.call('ZCARD', base .. ':due:' .. name)
end
return depths
