#include "lib/store/lookup.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"

/* One call of the resolver, shared by all who ask for the same. */
struct job {
    struct job *next; /* in `jobs`: until it is done and somebody has the answer */
    char *host;
    char port[8];
    enum { WAITING, RUNNING, DONE } state;
    struct pj_lookup *askers;
    int rc, sys_errno; /* getaddrinfo's */
    struct addrinfo *found;
    int64_t done_ms;
};

struct pj_lookup {
    struct job *job;
    struct pj_lookup *next; /* in the job's `askers` */
    int fd;
};

/* Threads belong to the process, and so do these; the lock guards them and everything in the jobs. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct job *jobs; /* in the order of asking */
static unsigned threads;

static void free_job(struct job *job)
{
    if (job->found)
        freeaddrinfo(job->found);
    free(job->host);
    free(job);
}

static void unlink_job(struct job *job)
{
    struct job **p = &jobs;

    while (*p && *p != job)
        p = &(*p)->next;
    if (*p)
        *p = job->next;
}

/* Who waits hears of it. */
static void settle(struct job *job)
{
    static const uint64_t one = 1;

    job->state = DONE;
    job->done_ms = pj_mono_ms();
    if (job->askers || job->rc != 0)
        unlink_job(job);
    for (struct pj_lookup *l = job->askers; l; l = l->next)
        (void)!write(l->fd, &one, sizeof(one));
    if (!job->askers && job->rc != 0)
        free_job(job);
}

static int ask(struct job *job, int flags)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found = NULL;

    job->rc = getaddrinfo(job->host, job->port, &hints, &found);
    job->sys_errno = errno;
    job->found = job->rc == 0 ? found : NULL;
    return job->rc;
}

static struct job *next_waiting(void)
{
    struct job *job = jobs;

    while (job && job->state != WAITING)
        job = job->next;
    return job;
}

static void *work(void *arg)
{
    struct job *job;

    (void)prctl(PR_SET_NAME, "pj-lookup");
    (void)pthread_mutex_lock(&lock);
    while ((job = next_waiting())) {
        job->state = RUNNING;
        (void)pthread_mutex_unlock(&lock);
        (void)ask(job, 0);
        (void)pthread_mutex_lock(&lock);
        settle(job);
    }
    threads--;
    (void)pthread_mutex_unlock(&lock);
    return arg;
}

/* The lock goes over a fork and the threads do not: what they were at is not answered in the child, which can ask anew. */
static void before_fork(void)
{
    (void)pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    (void)pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    struct job *next;

    for (struct job *job = jobs; job; job = next) {
        next = job->next;
        if (job->state != RUNNING)
            continue;
        job->state = DONE;
        job->rc = EAI_AGAIN;
        unlink_job(job);
        if (!job->askers)
            free_job(job);
    }
    threads = 0;
    (void)pthread_mutex_unlock(&lock);
}

static void set_up(void)
{
    (void)pthread_atfork(before_fork, after_fork, in_child);
}

/* One thread more, if that may be; signals are for others. */
static void start_thread(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int rc;

    if (threads == PJ_LOOKUP_THREADS || !next_waiting())
        return;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &attr, work, NULL);
    (void)pthread_attr_destroy(&attr);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        threads++;
}

/* What is under way or came too late for others; late answers do not stay for ever. */
static struct job *find_job(const char *host, const char *port)
{
    struct job *found = NULL, *next;

    for (struct job *job = jobs; job; job = next) {
        next = job->next;
        if (job->state == DONE && pj_mono_ms() - job->done_ms > PJ_LOOKUP_KEPT_MS) {
            unlink_job(job);
            free_job(job);
        } else if (strcmp(job->host, host) == 0 && strcmp(job->port, port) == 0) {
            found = job;
        }
    }
    return found;
}

static void append(struct job *job)
{
    struct job **p = &jobs;

    while (*p)
        p = &(*p)->next;
    *p = job;
}

/* Joins the job of that name, or makes one. */
static void join(struct pj_lookup *lookup, struct job *fresh)
{
    struct job *job = find_job(fresh->host, fresh->port);

    if (job) {
        free_job(fresh);
    } else {
        job = fresh;
        append(job);
    }
    if (job == fresh || threads == 0)
        start_thread();
    lookup->job = job;
    lookup->next = job->askers;
    job->askers = lookup;
    if (job->state == DONE)
        unlink_job(job);
    else
        lookup->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

struct pj_lookup *pj_lookup_new(const char *host, int port)
{
    struct pj_lookup *lookup = pj_alloc(1, sizeof(*lookup));
    struct job *job = pj_alloc(1, sizeof(*job));

    lookup->fd = -1;
    job->host = pj_strdup(host);
    (void)snprintf(job->port, sizeof(job->port), "%d", port);
    if (ask(job, AI_NUMERICHOST | AI_NUMERICSERV) == 0) {
        job->state = DONE;
        job->askers = lookup;
        lookup->job = job;
        return lookup;
    }
    (void)pthread_once(&once, set_up);
    (void)pthread_mutex_lock(&lock);
    join(lookup, job);
    (void)pthread_mutex_unlock(&lock);
    return lookup;
}

void pj_lookup_free(struct pj_lookup *lookup)
{
    struct pj_lookup **p;
    struct job *job;

    if (!lookup)
        return;
    (void)pthread_mutex_lock(&lock);
    job = lookup->job;
    for (p = &job->askers; *p != lookup; p = &(*p)->next) {
    }
    *p = lookup->next;
    if (!job->askers && job->state == WAITING)
        unlink_job(job);
    if (!job->askers && job->state != RUNNING)
        free_job(job);
    (void)pthread_mutex_unlock(&lock);
    if (lookup->fd >= 0)
        (void)close(lookup->fd);
    free(lookup);
}

int pj_lookup_fd(const struct pj_lookup *lookup)
{
    return lookup->fd;
}

static int fail(const struct job *job, struct pj_err *err)
{
    return pj_fail(err, PJ_E_UNAVAILABLE, "cannot look up %.200s: %s", job->host,
                   job->rc == EAI_SYSTEM ? strerror(job->sys_errno) : gai_strerror(job->rc));
}

int pj_lookup_take(struct pj_lookup *lookup, const struct addrinfo **found, struct pj_err *err)
{
    struct job *job = lookup->job;
    bool done, stuck;

    (void)pthread_mutex_lock(&lock);
    done = job->state == DONE;
    stuck = job->state == WAITING && threads == 0;
    (void)pthread_mutex_unlock(&lock);
    if (stuck || (!done && lookup->fd < 0))
        return pj_fail(err, PJ_E_UNAVAILABLE,
                       "cannot look up %.200s: no thread or no descriptor for it", job->host);
    if (!done)
        return 0;
    if (job->rc != 0)
        return fail(job, err);
    *found = job->found;
    return 1;
}
