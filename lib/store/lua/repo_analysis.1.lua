#!lua
-- repo_analysis - put or drop the CodeRabbit analysis of a repository.
-- KEYS[1] its hash
-- ARGV    the text, or '' to drop it
-- Result  {'ok', hash} | {'not_found'}
local h = call('HGETALL', KEYS[1])
if #h == 0 then
    return {'not_found'}
end
if ARGV[1] == '' then
    call('DEL', KEYS[1] .. ':analysis')
else
    call('SET', KEYS[1] .. ':analysis', ARGV[1])
end
return {'ok', h}
