#include "api/pool.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>
#include "lib/base/mem.h"

struct job {
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
    STAILQ_ENTRY(job) link;
};

STAILQ_HEAD(job_list, job);

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job_list waiting, finished; /* under lock */
    size_t queued;                     /* under lock */
    atomic_bool ending;
    int signal_fd;
    struct event *event;
    pthread_t thread[POOL_THREADS];
    size_t threads;
};

static void *run(void *arg)
{
    struct pool *pool = arg;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (STAILQ_EMPTY(&pool->waiting) && !atomic_load(&pool->ending))
            pthread_cond_wait(&pool->wake, &pool->lock);
        if (atomic_load(&pool->ending))
            break;
        struct job *job = STAILQ_FIRST(&pool->waiting);
        STAILQ_REMOVE_HEAD(&pool->waiting, link);
        pool->queued--;
        pthread_mutex_unlock(&pool->lock);
        job->work(job->arg);
        pthread_mutex_lock(&pool->lock);
        STAILQ_INSERT_TAIL(&pool->finished, job, link);
        eventfd_write(pool->signal_fd, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void finish(struct job_list *list)
{
    struct job *job;

    while ((job = STAILQ_FIRST(list)) != NULL) {
        STAILQ_REMOVE_HEAD(list, link);
        job->done(job->arg);
        free(job);
    }
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
    struct pool *pool = arg;
    struct job_list list = STAILQ_HEAD_INITIALIZER(list);
    eventfd_t n;

    (void)what;
    if (eventfd_read(fd, &n) < 0 && errno != EAGAIN)
        return;
    pthread_mutex_lock(&pool->lock);
    STAILQ_CONCAT(&list, &pool->finished);
    pthread_mutex_unlock(&pool->lock);
    finish(&list);
}

int pool_new(struct event_base *base, struct pool **out, struct pj_err *err)
{
    struct pool *pool = pj_alloc(1, sizeof *pool);
    sigset_t all, before;

    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    STAILQ_INIT(&pool->waiting);
    STAILQ_INIT(&pool->finished);
    pool->signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->signal_fd < 0) {
        pj_fail_errno(err, errno, "eventfd");
        pool_free(pool);
        return -1;
    }
    pool->event = event_new(base, pool->signal_fd, EV_READ | EV_PERSIST, on_finished, pool);
    event_add(pool->event, NULL);
    sigfillset(&all); /* signals are the loop's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; pool->threads < POOL_THREADS; pool->threads++) {
        int rc = pthread_create(&pool->thread[pool->threads], NULL, run, pool);
        if (rc != 0) {
            pthread_sigmask(SIG_SETMASK, &before, NULL);
            pj_fail_errno(err, rc, "pthread_create");
            pool_free(pool);
            return -1;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *out = pool;
    return 0;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->ending, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->threads; i++)
        pthread_join(pool->thread[i], NULL);
    finish(&pool->finished);
    finish(&pool->waiting);
    if (pool->event != NULL)
        event_free(pool->event);
    if (pool->signal_fd >= 0)
        close(pool->signal_fd);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

bool pool_submit(struct pool *pool, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
    struct job *job = NULL;

    pthread_mutex_lock(&pool->lock);
    if (pool->queued < POOL_QUEUE_MAX && !atomic_load(&pool->ending)) {
        job = pj_alloc(1, sizeof *job);
        job->work = work;
        job->done = done;
        job->arg = arg;
        STAILQ_INSERT_TAIL(&pool->waiting, job, link);
        pool->queued++;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return job != NULL;
}

bool pool_is_ending(const struct pool *pool)
{
    return atomic_load(&pool->ending);
}
