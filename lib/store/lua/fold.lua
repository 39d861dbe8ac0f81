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
local function index(text, places)
    for line in string.gmatch(text, '[^\n]+') do
        local id, owner, repo, before, status = string.match(line, '^(%S+) (%S+) (%S+) (%S+) (%S+)')
        if before ~= status then
            local place = places[id]
            if not place then
                place = {owner = owner, repo = repo, before = before}
                places[id] = place
                places[#places + 1] = id
            end
            place.status = status
        end
    end
end
local function list_of(lists, key)
    local list = lists[key]
    if not list then
        list = {}
        lists[key] = list
    end
    return list
end
local function count(fields, field, by)
    fields[field] = (fields[field] or 0) + by
end
-- Sums, notification, retention and index of what ended. Cancelling tells nobody: the owner did it himself. Between two ends of a task
-- its epoch has gone up.
local function fold_ends(ended, sums, lists, gone, told)
    local when, hot, ob, due = list_of(lists, 'ended'), list_of(lists, 'hot'), list_of(lists, 'ob'), list_of(lists, 'ob:due')
    for _, entry in ipairs(ended) do
        local id, before, status, owner, epoch, started, executed, n, at, um = unpack(entry)
        local hour = at - at % 3600000
        local fields = list_of(sums, hour)
        count(fields, 's:' .. status, 1)
        if started ~= '-' then
            local took = math.max(at - started, 0)
            count(fields, 'd:' .. bin(took), 1)
            count(fields, 'ds', took)
            if executed ~= '' then
                count(fields, 'w:' .. bin(started - executed), 1)
            end
        end
        for k = 1, #um, 2 do
            count(fields, 'm:' .. um[k], um[k + 1])
        end
        if n ~= '0' then
            when[#when + 1], when[#when + 2] = at, id
            hot[#hot + 1], hot[#hot + 2] = at, id
        end
        local is, was = list_of(lists, 'tasks:s:' .. status), list_of(gone, 'tasks:s:' .. before)
        is[#is + 1], is[#is + 2], was[#was + 1] = '0', id, id
        if status ~= 'cancelled' then
            local name = 'msg_' .. id .. '_' .. epoch
            told[#told + 1], told[#told + 2] = name, id .. ' ' .. owner .. ' ' .. status .. ' ' .. at
            ob[#ob + 1], ob[#ob + 2] = '0', name
            due[#due + 1], due[#due + 2] = at, name
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
    for hour, fields in pairs(sums) do
        local name = string.format('%.0f', hour)
        call('ZADD', P .. 'an', name, name)
        for field, n in pairs(fields) do
            call('HINCRBY', P .. 'an:' .. name, field, string.format('%.0f', n))
        end
    end
end
local function index_moves(places, lists, gone)
    for _, id in ipairs(places) do
        local place = places[id]
        local is = list_of(lists, 'tasks:s:' .. place.status)
        is[#is + 1], is[#is + 2] = '0', id
        if place.before == '-' then
            for _, key in ipairs({'tasks', 'tasks:u:' .. place.owner, 'tasks:r:' .. place.repo}) do
                local list = list_of(lists, key)
                list[#list + 1], list[#list + 2] = '0', id
            end
        elseif place.before ~= place.status then
            local was = list_of(gone, 'tasks:s:' .. place.before)
            was[#was + 1] = id
        end
    end
end
-- The next changes, `most` or somewhat more; how many there were. Ends and other moves of one task may follow each other: what was
-- gathered of one kind is written before the next kind begins.
local function fold(most)
    local done, handled, entries = call('HGET', P .. 'q', 'folded') or '0-0', 0, nil
    local lists, gone, sums, told, places, last = {}, {}, {}, {}, {}, nil
    local function flush()
        index_moves(places, lists, gone)
        write(lists, gone, sums, told)
        lists, gone, sums, told, places = {}, {}, {}, {}, {}
    end
    repeat
        entries = call('XRANGE', P .. 'ev', '(' .. done, '+', 'COUNT', 16)
        for _, entry in ipairs(entries) do
            local kind = entry[2][3]
            if kind and last and (kind ~= last or kind == 'fm') then
                flush()
            end
            if kind == 'm' or kind == 'fm' then
                local before = #places
                index(entry[2][2], places)
                handled = handled + #places - before
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
