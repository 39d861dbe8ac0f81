/* bench_latency - the scenario of R6.1 (tests/scenarios/r6_latency.c) with 20 tasks, measured: pj-api, pj-runner, 20 boxes, 20 viewers. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--json") == 0)
        setenv("PJ_LATENCY_JSON", argv[2], 1);
    setenv("PJ_LATENCY_TASKS", "20", 1);
    struct criterion_test_set *tests = criterion_initialize();
    int passed = criterion_run_all_tests(tests);
    criterion_finalize(tests);
    return passed ? 0 : 1;
}
