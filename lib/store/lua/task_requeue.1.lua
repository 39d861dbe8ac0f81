#!lua
-- task_requeue - an ended task becomes queued again as a new attempt: after an answer, or to be retried.
-- KEYS[1] the task's hash
-- ARGV    id, states it may be in, the refusal's word, execute (0|1), then names and values of the hash
-- Result  {'ok', the hash} | {'not_found'} | {the refusal's word, status}
-- Moves   needs_clarification | failed | needs_review | cancelled | completed -> queued [-> running]
-- include hash.lua
-- include queue.lua
-- include backlog.lua
-- include state.lua
-- include task.lua
-- include move.lua
-- include fold.lua
fold_all()
local id, execute, now = ARGV[1], ARGV[4] == '1', now_ms()
local h = load_task(id)
if not h then
    return {'not_found'}
end
if not has_word(ARGV[2], h.status) then
    return {ARGV[3], h.status}
end
-- A further round goes on with the pull request of the first: without an open one there is nothing to add to.
if h.status == 'completed' then
    local pr = call('HMGET', KEYS[1], 'prUrl', 'prState')

    if (pr[1] or '') == '' or pr[2] == 'closed' or pr[2] == 'merged' then
        return {ARGV[3], 'completed, and it has no open pull request'}
    end
end
local status = execute and 'running' or 'queued'
call('HSET', KEYS[1], 'status', status, 'stage', execute and 'waiting' or '', 'slot', execute and 'b' or '', 'attempt', h.attempt + 1, 'n', 0,
    'executed', execute and now or '', 'updated', now, 'lease', unleased(h.epoch, 0, now, '-', '-', '-'), 'baseSha', '', 'errCode', '',
    'errTitle', '', 'errDetail', '', 'errRemedy', '', 'errRetry', '', 'upStatus', '', 'upMessage', '', 'upRequest', '', 'checks', '',
    'fin', '', 'mode', '', 'rejects', '', 'cancel', '', 'logsGone', '', unpack(ARGV, 5))
call('ZREM', P .. 'ended', id)
call('ZREM', P .. 'hot', id)
call('DEL', KEYS[1] .. ':pack')
h.attempt, h.n = tostring(h.attempt + 1), '0'
announce(id, h, h.status, status, execute and 'waiting' or '', now)
if execute then
    enqueue_one(id, h.owner, priority_of(h))
end
return commit({'ok', call('HGETALL', KEYS[1])})
