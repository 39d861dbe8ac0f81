#!lua flags=allow-oom
-- audit_add - who did what.
-- KEYS[1] the stream
-- ARGV    names and values
-- Result  {'ok'}
call('XADD', KEYS[1], 'MAXLEN', '~', 100000, '*', unpack(ARGV))
return {'ok'}
