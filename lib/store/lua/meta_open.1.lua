#!lua flags=allow-oom
-- meta_open - the schema's number and the number of partitions: written at the first start, read ever after.
-- KEYS[1] pj:{g}:meta
-- ARGV    schema, partitions
-- Result  {'ok', schema, partitions}
call('HSETNX', KEYS[1], 'schema', ARGV[1])
call('HSETNX', KEYS[1], 'partitions', ARGV[2])
local v = call('HMGET', KEYS[1], 'schema', 'partitions')
return {'ok', v[1], v[2]}
