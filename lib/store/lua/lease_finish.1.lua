#!lua flags=allow-oom
-- lease_finish - the end of an attempt: the only way of a running task to a terminal state.
-- KEYS[1] the task's hash
-- ARGV    id, epoch or -1, attempt or 0, states it may be in, status, patch or '', prefix of runners' channels, then names and values
-- Result  {'ok', repeated (0|1), status, duration ms, tokens} | {'not_found'} | {'stale_lease'} | {'stale_attempt'} | {'not_running'}
-- Moves   running -> completed | failed | needs_review | needs_clarification | cancelled
-- include hash.lua
-- include queue.lua
-- include state.lua
-- include fence.lua
local id, epoch, status, now = ARGV[1], ARGV[2], ARGV[5], now_ms()
local h = load_task(id, 'fin')
local function answer(repeated)
    local took = h.started ~= '' and now - h.started or 0
    return {'ok', repeated, status, string.format('%.0f', took), tonumber(call('HGET', KEYS[1], 'uTotal') or '') or 0}
end
if h and epoch ~= '-1' and h.more == epoch .. ' ' .. status and h.status == status then
    return answer(1)
end
local refusal = fence(h, epoch, ARGV[3])
if refusal then
    return refusal
end
if not has_word(ARGV[4], h.status) then
    return {'not_running', h.status}
end
if ARGV[6] ~= '' then
    call('SET', KEYS[1] .. ':patch', ARGV[6])
end
if epoch == '-1' and h.slot == 'l' and h.runner ~= '' then
    call('PUBLISH', ARGV[7] .. h.runner, 'cancel ' .. id)
end
local set = {unpack(ARGV, 8)}
set[#set + 1], set[#set + 2] = 'fin', epoch .. ' ' .. status
if ARGV[6] ~= '' then
    set[#set + 1], set[#set + 2] = 'hasPatch', 1
end
finish(id, h, status, set, now)
return answer(0)
