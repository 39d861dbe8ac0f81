#include "tests/lib/store/tls_rig.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include "lib/base/mem.h"

struct tls_rig rig;
const struct pj_view rig_none = {0};

void rig_up(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_redis_start_tls(&rig.server, NULL);
    rig.base = event_base_new();
    rig.url = pj_asprintf("rediss://127.0.0.1:%d/0", rig.server.tls_port);
    rig.ca = test_redis_cert(&rig.server, "ca.crt");
}

void rig_down(void)
{
    event_base_free(rig.base);
    test_redis_stop(&rig.server);
    free(rig.url);
    free(rig.ca);
}

struct pj_redis_options rig_trusting(void)
{
    return (struct pj_redis_options){.url = rig.url, .retry_ms = 20000, .tls = {.ca_file = rig.ca}};
}

struct pj_redis *rig_blocking(const struct pj_redis_options *options)
{
    struct pj_redis *redis = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(options, &redis, &err), 0, "%s: %s", err.message, err.remedy);
    return redis;
}

struct pj_aredis *rig_on_loop(const struct pj_redis_options *options)
{
    struct pj_aredis *redis = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_aredis_new(rig.base, options, &redis, &err), 0, "%s", err.message);
    return redis;
}

static void put(struct pj_cmd *cmd, const char *one, const char *two, struct pj_view three)
{
    pj_cmd_start(cmd, one);
    if (two)
        pj_cmd_text(cmd, two);
    if (three.p)
        pj_cmd_add(cmd, three.p, three.n);
    cmd->repeatable = true;
}

struct redisReply *rig_ask(struct pj_redis *redis, const char *one, const char *two,
                           struct pj_view three)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    struct redisReply *reply = NULL;
    struct pj_err err = {0};

    put(&cmd, one, two, three);
    cr_assert_eq(pj_redis_do(redis, &cmd, &reply, &err), 0, "%s: %s", one, err.message);
    return reply;
}

int64_t rig_ask_number(struct pj_redis *redis, const char *one, const char *two)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = rig_ask(redis, one, two, pj_view_n(NULL, 0));

    return pj_reply_int(reply, -1);
}

void rig_on_answer(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct rig_answer *a = arg;

    a->count++;
    a->number = pj_reply_int(reply, -1);
    a->size = pj_reply_view(reply).n;
    (void)snprintf(a->error, sizeof(a->error), "%s", reply ? "" : err->message);
}

void rig_submit(struct pj_aredis *r, struct rig_answer *a, const char *one, const char *two,
                struct pj_view three)
{
    struct pj_cmd cmd = {0};

    put(&cmd, one, two, three);
    pj_aredis_submit(r, &cmd, rig_on_answer, a);
}

void rig_run_until(const int *count, int want)
{
    while (*count < want)
        cr_assert_eq(event_base_loop(rig.base, EVLOOP_ONCE), 0);
}
