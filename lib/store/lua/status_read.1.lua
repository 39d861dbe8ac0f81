#!lua flags=no-writes
-- status_read - changes of tasks after one, which is named by its entry and its line in it: "<ms>-<seq * 64 + line>"; 'none' when some
-- of them may be gone.
-- KEYS[1] the stream
-- ARGV    after, most lines (somewhat more may come)
-- Result  {'ok', {entry, number of the first line, lines}, …} | {'none'}
local ms, number = string.match(ARGV[1], '^(%d+)%-(%d+)$')
if tonumber(ms) < now_ms() - 3600000 then
    return {'none'}
end
local most, from, out, count = tonumber(ARGV[2]), string.format('%s-%.0f', ms, math.floor(number / 64)), {'ok'}, 0
local seen, after = from, number % 64
while count < most do
    local got = call('XRANGE', KEYS[1], from, '+', 'COUNT', 100)
    for _, entry in ipairs(got) do
        local line = 0
        for text in string.gmatch(entry[2][2], '[^\n]+') do
            if entry[1] ~= seen or line > after then
                local last = out[#out]
                if type(last) == 'table' and last[1] == entry[1] then
                    last[3] = last[3] .. '\n' .. text
                else
                    out[#out + 1] = {entry[1], line, text}
                end
                count = count + 1
            end
            line = line + 1
        end
        from = '(' .. entry[1]
    end
    if #got < 100 then
        break
    end
end
return out
