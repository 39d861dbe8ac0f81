/* bench_publish - what it costs to judge a patch, and to prepare a task's files.
 *
 * The validator on one diff as large as a patch may be, made of many files and hunks; a workspace of a repository with 50,000
 * files: copied, shared for the first time, shared again (what every task after the first one on a commit pays), and collected
 * when nothing has changed. Prints a table, and with --json FILE appends one JSON object a row. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/collect.h"
#include "runner/patch_parse.h"
#include "runner/patch_policy.h"
#include "runner/workspace.h"
#include "tests/support/gitfix.h"

#define FILES 50000
#define DIFF_BYTES ((size_t)8 * 1000 * 1000)
#define PARSES 40
#define REPOSITORY "1a1b2c3d4e5f6g7h8i9j0k"
#define TASK "0a1b2c3d4e5f6g7h8i9j0k"

static FILE *json;

static void say(const char *what, double value, const char *unit)
{
    printf("%-58s %10.1f %s\n", what, value, unit);
    if (json != NULL)
        (void)fprintf(json,
                      "{\"bench\":\"publish\",\"name\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"}\n",
                      what, value, unit);
}

static _Noreturn void die(const struct pj_err *err)
{
    (void)fprintf(stderr, "bench_publish: %s\n", err->message);
    exit(1);
}

/* ---- the validator ---- */

static void put_file(struct pj_str *out, unsigned n)
{
    (void)pj_str_putf(out, "diff --git a/src/part%u/file%u.c b/src/part%u/file%u.c\n", n / 40, n,
                      n / 40, n);
    (void)pj_str_putf(out, "--- a/src/part%u/file%u.c\n+++ b/src/part%u/file%u.c\n", n / 40, n,
                      n / 40, n);
    for (unsigned h = 0; h < 10; h++) {
        (void)pj_str_putf(out, "@@ -%u,10 +%u,12 @@ int function_%u(void)\n", 1 + h * 40,
                          1 + h * 42, h);
        for (unsigned i = 0; i < 4; i++)
            (void)pj_str_puts(out,
                              "     struct context *around = what_changes(around, the_lines);\n");
        for (unsigned i = 0; i < 2; i++)
            (void)pj_str_puts(out,
                              "-    if (counter > limit_of(the_thing) && !is_done(the_thing))\n");
        for (unsigned i = 0; i < 4; i++)
            (void)pj_str_puts(out,
                              "+    if (counter >= limit_of(the_thing) && !is_done(other, 7))\n");
        for (unsigned i = 0; i < 4; i++)
            (void)pj_str_puts(out,
                              "         total += weight_of(the_thing) * factor; /* in grams */\n");
    }
}

static void validator(void)
{
    struct patch_findings found;
    static const struct patch_policy policy;
    struct pj_err err;
    struct pj_str diff;
    double us = 0;

    pj_str_init(&diff, DIFF_BYTES + 65536);
    for (unsigned n = 0; diff.len < DIFF_BYTES - 10000; n++)
        put_file(&diff, n);
    double parse_best = 1e18;
    double policy_best = 1e18;
    for (int i = 0; i < PARSES; i++) {
        struct patch *patch = NULL;
        int64_t began = pj_mono_us();
        if (patch_parse(pj_view_n(diff.data, diff.len), NULL, &patch, &err) != 0)
            die(&err);
        int64_t parsed = pj_mono_us();
        if (patch_policy_check(patch, &policy, &found, &err) != 0)
            die(&err);
        us = (double)(pj_mono_us() - parsed);
        policy_best = us < policy_best ? us : policy_best;
        us = (double)(parsed - began);
        parse_best = us < parse_best ? us : parse_best;
        patch_free(patch);
    }
    say("validate a valid diff of 8 MB", (double)diff.len / parse_best, "MB/s");
    say("look for secrets in it", (double)diff.len / policy_best, "MB/s");
    pj_str_release(&diff);
}

/* ---- a work tree of 50,000 files ---- */

static char *large_repository(const char *root)
{
    struct gitfix_file *files = pj_alloc(FILES, sizeof(*files));
    char **owned = pj_alloc(FILES * 2, sizeof(*owned));

    for (size_t i = 0; i < FILES; i++) {
        owned[2 * i] = pj_asprintf("src/group%zu/part%zu/file%zu.c", i / 2500, i / 50 % 50, i);
        owned[2 * i + 1] =
            pj_asprintf("/* File %zu. */\nint value_%zu(void)\n{\n    return %zu;\n}\n", i, i, i);
        files[i] = (struct gitfix_file){owned[2 * i], owned[2 * i + 1], false};
    }
    char *bare = gitfix_bare(root, "large", files, FILES);
    for (size_t i = 0; i < FILES * 2; i++)
        free(owned[i]);
    free(owned);
    free(files);
    return bare;
}

/* One task's preparation and, when asked, the collection of its untouched tree. */
static double prepare(const char *state, const char *url, int64_t share_from)
{
    const struct workspace_spec spec = {.state_dir = state,
                                        .task_id = TASK,
                                        .repository_id = REPOSITORY,
                                        .url = url,
                                        .share_from_files = share_from};
    struct workspace_survey survey;
    struct workspace *ws = NULL;
    struct pj_err err;

    int64_t began = pj_mono_us();
    if (workspace_open(&spec, &ws, &err) < 0 || workspace_survey(ws, &survey, &err) < 0)
        die(&err);
    double us = (double)(pj_mono_us() - began);
    if (survey.files != FILES)
        exit(1);
    workspace_close(ws);
    return us / 1e3;
}

static void collected(const char *state, const char *url)
{
    const struct workspace_spec spec = {.state_dir = state,
                                        .task_id = TASK,
                                        .repository_id = REPOSITORY,
                                        .url = url,
                                        .share_from_files = 1};
    struct collect_result result;
    struct workspace *ws = NULL;
    struct pj_err err;

    if (workspace_open(&spec, &ws, &err) < 0)
        die(&err);
    /* The shared files themselves are what a merged tree looks like before anything is written. */
    PJ_CLEANUP(pj_closep) int fd = open(workspace_shared(ws), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int64_t began = pj_mono_us();
    if (collect_run(ws, fd, NULL, NULL, &result, &err) < 0)
        die(&err);
    say("collect an untouched tree of 50,000 files", (double)(pj_mono_us() - began) / 1e3, "ms");
    collect_result_release(&result);
    workspace_close(ws);
}

static void preparation(void)
{
    char root[] = "/tmp/pj-bench-XXXXXX";
    struct pj_err err;

    if (mkdtemp(root) == NULL)
        exit(1);
    PJ_CLEANUP(pj_freep) char *state = pj_asprintf("%s/state", root);
    PJ_CLEANUP(pj_freep) char *url = large_repository(root);
    say("prepare 50,000 files: fetched, copied", prepare(state, url, 0), "ms");
    say("prepare 50,000 files: copied", prepare(state, url, 0), "ms");
    say("prepare 50,000 files: shared, first task", prepare(state, url, 1), "ms");
    say("prepare 50,000 files: shared, second task", prepare(state, url, 1), "ms");
    say("prepare 50,000 files: shared, third task", prepare(state, url, 1), "ms");
    collected(state, url);
    if (pj_fs_remove_tree(root, &err) < 0)
        die(&err);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--json") == 0)
            json = fopen(argv[i + 1], "ae");
    }
    validator();
    preparation();
    if (json != NULL)
        (void)fclose(json);
    return 0;
}
