#!lua
-- repo_analysis - put or drop the CodeRabbit analysis of a repository.
-- KEYS[1] its hash
-- ARGV    the text, or '' to drop it; then maybe the SHA-1 of the text that must be there ('' when there must be none)
-- Result  {'ok', hash} | {'not_found'} | {'changed'}
local h = call('HGETALL', KEYS[1])
if #h == 0 then
    return {'not_found'}
end
if ARGV[2] then
    local text = call('GET', KEYS[1] .. ':analysis')
    if (text and redis.sha1hex(text) or '') ~= ARGV[2] then
        return {'changed'}
    end
end
if ARGV[1] == '' then
    call('DEL', KEYS[1] .. ':analysis')
else
    call('SET', KEYS[1] .. ':analysis', ARGV[1])
end
return {'ok', h}
