#!lua
-- task_publish - run a task again only to push the patch that was kept.
-- KEYS[1] the task's hash
-- ARGV    id, states it may be in
-- Result  {'ok', the hash} | {'not_found'} | {'not_publishable', status} | {'no_patch_kept'}
-- Moves   needs_review -> running
-- include hash.lua
-- include queue.lua
-- include backlog.lua
-- include state.lua
-- include task.lua
-- include move.lua
-- include fold.lua
fold_all()
local id, now = ARGV[1], now_ms()
local h = load_task(id, 'hasPatch')
if not h then
    return {'not_found'}
end
if not has_word(ARGV[2], h.status) then
    return {'not_publishable', h.status}
end
if h.more ~= '1' then
    return {'no_patch_kept'}
end
call('HSET', KEYS[1], 'status', 'running', 'stage', 'waiting', 'slot', 'b', 'mode', 'publish', 'executed', now, 'updated', now,
    'lease', unleased(h.epoch, 0, now, '-', '-', '-'), 'fin', '', 'rejects', '', 'cancel', '', 'logsGone', '', 'errCode', '', 'errTitle', '',
    'errDetail', '', 'errRemedy', '', 'errRetry', '', 'upStatus', '', 'upMessage', '', 'upRequest', '')
call('ZREM', P .. 'ended', id)
call('ZREM', P .. 'hot', id)
call('DEL', KEYS[1] .. ':pack')
announce(id, h, h.status, 'running', 'waiting', now)
enqueue_one(id, h.owner, priority_of(h))
return commit({'ok', call('HGETALL', KEYS[1])})
