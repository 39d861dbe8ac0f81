#!lua flags=no-writes
-- log_page - chunks that hold the entries after a given one, with the task's state at the same instant.
-- KEYS[1] the task's hash
-- ARGV    after: attempt, n; limit in lines; attempt or 0 for all
-- Result  {'ok', status, stage, attempt, n, more (0|1), after attempt, after n, limit, attempt, {id, fields}, …} | {'not_found'} | {'logs_expired'}
local v = call('HMGET', KEYS[1], 'status', 'stage', 'attempt', 'n', 'logsGone', 'd')
if not v[6] then
    return {'not_found'}
end
local _, execute = given(v[6])
v[1], v[2] = v[1] or (execute == '1' and 'running' or 'queued'), v[2] or (execute == '1' and 'waiting' or '')
v[2] = v[1] == 'running' and v[2] or ''
v[3], v[4] = v[3] or '1', v[4] or '0'
if v[5] == '1' and (v[4] ~= '0' or v[3] ~= '1') then
    return {'logs_expired'}
end
local log, after_attempt, after_n, limit, only = KEYS[1] .. ':log', tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local from, to = after_attempt .. '-' .. (after_n + 1), '+'
if only > 0 then
    to = only .. '-18446744073709551615'
    if after_attempt < only then
        from = only .. '-0'
    end
end
local first = call('XREVRANGE', log, from, '-', 'COUNT', 1)
if first[1] and (only == 0 or string.match(first[1][1], '^%d+') == tostring(only)) then
    from = first[1][1]
end
local out = {'ok', v[1], v[2], v[3], v[4], 0, ARGV[1], ARGV[2], ARGV[3], ARGV[4]}
local lines, bytes = 0, 0
while true do
    local got = call('XRANGE', log, from, to, 'COUNT', 50)
    for _, entry in ipairs(got) do
        if lines > limit or bytes > 4194304 then
            out[6] = 1
            return out
        end
        out[#out + 1] = entry
        local attempt, n = string.match(entry[1], '^(%d+)-(%d+)$')
        local past = tonumber(attempt) == after_attempt and math.max(after_n + 1 - tonumber(n), 0) or 0
        lines, bytes = lines + math.max(entry[2][2] - past, 0), bytes + tonumber(entry[2][6] or #entry[2][4])
        from = '(' .. entry[1]
    end
    if #got < 50 then
        return out
    end
end
