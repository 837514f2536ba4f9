-- Posts what is not present. KEYS[1]: the partition's identity. ARGV: the identity as the caller knows it or "", now in
-- milliseconds, the room of a lane, then lane, due, id and letter of each message.
-- Answers the identity ("" when there is none, and nothing was posted) and the lanes that had no room for some of it.
local base, known, now, room = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local identity = redis.call('GET', base)
if not identity then
  return { '', {} }
end
local at, letters = base .. ':at', base .. ':letters'
local lanes = {}
for i = 4, #ARGV, 4 do
  local name, due, id = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local lane = lanes[name]
  if not lane then
    local entries, timers = base .. ':in:' .. name, base .. ':due:' .. name
    lane = { entries = entries, timers = timers, full = false }
    lane.taken = redis.call('XLEN', entries)
    lane.waiting = redis.call('ZCARD', timers)
    lanes[name] = lane
    redis.call('SADD', base .. ':lanes', name)
  end
  if redis.call('HEXISTS', at, id) == 0 then
    if tonumber(due) > now then
      if lane.waiting >= room then
        lane.full = true
      else
        redis.call('ZADD', lane.timers, due, id)
        redis.call('HSET', letters, id, ARGV[i + 3])
        redis.call('HSET', at, id, '- ' .. name)
        lane.waiting = lane.waiting + 1
      end
    elseif lane.taken >= room then
      lane.full = true
    else
      local entry = redis.call('XADD', lane.entries, '*', 'l', ARGV[i + 3])
      redis.call('HSET', at, id, entry .. ' ' .. name)
      lane.taken = lane.taken + 1
    end
  end
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
