#include "runner/preflight.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "runner/box.h"

#define PROBE_MS 30000
#define PROBE_MEMORY ((int64_t)1 << 30)
#define PROBE_PIDS 64

static void ignore_output(void *ctx, bool error, struct pj_view bytes)
{
    (void)ctx;
    (void)error;
    (void)bytes;
}

static int serve(struct box *box, struct pj_err *err)
{
    int64_t until = pj_mono_ms() + PROBE_MS;

    while (!box_is_over(box)) {
        struct pollfd fds[BOX_FDS];
        size_t n = box_want(box, fds);
        int64_t left = until - pj_mono_ms();

        if (left <= 0)
            return pj_fail(err, PJ_E_TIMEOUT, "a box that runs `true` did not end");
        if (poll(fds, n, (int)left) > 0)
            box_ready(box, fds, n);
        else if (errno == EINTR)
            continue;
    }
    return 0;
}

static int judge(const struct box_result *result, struct pj_err *err)
{
    if (result->error_step != NULL) {
        (void)pj_fail_errno(err, result->error_errno, "this host cannot make a sandbox: %s",
                            result->error_step);
        return pj_err_remedy(err, "%s%s`pj-sandbox --check` says more", result->error_remedy,
                             result->error_remedy[0] != '\0' ? "; " : "");
    }
    if (result->exit_code != 0)
        return pj_fail(err, PJ_E_UNAVAILABLE, "`true` in a sandbox ended with %d",
                       result->exit_code);
    return 0;
}

static int probe(const struct runner_settings *settings, const char *program, const char *dir,
                 char **isolation, struct pj_err *err)
{
    const char *const argv[] = {"/bin/true", NULL};
    PJ_CLEANUP(pj_freep)
    char *rootfs = settings->sandbox_rootfs != NULL
                       ? pj_asprintf("%s/rootfs/%s", settings->state_dir, settings->sandbox_rootfs)
                       : NULL;
    const struct box_spec spec = {
        .program = program,
        .workspace = dir,
        .rootfs = rootfs,
        .timeout_ms = PROBE_MS,
        .memory_bytes = PROBE_MEMORY, /* limits too: what keeps them is part of what is told */
        .pids = PROBE_PIDS,
        .argv = argv,
        .output = ignore_output,
    };
    struct box_result result = {0};
    struct box box;
    int rc;

    if (box_start(&spec, &box, err) < 0)
        return -1;
    rc = serve(&box, err);
    if (rc == 0)
        rc = box_result_get(&box, &result, err);
    box_release(&box);
    if (rc == 0)
        rc = judge(&result, err);
    if (rc == 0)
        *isolation = pj_strdup(result.isolation);
    box_result_release(&result);
    return rc;
}

int preflight_isolation(const struct runner_settings *settings, char **isolation,
                        struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *program = NULL;
    PJ_CLEANUP(pj_freep) char *dir = pj_asprintf("%s/work/.probe", settings->state_dir);
    struct pj_err trouble;
    int rc;

    if (pj_find_program("pj-sandbox", &program, err) < 0 || pj_fs_mkdirs(dir, 0700, err) < 0)
        return pj_err_code(err, "sandbox_unavailable");
    rc = probe(settings, program, dir, isolation, err);
    if (pj_fs_remove_tree(dir, &trouble) < 0)
        pj_log_err(PJ_LOG_WARN, "folder_not_removed", &trouble, "folder", dir);
    return rc < 0 ? pj_err_code(err, "sandbox_unavailable") : 0;
}
