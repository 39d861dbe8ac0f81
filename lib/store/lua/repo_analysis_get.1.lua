#!lua flags=no-writes
-- repo_analysis_get - the analysis of a repository.
-- KEYS[1] its hash
-- Result  {'ok', text} | {'not_found'} | {'no_analysis'}
if call('EXISTS', KEYS[1]) == 0 then
    return {'not_found'}
end
local text = call('GET', KEYS[1] .. ':analysis')
if not text then
    return {'no_analysis'}
end
return {'ok', text}
