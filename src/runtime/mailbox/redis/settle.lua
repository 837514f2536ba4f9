-- Removes messages, read or not. KEYS[1]: the partition's identity. ARGV: the owner's identity, then ids, at least one.
-- Answers 0, and removes nothing, when the identity is another one.
local base = KEYS[1]
if redis.call('GET', base) ~= ARGV[1] then
  return 0
end
local ids = { unpack(ARGV, 2) }
local places = redis.call('HMGET', base .. ':at', unpack(ids))
local entries, timers = {}, {}
local letters = {}
for number, place in ipairs(places) do
  if place then
    local entry, name = string.match(place, '^(%S+) (.*)$')
    local of = entries
    if entry == '-' then
      of, entry = timers, ids[number]
      letters[#letters + 1] = entry
    end
    of[name] = of[name] or {}
    table.insert(of[name], entry)
  end
end
for name, read in pairs(entries) do
  redis.call('XDEL', base .. ':in:' .. name, unpack(read))
end
for name, waiting in pairs(timers) do
  redis.call('ZREM', base .. ':due:' .. name, unpack(waiting))
end
if #letters > 0 then
  redis.call('HDEL', base .. ':letters', unpack(letters))
end
redis.call('HDEL', base .. ':at', unpack(ids))
return 1
