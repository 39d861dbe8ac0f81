#!lua
-- task_create - store new tasks: queued, or (execute) running and waiting.
-- KEYS[1] any key of the partition
-- ARGV    seven for each task: id, execute (0|1), idempotency key or '', owner, repository, priority or '', what it is given (`d` of
--         state.lua without its first two)
-- Result  {{'ok', existing (0|1), the hash}, …}
-- Moves   nothing -> queued | running
-- include queue.lua
-- include state.lua
local now, out, waiting, some = now_us(), {}, {}, false
local at = string.format('%.0f', math.floor(now / 1000))
for i = 1, #ARGV, 7 do
    local id, execute, idem, owner, repo = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
    local made = idem ~= '' and call('HGET', idem, 'task')
    if made then
        out[#out + 1] = {'ok', 1, call('HGETALL', P .. 't:' .. made)}
    else
        if idem ~= '' then
            call('HSET', idem, 'task', id)
        end
        local d = at .. '\0' .. execute .. '\0' .. ARGV[i + 6]
        call('HSET', P .. 't:' .. id, 'd', d)
        if execute == '1' then
            local own = waiting[owner] or {}
            waiting[owner], some = own, true
            own[#own + 1], own[#own + 2] = now + (i - 1) / 7 + (HEAD_START[ARGV[i + 5]] or 0), id -- in the order given
            lines[#lines + 1] = id .. ' ' .. owner .. ' ' .. repo .. ' - running waiting 1 0 ' .. at
        else
            lines[#lines + 1] = id .. ' ' .. owner .. ' ' .. repo .. ' - queued - 1 0 ' .. at
        end
        out[#out + 1] = {'ok', 0, {'d', d}}
    end
end
moved = #lines > 0
if some then
    enqueue(waiting)
end
return commit(out)
