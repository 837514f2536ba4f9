-- Removes messages, read or not. KEYS[1]: the partition's identity. ARGV: the owner's identity, then ids.
-- Answers 0, and removes nothing, when the identity is another one.
local base = KEYS[1]
if redis.call('GET', base) ~= ARGV[1] then
  return 0
end
local at = base .. ':at'
for i = 2, #ARGV do
  local id = ARGV[i]
  local place = redis.call('HGET', at, id)
  if place then
    local entry, name = string.match(place, '^(%S+) (.*)$')
    if entry == '-' then
      redis.call('ZREM', base .. ':due:' .. name, id)
      redis.call('HDEL', base .. ':letters', id)
    else
      redis.call('XDEL', base .. ':in:' .. name, entry)
    end
    redis.call('HDEL', at, id)
  end
end
return 1
