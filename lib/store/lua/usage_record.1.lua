#!lua
-- usage_record - one model call: added to the task's totals and to the sums of its model, once by its id.
-- KEYS[1] the task's hash
-- ARGV    id, epoch or -1, attempt, call id, document, provider/model, prompt, completion, cached, cache write, reasoning, cost or -1
-- Result  {'ok', total before, total after} | {'not_found'} | {'stale_lease'} | {'stale_attempt'} | {'not_running'}
-- include task.lua
-- include fence.lua
local h = load_task(ARGV[1])
local refusal = fence(h, ARGV[2], ARGV[3])
if refusal then
    return refusal
end
local before = tonumber(h.tokens or 0)
if call('SADD', KEYS[1] .. ':calls', ARGV[4]) == 0 then
    return {'ok', before, before}
end
local um, model = KEYS[1] .. ':um', ARGV[6]
call('RPUSH', KEYS[1] .. ':usage', ARGV[5])
for i, name in ipairs({'uPrompt', 'uCompletion', 'uCached', 'uCacheWrite', 'uReasoning'}) do
    call('HINCRBY', KEYS[1], name, ARGV[6 + i])
end
for i, part in ipairs({'p', 'o', 'h'}) do
    call('HINCRBY', um, part .. ':' .. model, ARGV[6 + i])
end
call('HINCRBY', um, 'c:' .. model, 1)
if ARGV[12] == '-1' then
    call('HINCRBY', KEYS[1], 'uUnpriced', 1)
    call('HINCRBY', um, 'u:' .. model, 1)
else
    call('HINCRBY', KEYS[1], 'uCost', ARGV[12])
    call('HINCRBY', um, 'd:' .. model, ARGV[12])
end
return {'ok', before, call('HINCRBY', KEYS[1], 'uTotal', ARGV[7] + ARGV[8])}
