-- end.lua - the end of a task. Needs state.lua.
local NO_SUMS, ended_at, ended_text = {}, nil, nil
-- The end of a task. `set`: further names and values for the hash, or nil; `by`: the epoch of who ends it, '-': nobody's. The caller has
-- checked that it may. What follows from an end (analytics, the owner's notification, retention, packing) stands in the entry of `ev`,
-- which fold.lua works off in batches.
local function finish(id, h, status, set, by, now)
    local t, sums = P .. 't:' .. id, NO_SUMS
    if h.tokens then
        sums = call('HGETALL', t .. ':um')
        call('DEL', t .. ':um')
    end
    if now ~= ended_at then
        ended_at, ended_text = now, string.format('%d', now)
    end
    local at = ended_text
    if set then
        local n = #set
        set[n + 1], set[n + 2], set[n + 3], set[n + 4], set[n + 5], set[n + 6] = 'status', status, 'slot', '', 'fin', at .. ' ' .. by
        call('HSET', t, unpack(set))
    else
        call('HSET', t, 'status', status, 'slot', '', 'fin', at .. ' ' .. by)
    end
    ends[#ends + 1] = {id, h.status, status, h.owner, h.epoch, h.started, h.executed,
        h.attempt == '1' and h.n or '1', at, sums} -- an earlier attempt has a log, also when this one has none
    lines[#lines + 1] = id .. ' ' .. h.owner .. ' ' .. h.repo .. ' ' .. h.status .. ' ' .. status .. ' - ' .. h.attempt .. ' ' .. h.n .. ' ' .. at
    if h.slot == 'b' then
        call('ZREM', P .. 'bk:' .. h.owner, id)
    elseif h.slot ~= '' then
        if h.slot == 'x' then
            call('SREM', P .. 'external', id)
        else
            freed[#freed + 1] = id
        end
        left = left or {}
        left[h.owner] = (left[h.owner] or 0) + 1
    end
    if h.slot ~= 'l' and hold(h).deadline then
        undated[#undated + 1] = id
    end
end
