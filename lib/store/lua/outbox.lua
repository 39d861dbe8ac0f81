-- outbox.lua - a record of the outbox as names and values. Until somebody claims it, it is a line in `ob:new`: task, owner, template,
-- created.
local function record(name)
    local hash = call('HGETALL', P .. 'ob:' .. name)
    if #hash == 0 then
        local task, owner, template, created = string.match(call('HGET', P .. 'ob:new', name) or '', '^(%S+) (%S+) (%S+) (%S+)$')
        if task then
            hash = {'id', name, 'kind', 'mail', 'task', task, 'owner', owner, 'template', template, 'created', created}
        end
    end
    return hash
end
