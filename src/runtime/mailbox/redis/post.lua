-- Posts what is not present. KEYS[1]: the partition's identity. ARGV: the identity as the caller knows it or "", now in
-- milliseconds, the room of a lane, then lane, due, id and letter of each message.
-- Answers the identity ("" when there is none, and nothing was posted) and the lanes that had no room for some of it.
-- A call costs more than what it does: one call for many messages, wherever the server has one.
local base, known, now, room = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local identity = redis.call('GET', base)
if not identity then
  return { '', {} }
end
local at, letters = base .. ':at', base .. ':letters'
local ids = {}
for i = 6, #ARGV, 4 do
  ids[#ids + 1] = ARGV[i]
end
local present = redis.call('HMGET', at, unpack(ids))
local lanes, posted, places, kept = {}, {}, {}, {}
for number, id in ipairs(ids) do
  local i = 4 * number
  local name, due = ARGV[i], ARGV[i + 1]
  local lane = lanes[name]
  if not lane then
    lane = { entries = base .. ':in:' .. name, timers = base .. ':due:' .. name, full = false }
    lanes[name] = lane
  end
  if not present[number] and not posted[id] then
    local waits = tonumber(due) > now
    local taken, count = 'taken', 'XLEN'
    if waits then
      taken, count = 'waiting', 'ZCARD'
    end
    if not lane[taken] then
      lane[taken] = redis.call(count, waits and lane.timers or lane.entries)
      if lane[taken] == 0 then
        redis.call('SADD', base .. ':lanes', name)
      end
    end
    if lane[taken] >= room then
      lane.full = true
    else
      local place = '-'
      if waits then
        redis.call('ZADD', lane.timers, due, id)
        kept[#kept + 1], kept[#kept + 2] = id, ARGV[i + 3]
      else
        place = redis.call('XADD', lane.entries, '*', 'l', ARGV[i + 3])
      end
      places[#places + 1], places[#places + 2] = id, place .. ' ' .. name
      posted[id] = true
      lane[taken] = lane[taken] + 1
    end
  end
end
if #kept > 0 then
  redis.call('HSET', letters, unpack(kept))
end
if #places > 0 then
  redis.call('HSET', at, unpack(places))
end
local full, rung = {}, {}
for name, lane in pairs(lanes) do
  rung[#rung + 1] = name
  if lane.full then
    full[#full + 1] = name
  end
end
if identity ~= known then
  -- Its owner is another one, and hears of it.
  redis.call('PUBLISH', base .. ':bell', table.concat(rung, '\n'))
end
return { identity, full }
