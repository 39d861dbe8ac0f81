# Tests of runner/agent and runner/gateway.
pj_library(pj_rig SOURCES gateway_rig.c LIBS pj_gateway pj_support PkgConfig::CRITERION)
pj_test(test_agent_run SOURCES agent_run.c LIBS pj_rig)
add_dependencies(test_agent_run pj-agent)
pj_test(test_gateway_run SOURCES gateway_run.c LIBS pj_rig)
add_dependencies(test_gateway_run pj-agent)
pj_test(test_agent_tools SOURCES agent_tools.c LIBS pj_agent_core)
pj_test(test_agent_words SOURCES agent_words.c LIBS pj_agent_core)
pj_test(test_gateway_foreign SOURCES gateway_foreign.c LIBS pj_rig)
