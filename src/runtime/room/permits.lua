-- Who holds which permits: `ledger.rs` says what this does, and a test compares the two.
-- KEYS[1]: what all keys begin with. ARGV: node, number, lease in ms, running, waiting, channel for rings, then of each
-- permit key: its name, limit, held, wanted. Answers held and keep of each; -1 and -1 of what was said too late.
-- `KEYS[1]:since` holds the server's run and when the permits began to be known, `:nodes` how each node is doing,
-- `:key:NAME` the records of a key by node, and under `#` the count of its turns.
local base, node, number, lease = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- A server that was started again or took over may lack its last second. Where it may not say who it is, only one that
-- forgot everything is noticed.
local told, who = pcall(redis.call, 'INFO', 'server')
local run = told and type(who) == 'string' and string.match(who, 'run_id:(%w+)') or '-'
local since = redis.call('GET', base .. ':since')
local known_run, known_since = string.match(since or '', '^(%S+) (%d+)$')
if known_run ~= run then
    known_since = now
    redis.call('SET', base .. ':since', run .. ' ' .. string.format('%d', now))
end
local may_grow = now >= tonumber(known_since) + lease
local till = now + lease
local joined = redis.call('HSET', base .. ':nodes', node, ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. string.format('%d', till))
if joined == 1 then
    local nodes = redis.call('HGETALL', base .. ':nodes')
    for field = 1, #nodes, 2 do
        if tonumber(string.match(nodes[field + 1], '(%d+)$')) <= now then
            redis.call('HDEL', base .. ':nodes', nodes[field])
        end
    end
end

local function shares_of(records, limit)
    local line, shares, left = {}, {}, limit
    for name, record in pairs(records) do
        shares[name] = 0
        line[#line + 1] = { name = name, held = record.held, turn = record.turn, wanted = record.wanted }
    end
    table.sort(line, function(a, b)
        if a.held ~= b.held then return a.held < b.held end
        if a.turn ~= b.turn then return a.turn < b.turn end
        return a.name < b.name
    end)
    while true do
        local hungry = {}
        for _, one in ipairs(line) do
            if shares[one.name] < one.wanted then hungry[#hungry + 1] = one end
        end
        if #hungry == 0 or left == 0 then return shares end
        local each = math.max(1, math.floor(left / #hungry))
        for _, one in ipairs(hungry) do
            local more = math.min(each, one.wanted - shares[one.name], left)
            shares[one.name] = shares[one.name] + more
            left = left - more
        end
        line = hungry
    end
end

local function write(key, name, record)
    redis.call('HSET', key, name, string.format('%d %d %d %d %d %d',
        record.number, record.limit, record.held, record.wanted, record.turn, record.till))
end

local answer, rings = {}, {}
for at = 7, #ARGV, 4 do
    local key = base .. ':key:' .. ARGV[at]
    local limit, held, wanted = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local records, turns = {}, 0
    local stored = redis.call('HGETALL', key)
    for field = 1, #stored, 2 do
        if stored[field] == '#' then
            turns = tonumber(stored[field + 1])
        else
            local n, l, h, w, t, u = string.match(stored[field + 1], '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
            if tonumber(u) > now then
                records[stored[field]] = { number = tonumber(n), limit = tonumber(l), held = tonumber(h),
                    wanted = tonumber(w), turn = tonumber(t), till = tonumber(u) }
            else
                redis.call('HDEL', key, stored[field])
            end
        end
    end
    local mine = records[node]
    if mine and mine.number >= number then
        answer[#answer + 1], answer[#answer + 2] = -1, -1
    else
        local turn = mine and mine.held <= held and mine.turn or turns + 1
        if turn > turns then turns = turn end
        mine = { number = number, limit = limit, held = held, wanted = wanted, turn = turn, till = till }
        if held == 0 and wanted == 0 then
            mine = nil
            redis.call('HDEL', key, node)
        end
        records[node] = mine
        local least, in_use, count = nil, 0, 0
        for _, record in pairs(records) do
            least = math.min(least or record.limit, record.limit)
            in_use = in_use + record.held
            count = count + 1
        end
        least = least or 0
        local shares = shares_of(records, least)
        local free = math.max(0, least - in_use)
        local more = math.min(math.max(0, (shares[node] or 0) - held), free)
        if more > 0 and may_grow then
            turns = turns + 1
            mine.turn, mine.held = turns, held + more
            held, free = mine.held, free - more
            shares = shares_of(records, least)
        end
        local keep = shares[node] or 0
        if mine then write(key, node, mine) end
        if count == 0 then
            redis.call('DEL', key)
        else
            redis.call('HSET', key, '#', turns)
            redis.call('PEXPIRE', key, lease * 2)
        end
        if may_grow then
            for name, record in pairs(records) do
                local share = shares[name] or 0
                if name ~= node and (record.held > share or (record.held < share and free > 0)) then
                    rings[#rings + 1] = ARGV[at]
                    break
                end
            end
        end
        answer[#answer + 1], answer[#answer + 2] = held, keep
    end
end
if #rings > 0 then
    redis.call('PUBLISH', ARGV[6], cjson.encode({ node = node, keys = rings }))
end
return answer
