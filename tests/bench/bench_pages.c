/* bench_pages - the log viewer in Chromium: how soon 100,000 lines show their first, how smoothly they scroll, how closely a tail of
 * 1,000 lines a second is followed. The bounds are the product's; tests/pages/logs.mjs measures, in the page and by a browser trace.
 *
 * Prints a table; --json FILE appends a JSON object a row. Says so and passes where no browser is to be had. */
#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/api/writer.h"
#include "tests/pages/stage.h"

#define LINES_A_SECOND 1000
#define BATCH_MS 50
#define LINE_BYTES 120

struct log {
    struct world w;
    struct writer wr;
};

/* `arg` lines at that pace; the last of each batch says when it was written. */
static void cue_tail(void *ctx, const char *arg, struct pj_str *answer)
{
    struct log *l = ctx;
    int64_t left = strtoll(arg, NULL, 10), due = pj_mono_ms(),
            batch = LINES_A_SECOND * BATCH_MS / 1000;

    for (; left > 0; left -= batch) {
        PJ_CLEANUP(pj_freep) char *stamp = pj_asprintf("t=%lld", (long long)pj_now_ms());
        writer_append(&l->wr, batch - 1, LINE_BYTES);
        writer_say(&l->wr, stamp);
        due += BATCH_MS;
        int64_t wait = due - pj_mono_ms();
        if (wait > 0)
            (void)poll(NULL, 0, (int)wait); /* the load's own pace: nothing is waited for here */
    }
    (void)answer;
}

Test(bench_pages, log_viewer)
{
    static const struct stage_cue cues[] = {{"tail", cue_tail}, {NULL, NULL}};
    struct log l = {0};

    world_start(&l.w);
    world_set(&l.w, "PJ_RATE_LIMIT", "0");
    world_set(&l.w, "PJ_LOG_LEVEL", "error");
    world_api_start(&l.w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&l.w, "project");
    PJ_CLEANUP(pj_freep) char *large = writer_task(&l.w, repository);
    writer_begin(&l.wr, &l.w, large);
    for (int i = 0; i < 100; i++)
        writer_append(&l.wr, 1000, LINE_BYTES);
    writer_finish(&l.wr, NULL, NULL);
    writer_end(&l.wr);
    PJ_CLEANUP(pj_freep) char *live = writer_task(&l.w, repository);
    memset(&l.wr, 0, sizeof l.wr);
    writer_begin(&l.wr, &l.w, live);
    stage_play(&l.w, "bench",
               json_pack("{s:s, s:s, s:i}", "task", large, "live", live, "lines", 100000), cues, &l,
               120);
    writer_end(&l.wr);
    world_stop(&l.w);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            setenv("PJ_BENCH_JSON", argv[i + 1], 1);
    if (stage_missing() != NULL) {
        printf("bench_pages: not measured: %s\n", stage_missing());
        return 0;
    }
    struct criterion_test_set *set = criterion_initialize();
    int held = criterion_run_all_tests(set);
    criterion_finalize(set);
    return held ? 0 : 1;
}
