-- fold.lua - what follows from changes (stream `ev`, written by state.lua), worked off in batches and in order, each once: how far it
-- has come (q: folded) is moved in the same script. Whoever lists or sums works off the rest first.
--
--   tasks, tasks:u:<owner>, tasks:r:<repository>, tasks:s:<status>   indexes of ids
--   an:<hour>  sums that analytics shows (usage.h)         ob, ob:due, ob:new, ob:<id>  notifications of owners (outbox.h, outbox.lua)
--   ended      when a task with a log ended: retention            hot                  ended tasks whose log is not packed
-- Where a duration falls: eight steps an octave.
local EIGHT_AN_OCTAVE = 8 / math.log(2)
local function bin(ms)
    return math.floor(math.log(math.max(ms, 0) + 1) * EIGHT_AN_OCTAVE)
end
local function list_of(lists, key)
    local list = lists[key]
    if not list then
        list = {}
        lists[key] = list
    end
    return list
end
-- The first and the last status of each task that moved; a new task's other indexes at once. Words are looked for plainly: a pattern
-- would look at each byte with a table. Returns how many tasks are among `places` for the first time.
local function index(text, places, lists)
    local from, stop, fresh, find, sub = 1, #text, 0, string.find, string.sub
    local all, before_of, status_of = list_of(lists, 'tasks'), places.before, places.status
    while from <= stop do
        local id_end = find(text, ' ', from, true)
        local owner_end = find(text, ' ', id_end + 1, true)
        local repo_end = find(text, ' ', owner_end + 1, true)
        local before_end = find(text, ' ', repo_end + 1, true)
        local status_end = find(text, ' ', before_end + 1, true)
        local before, status = sub(text, repo_end + 1, before_end - 1), sub(text, before_end + 1, status_end - 1)
        if before ~= status then
            local id = sub(text, from, id_end - 1)
            if not before_of[id] then
                before_of[id], fresh = before, fresh + 1
                if before == '-' then
                    local own = list_of(lists, 'tasks:u:' .. sub(text, id_end + 1, owner_end - 1))
                    local there = list_of(lists, 'tasks:r:' .. sub(text, owner_end + 1, repo_end - 1))
                    all[#all + 1], all[#all + 2] = '0', id
                    own[#own + 1], own[#own + 2] = '0', id
                    there[#there + 1], there[#there + 2] = '0', id
                end
            end
            status_of[id] = status
        end
        from = (find(text, '\n', status_end, true) or stop) + 1
    end
    return fresh
end
local function count(numbers, key, by)
    numbers[key] = (numbers[key] or 0) + by
end
-- What is summed of an hour: how many ended as what, durations and waits by their bin, all durations, models by field.
local function hour_of(sums, at)
    local hour = at - at % 3600000
    sums[hour] = sums[hour] or {s = {}, d = {}, w = {}, m = {}, ds = 0}
    return sums[hour]
end
-- Sums, notification, retention and index of what ended. Cancelling tells nobody: the owner did it himself. A notification has the name
-- of the order that the end answers and of how it ended: were Redis to forget an end that somebody was told of, the same end of a further
-- run has the same name, by which receivers know it.
local function fold_ends(ended, sums, lists, gone, told)
    local when, hot, ob, due = list_of(lists, 'ended'), list_of(lists, 'hot'), list_of(lists, 'ob'), list_of(lists, 'ob:due')
    local is, was, last_status, last_before
    for _, entry in ipairs(ended) do
        local id, before, status, owner, _, started, executed, n, at, um = unpack(entry)
        local ended_at = tonumber(at)
        local hour = hour_of(sums, ended_at)
        count(hour.s, status, 1)
        if started ~= '-' then
            local took = math.max(ended_at - started, 0)
            count(hour.d, bin(took), 1)
            hour.ds = hour.ds + took
            if executed ~= '' then
                count(hour.w, bin(started - executed), 1)
            end
        end
        for k = 1, #um, 2 do
            count(hour.m, um[k], um[k + 1])
        end
        if n ~= '0' then
            when[#when + 1], when[#when + 2] = at, id
            hot[#hot + 1], hot[#hot + 2] = at, id
        end
        if status ~= last_status or before ~= last_before then
            is, was = list_of(lists, 'tasks:s:' .. status), list_of(gone, 'tasks:s:' .. before)
            last_status, last_before = status, before
        end
        is[#is + 1], is[#is + 2], was[#was + 1] = '0', id, id
        if status ~= 'cancelled' then
            local name = 'msg_' .. id .. '_' .. executed .. '_' .. status
            told[#told + 1], told[#told + 2] = name, id .. ' ' .. owner .. ' ' .. status .. ' ' .. at
            ob[#ob + 1], ob[#ob + 2] = '0', name
            due[#due + 1], due[#due + 2] = at, name
        end
    end
end
local function write_sums(sums)
    for at, hour in pairs(sums) do
        local name = string.format('%.0f', at)
        local key = P .. 'an:' .. name
        call('ZADD', P .. 'an', name, name)
        for _, kind in ipairs({'s', 'd', 'w', 'm'}) do
            for what, n in pairs(hour[kind]) do
                call('HINCRBY', key, kind .. ':' .. what, string.format('%.0f', n))
            end
        end
        if hour.ds > 0 then
            call('HINCRBY', key, 'ds', string.format('%.0f', hour.ds))
        end
    end
end
local function write(lists, gone, sums, told)
    for key, ids in pairs(gone) do
        call('ZREM', P .. key, unpack(ids))
    end
    for key, list in pairs(lists) do
        if #list > 0 then
            call('ZADD', P .. key, unpack(list))
        end
    end
    if #told > 0 then
        call('HSET', P .. 'ob:new', unpack(told))
    end
    write_sums(sums)
end
local function index_moves(places, lists, gone)
    for id, status in pairs(places.status) do
        local before, is = places.before[id], list_of(lists, 'tasks:s:' .. status)
        is[#is + 1], is[#is + 2] = '0', id
        if before ~= '-' and before ~= status then
            local was = list_of(gone, 'tasks:s:' .. before)
            was[#was + 1] = id
        end
    end
end
-- The next changes, `most` or somewhat more; how many there were. Ends and other moves of one task may follow each other: what was
-- gathered of one kind is written before the next kind begins.
local function fold(most)
    local done, handled, entries = call('HGET', P .. 'q', 'folded') or '0-0', 0, nil
    local lists, gone, sums, told, places, last = {}, {}, {}, {}, {before = {}, status = {}}, nil
    local function flush()
        index_moves(places, lists, gone)
        write(lists, gone, sums, told)
        lists, gone, sums, told, places = {}, {}, {}, {}, {before = {}, status = {}}
    end
    repeat
        entries = call('XRANGE', P .. 'ev', '(' .. done, '+', 'COUNT', 16)
        for _, entry in ipairs(entries) do
            local kind = entry[2][3]
            if kind and last and (kind ~= last or kind == 'fm') then
                flush()
            end
            if kind == 'm' or kind == 'fm' then
                handled = handled + index(entry[2][2], places, lists)
            end
            if kind == 'fm' then
                flush()
            end
            if kind == 'f' or kind == 'fm' then
                local ended = cmsgpack.unpack(entry[2][4])
                fold_ends(ended, sums, lists, gone, told)
                handled = handled + #ended
            end
            last = kind or last
            done, handled = entry[1], handled + 1
        end
    until #entries < 16 or handled >= most
    if handled > 0 then
        flush()
        call('HSET', P .. 'q', 'folded', done)
    end
    return handled
end
-- All there is; a reader wants the whole.
local function fold_all()
    while fold(500) >= 500 do
    end
end
