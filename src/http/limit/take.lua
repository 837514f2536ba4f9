-- Takes calls out of buckets, each kept as the time at which it is full again, in microseconds: the arithmetic of
-- bucket.rs. A bucket that is full is forgotten.
-- KEYS[1]: what the names of the buckets begin with. ARGV: of each call the bucket's name, in which time a call comes
-- back and in which time an empty bucket fills.
-- Answers the time, and for each call whether it was given and after which time the bucket is full.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local answer = { now }
-- Many calls of one caller are one reading and one writing.
local buckets, taken = {}, {}
for at = 1, #ARGV, 3 do
    local name = ARGV[at]
    local step, window = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local full = buckets[name] or tonumber(redis.call('GET', KEYS[1] .. ':' .. name) or now)
    full = math.max(now, math.min(full, now + window))
    local allowed = full + step <= now + window
    if allowed then
        full = full + step
        taken[name] = full
    end
    buckets[name] = full
    answer[#answer + 1] = allowed and 1 or 0
    answer[#answer + 1] = full - now
end
for name, full in pairs(taken) do
    redis.call('SET', KEYS[1] .. ':' .. name, string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000) + 1)
end
return answer
