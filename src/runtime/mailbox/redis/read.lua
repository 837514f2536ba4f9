-- Reads what is due and was not read yet. KEYS[1]: the partition's identity. ARGV: the reader's identity, now in
-- milliseconds, the lane, the entry read last, and how many at most.
-- Answers nothing when the identity is another one; else the entries, and when the next message becomes due ("" for never).
local base, known, now, name = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
if redis.call('GET', base) ~= known then
  return false
end
local entries, timers = base .. ':in:' .. name, base .. ':due:' .. name
local at, letters = base .. ':at', base .. ':letters'
local full = false
local next = redis.call('ZRANGE', timers, 0, 0, 'WITHSCORES')[2]
if next and tonumber(next) <= tonumber(now) then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', timers, '-inf', now, 'LIMIT', 0, 512)) do
    local letter = redis.call('HGET', letters, id)
    if letter then
      -- A server whose memory is full takes nothing in; what is in it must be read all the same.
      local entry = redis.pcall('XADD', entries, '*', 'l', letter)
      if type(entry) == 'table' and entry.err then
        full = true
        break
      end
      redis.call('HSET', at, id, entry .. ' ' .. name)
      redis.call('HDEL', letters, id)
    end
    redis.call('ZREM', timers, id)
  end
  next = redis.call('ZRANGE', timers, 0, 0, 'WITHSCORES')[2]
end
local read = redis.call('XRANGE', entries, '(' .. ARGV[4], '+', 'COUNT', ARGV[5])
if full then
  -- Tried again in a second, not at once.
  return { read, string.format('%.0f', tonumber(now) + 1000) }
end
return { read, next or '' }
