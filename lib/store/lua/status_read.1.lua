#!lua flags=no-writes
-- status_read - changes of tasks after an id; 'none' when some of them may be gone.
-- KEYS[1] the stream
-- ARGV    after, most
-- Result  {'ok', entry, …} | {'none'}
local after_ms = tonumber(string.match(ARGV[1], '^(%d+)'))
if after_ms < now_ms() - 3600000 then
    return {'none'}
end
local out = call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
table.insert(out, 1, 'ok')
return out
