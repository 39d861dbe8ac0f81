/* fixture.h - a store on a private Redis, and one-line forms of its operations for tests. */
#ifndef PJ_TESTS_LIB_STORE_FIXTURE_H
#define PJ_TESTS_LIB_STORE_FIXTURE_H

#include <criterion/criterion.h>
#include "lib/base/id.h"
#include "lib/store/events.h"
#include "lib/store/lease.h"
#include "lib/store/meta.h"
#include "lib/store/tasks.h"
#include "tests/support/redis.h"

struct fixture {
    struct test_redis server;
    struct pj_redis *redis;
    struct pj_meta meta;
};

void fixture_up(struct fixture *f);
void fixture_down(struct fixture *f);

/* Carry out `cmd` (released) and give its reply; the test fails when Redis does not answer. */
struct redisReply *run_cmd(struct fixture *f, struct pj_cmd *cmd);
/* The same for a move or a get: 0 with *out, or -1 with err. *out may be NULL. */
int run_move(struct fixture *f, struct pj_cmd *cmd, struct pj_task *out, struct pj_err *err);

/* A task of `owner`, queued or executed. The id lands in `id`. */
void make_task(struct fixture *f, const char *owner, bool execute, char id[PJ_ID_SIZE]);
void make_task_with(struct fixture *f, const char *owner, int priority, int64_t timeout_ms,
                    bool execute, char id[PJ_ID_SIZE]);
/* Status of a task now. */
int status_of(struct fixture *f, const char *id);
/* Take up to `want` leases for `runner` with no wait. Returns the count. */
size_t take(struct fixture *f, const char *runner, size_t want, struct pj_lease *leases,
            int64_t ttl_ms);
/* Take exactly one. */
void take_one(struct fixture *f, const char *runner, struct pj_lease *lease);
/* Finish; 0, or -1 with err. */
int finish_as(struct fixture *f, const char *id, int64_t epoch, int status, const char *code,
              struct pj_finished *out, struct pj_err *err);
/* One reaper tick. */
size_t reap(struct fixture *f, int64_t ttl_ms, struct pj_reaped *items, size_t cap);
/* The first tick after a start only looks; this is the state after one more lease's time. */
void reaper_ready(struct fixture *f);
/* How many notifications are on record. */
int64_t notices(struct fixture *f);
/* An integer that a plain Redis command answers. */
int64_t ask_int(struct fixture *f, const char *a, const char *b, const char *c);
/* Let the lease of a task end now, as if its time had passed; or its deadline. */
void expire_now(struct fixture *f, const char *set, const char *id);

#endif
