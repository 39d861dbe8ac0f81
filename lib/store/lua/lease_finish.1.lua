#!lua flags=allow-oom
-- lease_finish - the end of attempts: the only way of a running task to a terminal state.
-- KEYS[1] any key of the partition
-- ARGV    prefix of runners' channels, states a task may be in, then for each: id, epoch or -1, attempt or 0, status, patch or '', number
--         of names and values that follow, those
-- Result  for each, a text: 'ok', repeated (0|1), status, since when it ran, until when, tokens, or not_found, or what is refused and why: stale_lease
--         status, stale_attempt attempt, not_running status
-- Moves   running -> completed | failed | needs_review | needs_clarification | cancelled
-- include queue.lua
-- include state.lua
-- include task.lua
-- include end.lua
-- include fence.lua
local now, out, i, from = now_ms(), {}, 3, {}
local at = string.format('%d', now)
for word in string.gmatch(ARGV[2], '%S+') do
    from[word] = true
end
local function answer(h, how, status)
    return 'ok ' .. how .. ' ' .. status .. ' ' .. (h.started == '-' and at or h.started) .. ' ' .. at .. ' ' .. (h.tokens or '0')
end
local function one(id, epoch, attempt, status, patch, set)
    local h = load_task(id, 'fin')
    if h and epoch ~= '-1' and h.status == status and string.match(h.more, ' (%d+)$') == epoch then
        return answer(h, '1', status)
    end
    local refusal = fence(h, epoch, attempt) or (not from[h.status] and {'not_running', h.status})
    if refusal then
        return table.concat(refusal, ' ')
    end
    if epoch == '-1' and h.slot == 'l' and hold(h).runner ~= '' then
        call('PUBLISH', ARGV[1] .. h.runner, 'cancel ' .. id)
    end
    if patch ~= '' then
        call('SET', P .. 't:' .. id .. ':patch', patch)
        set = set or {}
        set[#set + 1], set[#set + 2] = 'hasPatch', 1
    end
    finish(id, h, status, set, epoch == '-1' and '-' or epoch, now)
    return answer(h, '0', status)
end
while ARGV[i] do
    local count = ARGV[i + 5] == '0' and 0 or tonumber(ARGV[i + 5])
    out[#out + 1] = one(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], count > 0 and {unpack(ARGV, i + 6, i + 5 + count)})
    i = i + 6 + count
end
return commit(out)
