#!lua flags=allow-oom
-- log_retain - drop the logs and trajectories of tasks that ended long ago; the task stays.
-- KEYS[1] the set of ended tasks
-- ARGV    age ms, most
-- Result  {'ok', dropped}
-- include fold.lua
fold_all()
local ids = call('ZRANGE', KEYS[1], '-inf', now_ms() - ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do
    local t = P .. 't:' .. id
    call('UNLINK', t .. ':log', t .. ':traj', t .. ':pack')
    call('HSET', t, 'logsGone', 1)
    call('ZREM', KEYS[1], id)
    call('ZREM', P .. 'hot', id)
end
return {'ok', #ids}
