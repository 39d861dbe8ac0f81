#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/events.h"
#include "lib/store/repos.h"
#include "runner/slot_impl.h"
#include "runner/spec.h"

#define OUTCOME_MAX ((size_t)4 * 1024 * 1024)
#define GRACE_MS 4000 /* from the order to stop to the kill */

/* Of a lease: so long before its end a keeper ends the job of a daemon that stands still. */
#define FENCE_PART 10
#define AGAIN_MS 100 /* between looks at whether an earlier delivery has left its folder */

static void read_repo(struct slot *slot);

static struct timeval in_ms(int64_t ms)
{
    if (ms < 0)
        ms = 0;
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

void slot_arm(struct event *ev, int64_t ms)
{
    struct timeval tv = in_ms(ms);

    (void)event_add(ev, &tv);
}

static void kill_job(struct slot *slot)
{
    struct pj_err err;

    if (slot->state == SLOT_RUNNING && !slot->job_ended &&
        spawner_kill(&slot->daemon->spawner, slot->token, &err) < 0)
        pj_log_err(PJ_LOG_ERROR, "job_not_killed", &err, "taskId", slot->lease.task->id);
}

static void on_kill(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    kill_job(arg);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    slot_stop(arg, SLOT_TIMEOUT);
}

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    slot_settle(arg);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    read_repo(arg);
}

void slot_init(struct slot *slot, struct daemon *d)
{
    *slot = (struct slot){.daemon = d, .outcome_fd = -1, .control_fd = -1};
    pj_str_init(&slot->outcome, OUTCOME_MAX);
    slot->deadline_event = event_new(d->base, -1, 0, on_deadline, slot);
    slot->kill_event = event_new(d->base, -1, 0, on_kill, slot);
    slot->settle_event = event_new(d->base, -1, 0, on_settle, slot);
    slot->again_event = event_new(d->base, -1, 0, on_again, slot);
}

void slot_unwatch(struct slot *slot)
{
    (void)event_del(slot->deadline_event);
    (void)event_del(slot->kill_event);
}

void slot_arrive(struct slot *slot)
{
    if (slot->departing)
        slot->daemon->takes.departing--;
    slot->departing = false;
}

static void clear(struct slot *slot)
{
    if (slot->outcome_event != NULL)
        event_free(slot->outcome_event);
    slot->outcome_event = NULL;
    slot_unwatch(slot);
    (void)event_del(slot->settle_event);
    (void)event_del(slot->again_event);
    pj_fd_close(&slot->outcome_fd);
    pj_fd_close(&slot->control_fd);
    pj_str_clear(&slot->outcome);
    pj_cmd_release(&slot->end);
    pj_leases_release(&slot->lease, 1);
    slot->lease = (struct pj_lease){0};
    slot->state = SLOT_FREE;
    slot->stop = SLOT_GO;
    slot->job_ended = false;
    slot->handed_over = false;
    slot_arrive(slot);
    slot->settle_tries = 0;
}

void slot_release(struct slot *slot)
{
    clear(slot);
    event_free(slot->deadline_event);
    event_free(slot->kill_event);
    event_free(slot->settle_event);
    event_free(slot->again_event);
    pj_str_release(&slot->outcome);
}

void slot_leave(struct slot *slot)
{
    clear(slot);
    takes_look(slot->daemon);
}

struct slot *slot_find(struct daemon *d, const char *task_id)
{
    for (size_t i = 0; i < d->slot_count; i++)
        if (d->slots[i].state != SLOT_FREE && d->slots[i].stop != SLOT_LOST &&
            strcmp(d->slots[i].lease.task->id, task_id) == 0)
            return &d->slots[i];
    return NULL;
}

/* A delivery that we lost and got again: its job may still be on its way out of the same folder. */
static bool is_occupied(const struct slot *slot)
{
    const struct daemon *d = slot->daemon;

    for (size_t i = 0; i < d->slot_count; i++)
        if (&d->slots[i] != slot &&
            (d->slots[i].state == SLOT_RUNNING || d->slots[i].state == SLOT_STARTING) &&
            strcmp(d->slots[i].lease.task->id, slot->lease.task->id) == 0 &&
            d->slots[i].lease.epoch < slot->lease.epoch)
            return true;
    return false;
}

static void settle_when_done(struct slot *slot)
{
    if (slot->state == SLOT_RUNNING && slot->job_ended && slot->outcome_fd < 0)
        slot_settle(slot);
}

void slot_ended(struct slot *slot, int status)
{
    slot->job_ended = true;
    slot->job_status = status;
    settle_when_done(slot);
}

static void on_outcome(evutil_socket_t fd, short what, void *arg)
{
    struct slot *slot = arg;
    char buf[65536];
    ssize_t n = read(fd, buf, sizeof(buf));

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        (void)pj_str_append(&slot->outcome, buf, (size_t)n);
        return;
    }
    event_free(slot->outcome_event);
    slot->outcome_event = NULL;
    pj_fd_close(&slot->outcome_fd);
    settle_when_done(slot);
}

/* ---- orders ---- */

static const char *order_text(enum slot_stop why)
{
    switch (why) {
    case SLOT_CANCEL:
        return "cancel\n";
    case SLOT_TIMEOUT:
        return "timeout\n";
    case SLOT_GO:
    case SLOT_DRAIN:
    case SLOT_LOST:
        break;
    }
    return NULL;
}

void slot_stop(struct slot *slot, enum slot_stop why)
{
    const char *order = order_text(why);

    if (slot->state == SLOT_FREE || slot->state == SLOT_SETTLING ||
        (slot->stop != SLOT_GO && why != SLOT_LOST))
        return;
    slot->stop = why;
    if (slot->state == SLOT_STARTING)
        return; /* seen when its repository has been read */
    if (order == NULL || write(slot->control_fd, order, strlen(order)) < 0)
        kill_job(slot);
    else
        slot_arm(slot->kill_event, GRACE_MS);
}

/* ---- the beginning of an attempt ---- */

static int memory_file(const char *text, int *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_closep) int fd = memfd_create("pj-job", MFD_CLOEXEC);

    if (fd < 0 || pj_write_all(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return pj_fail_errno(err, errno, "description of the job");
    *out = fd;
    fd = -1;
    return 0;
}

static int start_job(struct slot *slot, const struct pj_repo *repo, struct pj_err *err)
{
    struct daemon *d = slot->daemon;
    PJ_CLEANUP(pj_closep) int spec = -1;
    PJ_CLEANUP(pj_closep) int outcome = -1;
    PJ_CLEANUP(pj_closep) int control = -1;
    PJ_CLEANUP(pj_freep)
    char *text = job_spec_text(&slot->lease, repo, d->settings->name, slot->deadline_mono);
    PJ_CLEANUP(pj_freep)
    char *dir = pj_asprintf("%s/work/%s", d->settings->state_dir, slot->lease.task->id);
    int pair[2];
    struct spawner_job job = {.work_dir = dir, .place = (unsigned)(slot - d->slots)};

    if (memory_file(text, &spec, err) < 0)
        return -1;
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return pj_fail_errno(err, errno, "pipe of a job");
    slot->outcome_fd = pair[0];
    outcome = pair[1];
    /* The job writes its end in one go and may wait for us. */
    (void)fcntl(outcome, F_SETFL, 0);
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return pj_fail_errno(err, errno, "pipe of a job");
    control = pair[0];
    slot->control_fd = pair[1];
    slot_leased(slot, slot->leased_until_mono);
    slot->token = ++d->next_token;
    job.token = slot->token;
    job.spec = spec;
    job.outcome = outcome;
    job.control = control;
    if (spawner_run(&d->spawner, &job, err) < 0)
        return -1;
    slot->outcome_event =
        event_new(d->base, slot->outcome_fd, EV_READ | EV_PERSIST, on_outcome, slot);
    (void)event_add(slot->outcome_event, NULL);
    slot->state = SLOT_RUNNING;
    return 0;
}

static void fail_start(struct slot *slot, const struct pj_err *err)
{
    struct pj_outcome out;

    slot->state = SLOT_SETTLING;
    pj_log_err(PJ_LOG_ERROR, "job_not_started", err, "taskId", slot->lease.task->id);
    if (err->cls == PJ_E_UNAVAILABLE || err->cls == PJ_E_INTERNAL) {
        slot_give_back(slot, true, err->message);
        return;
    }
    pj_outcome_init(&out);
    pj_outcome_fail(&out, "repository_unavailable", err->message, "connect the repository again");
    slot_finish(slot, &out);
    pj_outcome_release(&out);
}

static void on_repo(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct slot *slot = arg;
    struct pj_repo repo;
    int rc;

    if (reply == NULL && err->cls == PJ_E_CANCELLED)
        return;
    pj_repo_init(&repo);
    rc = reply == NULL ? -1 : pj_repo_reply(reply, &repo, err);
    if (rc == 0 && slot->stop != SLOT_GO)
        slot_settle(slot);
    else if (rc == 0 && is_occupied(slot))
        slot_arm(slot->again_event, AGAIN_MS);
    else if (rc < 0 || start_job(slot, &repo, err) < 0)
        fail_start(slot, err);
    pj_repo_release(&repo);
}

static void read_repo(struct slot *slot)
{
    struct pj_cmd cmd = {0};

    pj_repo_get_cmd(&cmd, slot->lease.task->repository_id);
    pj_aredis_submit(slot->daemon->redis, &cmd, on_repo, slot);
}

void slot_leased(struct slot *slot, int64_t until_mono)
{
    struct daemon *d = slot->daemon;
    int64_t ttl = d->settings->lease_ttl_ms, last = slot->deadline_mono + ttl;

    slot->leased_until_mono = until_mono;
    /* The store lets no lease go on for longer than one term after the attempt's deadline. */
    spawner_fence(&d->spawner, (unsigned)(slot - d->slots),
                  (until_mono < last ? until_mono : last) - ttl / FENCE_PART);
}

void slot_begin(struct slot *slot, struct pj_lease *lease, int64_t sent_mono)
{
    struct daemon *d = slot->daemon;

    slot->lease = *lease;
    *lease = (struct pj_lease){0};
    slot->state = SLOT_STARTING;
    slot->leased_until_mono = sent_mono + d->settings->lease_ttl_ms;
    slot->stop = slot->lease.cancel ? SLOT_CANCEL : SLOT_GO;
    pj_log(PJ_LOG_INFO, "task_taken", "taskId", slot->lease.task->id, "attempt",
           PJ_I64(slot->lease.task->attempt), "delivery", PJ_I64(slot->lease.deliveries), NULL);
    slot->deadline_mono = sent_mono + slot->lease.deadline_ms - slot->lease.now_ms;
    slot_arm(slot->deadline_event, slot->deadline_mono - pj_mono_ms());
    read_repo(slot);
}
