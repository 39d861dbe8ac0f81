#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "runner/family.h"
#include "runner/job.h"

#define OUTPUT_LIMIT ((int64_t)64 * 1024 * 1024)
#define MEMORY_LEAST ((int64_t)1 << 30)
#define PIDS 2048
#define TAIL_MAX ((size_t)16 * 1024)

struct sink {
    struct job *job;
    bool quiet;
    struct pj_str *tail;
};

static void keep_tail(struct pj_str *tail, struct pj_view bytes)
{
    if (tail == NULL)
        return;
    if (bytes.n > TAIL_MAX)
        bytes = pj_view_n(bytes.p + (bytes.n - TAIL_MAX), TAIL_MAX);
    if (tail->len + bytes.n > TAIL_MAX)
        pj_str_shift(tail, tail->len + bytes.n - TAIL_MAX);
    (void)pj_str_append(tail, bytes.p, bytes.n);
}

static void output(void *ctx, bool error, struct pj_view bytes)
{
    struct sink *sink = ctx;
    enum pj_event_stream stream = error ? PJ_STREAM_STDERR : PJ_STREAM_STDOUT;

    keep_tail(sink->tail, bytes);
    if (sink->quiet)
        return;
    if (bytes.n == 0)
        job_log_output_end(sink->job->log, stream);
    else
        job_log_output(sink->job->log, stream, bytes);
}

/* A slot's share of the host, so that one task starves neither the host nor its neighbours. */
static int64_t memory_share(const struct job *job)
{
    int64_t total = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    int64_t share = total / (job->settings->slots > 0 ? job->settings->slots : 1);

    return share > MEMORY_LEAST ? share : MEMORY_LEAST;
}

void job_box_spec(struct job *job, struct box_spec *spec)
{
    *spec = (struct box_spec){
        .program = job->sandbox_program,
        .rootfs = job->rootfs,
        .timeout_ms = job_remaining_ms(job),
        .output_limit = OUTPUT_LIMIT,
        .memory_bytes = memory_share(job),
        .pids = PIDS,
        .ahead = &job->ahead,
    };
}

void job_ahead(struct job *job)
{
    PJ_CLEANUP(pj_freep)
    char *of = pj_asprintf("%s/work/%s", job->settings->state_dir, job->spec.task.id);
    const struct box_ahead_spec spec = {
        .program = job->sandbox_program,
        .of = of,
        .rootfs = job->rootfs,
        .memory_bytes = memory_share(job),
        .pids = PIDS,
    };
    struct pj_err err;

    if (job->ahead.pid == 0 && box_ahead_start(&spec, &job->ahead, &err) < 0)
        pj_log_err(PJ_LOG_WARN, "box_not_built_ahead", &err, "taskId", job->spec.task.id);
}

void job_box_tree(struct job *job, struct box_spec *spec)
{
    pj_fd_close(&job->tree_fd);
    spec->workspace = workspace_tree(job->ws);
    spec->workspace_base = workspace_shared(job->ws);
}

int job_take_tree(struct job *job, struct box *box, struct pj_err *err)
{
    return workspace_shared(job->ws) != NULL && job->tree_fd < 0
               ? box_tree_take(box, &job->tree_fd, err)
               : 0;
}

struct held *job_hold_agent(const struct job *job)
{
    return job->agent_box != NULL && job->agent_box->pid != 0 ? family_hold(job->agent_box->pid)
                                                              : NULL;
}

int job_box_failed(const struct box_result *result, struct pj_err *err)
{
    if (result->error_step == NULL)
        return 0;
    (void)pj_fail_errno(err, result->error_errno, "the sandbox could not be made: %s",
                        result->error_step);
    (void)pj_err_code(err, "sandbox_unavailable");
    return pj_err_remedy(err, "%s", result->error_remedy);
}

void job_result_text(const struct box_result *result, struct pj_str *out)
{
    if (result->stopped[0] != '\0')
        (void)pj_str_puts(out, result->stopped);
    else if (result->timed_out)
        (void)pj_str_puts(out, "timed out");
    else if (result->oom_killed)
        (void)pj_str_puts(out, "ran out of memory");
    else if (result->policy_kill)
        (void)pj_str_puts(out, "stopped by the sandbox's filter");
    else if (result->signal > 0)
        (void)pj_str_putf(out, "killed by signal %d", result->signal);
    else
        (void)pj_str_putf(out, "exit %d", result->exit_code);
}

int job_run(struct job *job, const struct job_command *command, struct box_result *result,
            struct pj_err *err)
{
    struct sink sink = {.job = job, .quiet = command->quiet, .tail = command->tail};
    struct box_spec spec;
    struct box box;
    int rc;

    *result = (struct box_result){0};
    job_box_spec(job, &spec);
    if (command->dir != NULL)
        spec.workspace = command->dir;
    else
        job_box_tree(job, &spec);
    spec.argv = command->argv;
    if (command->timeout_ms > 0 && command->timeout_ms < spec.timeout_ms)
        spec.timeout_ms = command->timeout_ms;
    if (command->network)
        spec.net_allow = (const char *const *)job->spec.repo.network_allow;
    spec.output = output;
    spec.ctx = &sink;
    if (box_start(&spec, &box, err) < 0)
        return -1;
    if (command->more)
        job_ahead(job);
    rc = job_add_box(job, &spec, &box, err);
    if (rc == 0)
        rc = job_wait_box(job, &box, err);
    if (rc < 0)
        job_end_box(job, &box, 0);
    else
        rc = box_result_get(&box, result, err);
    if (rc == 0)
        rc = job_box_failed(result, err);
    if (rc == 0 && command->dir == NULL)
        rc = job_take_tree(job, &box, err);
    box_release(&box);
    return rc;
}
