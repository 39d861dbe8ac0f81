#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "runner/job.h"

/* How long a dead box may take to give its last output. */
#define LAST_OUTPUT_MS 3000
#define STOP_MS 2000 /* for pj-sandbox to end a box and clean up after it */

int64_t job_remaining_ms(const struct job *job)
{
    int64_t left = job->spec.deadline_mono_ms - pj_mono_ms();

    return left > 0 ? left : 1;
}

/* Lower *timeout_ms to the next look at a box's disk. */
static void wait_for_disks(const struct job *job, int *timeout_ms)
{
    for (size_t i = 0; i < JOB_BOXES_MAX; i++) {
        int due = job->boxes[i] != NULL ? disk_watch_timeout_ms(&job->disks[i]) : -1;

        if (due >= 0 && (*timeout_ms < 0 || due < *timeout_ms))
            *timeout_ms = due;
    }
}

static size_t want(void *ctx, struct pollfd *fds, size_t cap, int *timeout_ms)
{
    struct job *job = ctx;
    bool full = job_log_is_full(job->log);
    int flush = job_log_timeout_ms(job->log);
    size_t n = 0;

    (void)cap; /* 1 + JOB_BOXES_MAX * BOX_FDS, far below PJ_PUMP_FDS_MAX */
    if (job->control_fd >= 0)
        fds[n++] = (struct pollfd){.fd = job->control_fd, .events = POLLIN};
    for (size_t i = 0; i < JOB_BOXES_MAX; i++) {
        if (job->boxes[i] == NULL)
            continue;
        job->boxes[i]->paused = full;
        n += box_want(job->boxes[i], fds + n);
    }
    if (flush >= 0 && (*timeout_ms < 0 || flush < *timeout_ms))
        *timeout_ms = flush;
    wait_for_disks(job, timeout_ms);
    if (job->own_deadline && job->stop.cls == PJ_E_OK &&
        (*timeout_ms < 0 || job_remaining_ms(job) < *timeout_ms))
        *timeout_ms = (int)(job_remaining_ms(job) < INT_MAX ? job_remaining_ms(job) : INT_MAX);
    return n;
}

static void stop_for_timeout(struct job *job)
{
    int64_t own = job->spec.task.limits.timeout_ms;
    PJ_CLEANUP(pj_freep)
    char *limit = runner_duration_text(own >= 0 ? own : job->settings->task_timeout_ms);

    (void)pj_fail(&job->stop, PJ_E_TIMEOUT, "the task reached its time limit of %s and was stopped",
                  limit);
    (void)pj_err_code(&job->stop, "task_timeout");
}

static void read_order(struct job *job)
{
    char text[32] = "";
    ssize_t n = read(job->control_fd, text, sizeof(text) - 1);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        pj_fd_close(&job->control_fd);
        (void)pj_fail(&job->stop, PJ_E_CANCELLED, "the runner is gone");
        (void)pj_err_code(&job->stop, "runner_gone");
    } else if (strncmp(text, "timeout", 7) == 0) {
        stop_for_timeout(job);
    } else {
        (void)pj_fail(&job->stop, PJ_E_CANCELLED, "cancelled");
        (void)pj_err_code(&job->stop, "cancelled");
    }
}

static void serve(struct job *job, const struct pollfd *fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fds[i].fd == job->control_fd && fds[i].revents != 0)
            read_order(job);
    for (size_t i = 0; i < JOB_BOXES_MAX; i++)
        if (job->boxes[i] != NULL)
            box_ready(job->boxes[i], fds, n);
}

/* Why a box is stopped, and with what it would not have been. */
static void tell_stopped(struct job *job, struct box *box, const struct disk_watch *disk,
                         enum disk_state state)
{
    const struct runner_settings *s = job->settings;

    if (state == DISK_CROWDED)
        (void)snprintf(box->stopped, sizeof(box->stopped),
                       "it has %lld files and folders more than before, PJ_TASK_FILES grants %lld",
                       (long long)(disk->known[DISK_FILES] - disk->before[DISK_FILES]),
                       (long long)s->task_files);
    else
        (void)snprintf(box->stopped, sizeof(box->stopped),
                       "its files grew to %lld MiB, more than PJ_TASK_DISK grants (%lld MiB)",
                       (long long)(disk->known[DISK_BYTES] >> 20), (long long)(s->task_disk >> 20));
    job_log_say(job->log, PJ_EVENT_ERROR, "stopped: %s", box->stopped);
}

/* A box whose files outgrow what they may take is stopped; what it wrote stays. That the host has no more is no end of the task: the attempt is
 * given back. */
static int watch_disks(struct job *job, struct pj_err *err)
{
    for (size_t i = 0; i < JOB_BOXES_MAX; i++) {
        struct box *box = job->boxes[i];
        struct disk_watch *disk = &job->disks[i];
        enum disk_state state = box != NULL ? disk_watch_look(disk, box->pid) : DISK_FINE;

        if (state == DISK_FINE)
            continue;
        disk_watch_end(disk);
        if (state == DISK_FULL) {
            (void)pj_fail(err, PJ_E_UNAVAILABLE, "the disk of PJ_STATE_DIR is nearly full");
            return pj_err_remedy(err, "free space or inodes there, run fewer tasks at once, or "
                                      "lower PJ_TASK_DISK and PJ_TASK_FILES");
        }
        tell_stopped(job, box, disk, state);
        box_stop(box);
    }
    return 0;
}

static int ready(void *ctx, const struct pollfd *fds, size_t n, struct pj_err *err)
{
    struct job *job = ctx;

    serve(job, fds, n);
    if (watch_disks(job, err) < 0)
        return -1;
    if (job->own_deadline && job->stop.cls == PJ_E_OK && pj_mono_ms() >= job->spec.deadline_mono_ms)
        stop_for_timeout(job);
    if (job_log_flush(job->log, false, err) < 0)
        return -1;
    if (job->stop.cls != PJ_E_OK) {
        *err = job->stop;
        return -1;
    }
    if (job->agent_box != NULL && !job->foreign && box_is_over(job->agent_box)) {
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "the agent's box ended");
        return pj_err_code(err, "agent_lost");
    }
    return 0;
}

void job_pump_init(struct job *job)
{
    job->pump = (struct pj_pump){.ctx = job, .want = want, .ready = ready};
}

int job_add_box(struct job *job, const struct box_spec *spec, struct box *box, struct pj_err *err)
{
    static const int64_t none[DISK_KINDS] = {0};
    const int64_t grant[DISK_KINDS] = {job->settings->task_disk, job->settings->task_files};
    const int64_t *before = spec->workspace_base == NULL ? job->tree_has : none;

    for (size_t i = 0; i < JOB_BOXES_MAX; i++)
        if (job->boxes[i] == NULL) {
            job->boxes[i] = box;
            disk_watch_begin(&job->disks[i], spec->workspace, before, grant);
            return 0;
        }
    return pj_fail(err, PJ_E_INTERNAL, "more boxes than a job may have");
}

static void drop_box(struct job *job, struct box *box)
{
    for (size_t i = 0; i < JOB_BOXES_MAX; i++)
        if (job->boxes[i] == box) {
            job->boxes[i] = NULL;
            disk_watch_end(&job->disks[i]);
        }
}

int job_wait_box(struct job *job, struct box *box, struct pj_err *err)
{
    while (!box_is_over(box)) {
        struct pollfd fds[PJ_PUMP_FDS_MAX];
        int timeout = -1;
        size_t n = want(job, fds, PJ_COUNT_OF(fds), &timeout);

        if (poll(fds, n, timeout) < 0) {
            if (errno != EINTR)
                return pj_fail_errno(err, errno, "wait for the box");
            continue;
        }
        if (ready(job, fds, n, err) < 0)
            return -1;
    }
    drop_box(job, box);
    return 0;
}

/* Serve one box, and nothing else, until it is over or `until`. */
static void serve_box(struct job *job, struct box *box, int64_t until)
{
    struct pj_err ignored;
    int64_t now;

    while (!box_is_over(box) && (now = pj_mono_ms()) < until) {
        struct pollfd fds[PJ_PUMP_FDS_MAX];
        int timeout = until - now < INT_MAX ? (int)(until - now) : INT_MAX;
        size_t n;

        box->paused = false; /* bounded by the time, and by the pipes once it is dead */
        n = box_want(box, fds);
        wait_for_disks(job, &timeout);
        if (poll(fds, n, timeout) > 0)
            box_ready(box, fds, n);
        if (watch_disks(job, &ignored) < 0)
            box_stop(box);
    }
}

void job_end_box(struct job *job, struct box *box, int64_t grace_ms)
{
    if (grace_ms > 0)
        serve_box(job, box, pj_mono_ms() + grace_ms);
    box_stop(box);
    serve_box(job, box, pj_mono_ms() + STOP_MS);
    box_kill(box);
    serve_box(job, box, pj_mono_ms() + LAST_OUTPUT_MS);
    drop_box(job, box);
}
