# Parsers of lib/json, lib/task and lib/store.
pj_fuzz(fuzz_task SOURCES fuzz_task.c LIBS pj_task pj_json CORPUS task)
pj_fuzz(fuzz_store SOURCES fuzz_store.c LIBS pj_store pj_task pj_json CORPUS store)
