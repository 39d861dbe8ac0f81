# A private redis-server for tests; included by tests/support/CMakeLists.txt.
pj_library(pj_test_redis SOURCES ${CMAKE_CURRENT_LIST_DIR}/redis.c ${CMAKE_CURRENT_LIST_DIR}/name_server.c LIBS pj_store pj_base PkgConfig::CRITERION)
target_compile_definitions(pj_test_redis PRIVATE PJ_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
add_library(pj_support_redis ALIAS pj_test_redis)
