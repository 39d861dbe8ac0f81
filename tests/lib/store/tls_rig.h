/* tls_rig.h - a Redis with TLS, and both kinds of connection to it. */
#ifndef PJ_TESTS_LIB_STORE_TLS_RIG_H
#define PJ_TESTS_LIB_STORE_TLS_RIG_H

#include <criterion/criterion.h>
#include "lib/store/async.h"
#include "tests/support/redis.h"

struct tls_rig {
    struct test_redis server;
    struct event_base *base;
    char *url, *ca; /* rediss://127.0.0.1:…/0, and the file of its authority */
};
extern struct tls_rig rig;
extern const struct pj_view rig_none;

/* For TestSuite(). */
void rig_up(void);
void rig_down(void);

/* Options that can connect. */
struct pj_redis_options rig_trusting(void);
struct pj_redis *rig_blocking(const struct pj_redis_options *options);
struct pj_aredis *rig_on_loop(const struct pj_redis_options *options);

/* One repeatable command of one to three words over the blocking connection; it must be answered. */
struct redisReply *rig_ask(struct pj_redis *redis, const char *one, const char *two,
                           struct pj_view three);
int64_t rig_ask_number(struct pj_redis *redis, const char *one, const char *two);

struct rig_answer {
    int count;
    int64_t number;
    size_t size;
    char error[1000];
};

/* The same on the loop, whose answer lands in `a`. */
void rig_submit(struct pj_aredis *r, struct rig_answer *a, const char *one, const char *two,
                struct pj_view three);
void rig_on_answer(void *arg, const struct redisReply *reply, struct pj_err *err);
void rig_run_until(const int *count, int want);

#endif
