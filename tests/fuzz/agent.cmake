# Parsers of lib/model, lib/wire, runner/gateway and runner/agent.
pj_fuzz(fuzz_sse SOURCES fuzz_sse.c LIBS pj_model CORPUS sse)
pj_fuzz(fuzz_frame SOURCES fuzz_frame.c LIBS pj_wire CORPUS frame)
pj_fuzz(fuzz_http_in SOURCES fuzz_http_in.c LIBS pj_gateway CORPUS http_in)
pj_fuzz(fuzz_face SOURCES fuzz_face.c LIBS pj_gateway CORPUS face)
pj_fuzz(fuzz_diff_extract SOURCES fuzz_diff_extract.c LIBS pj_agent_core CORPUS diff_extract)
