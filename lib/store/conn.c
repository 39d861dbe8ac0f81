#include "lib/store/conn.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/dial.h"

struct pj_redis {
    struct pj_redis_target target;
    char *name;
    int connect_ms, command_ms, retry_ms;
    redisContext *ctx; /* NULL: not connected */
};

static struct timeval tv_of(int ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

static void drop(struct pj_redis *redis)
{
    if (redis->ctx)
        redisFree(redis->ctx);
    redis->ctx = NULL;
}

int pj_redis_new(const struct pj_redis_options *options, struct pj_redis **out, struct pj_err *err)
{
    struct pj_redis *redis = pj_alloc(1, sizeof(*redis));

    if (pj_redis_target_parse(options, &redis->target, err) < 0) {
        free(redis);
        return -1;
    }
    redis->name = pj_strdup_or_null(options->name);
    redis->connect_ms = options->connect_ms ? options->connect_ms : 2000;
    redis->command_ms = options->command_ms ? options->command_ms : 5000;
    redis->retry_ms = options->retry_ms ? options->retry_ms : 10000;
    *out = redis;
    return 0;
}

void pj_redis_free(struct pj_redis *redis)
{
    if (!redis)
        return;
    drop(redis);
    pj_redis_target_release(&redis->target);
    free(redis->name);
    free(redis);
}

void pj_redis_freep(struct pj_redis **redis)
{
    pj_redis_free(*redis);
    *redis = NULL;
}

static int fail_connect(const struct pj_redis *redis, const char *why, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *where = pj_redis_target_text(&redis->target);

    (void)pj_fail(err, PJ_E_UNAVAILABLE, "cannot connect to Redis at %s: %s", where, why);
    return pj_err_remedy(err, "Start Redis, or set PJ_REDIS_URL.");
}

static int fail_lost(const struct pj_redis *redis, struct pj_err *err)
{
    const char *why = redis->ctx->err == REDIS_ERR_IO && errno == EAGAIN ? "no answer in time"
                                                                         : redis->ctx->errstr;

    return pj_fail(err, PJ_E_UNAVAILABLE, "lost the connection to Redis: %s", why);
}

/* Append to hiredis's buffer. With `source`: EVAL instead of EVALSHA. */
static int append(redisContext *ctx, const struct pj_cmd *cmd, bool source)
{
    const char **argv;
    size_t *lens;
    int rc;

    pj_cmd_argv(cmd, source, &argv, &lens);
    rc = redisAppendCommandArgv(ctx, (int)cmd->argc, argv, lens);
    free(argv);
    free(lens);
    return rc == REDIS_OK ? 0 : -1;
}

static int exchange(struct pj_redis *redis, const struct pj_cmd *cmd, bool source,
                    struct redisReply **reply, struct pj_err *err)
{
    void *got = NULL;

    (void)redisSetTimeout(redis->ctx, tv_of(redis->command_ms + cmd->block_ms));
    errno = 0;
    if (append(redis->ctx, cmd, source) < 0 || redisGetReply(redis->ctx, &got) != REDIS_OK ||
        !got) {
        (void)fail_lost(redis, err);
        drop(redis);
        return -1;
    }
    *reply = got;
    return 0;
}

static redisContext *dial(const struct pj_redis *redis, const char *path,
                          const struct pj_redis_addr *addr)
{
    redisContext *ctx =
        path ? redisConnectUnixWithTimeout(path, tv_of(redis->connect_ms))
             : redisConnectWithTimeout(addr->host, addr->port, tv_of(redis->connect_ms));

    if (ctx && !ctx->err)
        pj_redis_adopt_fd(ctx->fd);
    return ctx;
}

/* Ask one sentinel after another for the primary. */
static redisContext *dial_by_sentinel(struct pj_redis *redis)
{
    redisContext *ctx = NULL;

    for (size_t i = 0; i < redis->target.addr_count; i++) {
        redisReply *reply;

        if (ctx)
            redisFree(ctx);
        ctx = dial(redis, NULL, &redis->target.addr[i]);
        if (!ctx || ctx->err)
            continue;
        (void)redisSetTimeout(ctx, tv_of(redis->connect_ms));
        reply = redisCommand(ctx, "SENTINEL get-master-addr-by-name %s", redis->target.master);
        if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
            struct pj_redis_addr primary = {.host = reply->element[0]->str,
                                            .port = (int)pj_reply_int(reply->element[1], 0)};

            redisFree(ctx);
            ctx = dial(redis, NULL, &primary);
            freeReplyObject(reply);
            return ctx;
        }
        if (reply)
            freeReplyObject(reply);
        ctx->err = REDIS_ERR_OTHER;
        (void)snprintf(ctx->errstr, sizeof(ctx->errstr), "the sentinel does not know this master");
    }
    return ctx;
}

static int greet(struct pj_redis *redis, struct pj_err *err)
{
    struct pj_cmd cmds[PJ_GREETING_MAX] = {0};
    size_t n = pj_redis_greeting(&redis->target, redis->name, cmds);
    int rc = 0;

    for (size_t i = 0; i < n; i++) {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

        if (rc == 0 &&
            (exchange(redis, &cmds[i], false, &reply, err) < 0 || pj_reply_error(reply, err) < 0))
            rc = -1;
        pj_cmd_release(&cmds[i]);
    }
    if (rc < 0)
        drop(redis);
    return rc;
}

int pj_redis_connect(struct pj_redis *redis, struct pj_err *err)
{
    if (redis->ctx)
        return 0;
    redis->ctx = redis->target.master ? dial_by_sentinel(redis)
                                      : dial(redis, redis->target.path, &redis->target.addr[0]);
    if (!redis->ctx)
        return fail_connect(redis, "out of memory", err);
    if (redis->ctx->err) {
        (void)fail_connect(redis, redis->ctx->errstr, err);
        drop(redis);
        return -1;
    }
    return greet(redis, err);
}

/* A connection that the server has closed meanwhile is readable although nothing was asked. */
static void drop_if_closed(struct pj_redis *redis)
{
    struct pollfd p = {.events = POLLIN};

    if (!redis->ctx)
        return;
    p.fd = redis->ctx->fd;
    if (poll(&p, 1, 0) != 0)
        drop(redis);
}

/* Was the command refused before it did anything, by a server that will take it soon (or whose successor will)? */
static bool is_passing(const struct pj_err *err)
{
    return strcmp(err->code, "store_loading") == 0 || strcmp(err->code, "store_readonly") == 0 ||
           strcmp(err->code, "store_busy") == 0;
}

/* One try. *again: the caller may try once more. */
static int attempt(struct pj_redis *redis, const struct pj_cmd *cmd, struct redisReply **reply,
                   bool *again, struct pj_err *err)
{
    drop_if_closed(redis);
    *again = true;
    if (pj_redis_connect(redis, err) < 0) {
        *again = err->cls == PJ_E_UNAVAILABLE;
        return -1;
    }
    *again = cmd->repeatable;
    if (exchange(redis, cmd, false, reply, err) < 0)
        return -1;
    if (cmd->script && pj_reply_is_noscript(*reply)) {
        pj_reply_freep(reply);
        if (exchange(redis, cmd, true, reply, err) < 0)
            return -1;
    }
    if (pj_reply_error(*reply, err) == 0)
        return 0;
    pj_reply_freep(reply);
    *again = is_passing(err);
    if (strcmp(err->code, "store_readonly") == 0)
        drop(redis);
    return -1;
}

int pj_redis_do(struct pj_redis *redis, const struct pj_cmd *cmd, struct redisReply **reply,
                struct pj_err *err)
{
    int64_t give_up = pj_mono_ms() + redis->retry_ms;
    bool again;

    for (unsigned n = 0;; n++) {
        int pause = pj_redis_pause_ms(n);

        if (attempt(redis, cmd, reply, &again, err) == 0)
            return 0;
        if (!again || pj_mono_ms() + pause > give_up)
            return -1;
        pj_err_clear(err);
        (void)poll(NULL, 0, pause);
    }
}

int pj_redis_pipeline(struct pj_redis *redis, const struct pj_cmd *cmds, size_t count,
                      struct redisReply **replies, struct pj_err *err)
{
    memset(replies, 0, count * sizeof(struct redisReply *));
    drop_if_closed(redis);
    if (pj_redis_connect(redis, err) < 0)
        return -1;
    (void)redisSetTimeout(redis->ctx, tv_of(redis->command_ms));
    for (size_t i = 0; i < count; i++)
        (void)append(redis->ctx, &cmds[i], false);
    for (size_t i = 0; i < count; i++) {
        void *got = NULL;

        errno = 0;
        if (redisGetReply(redis->ctx, &got) == REDIS_OK && got) {
            replies[i] = got;
            continue;
        }
        (void)fail_lost(redis, err);
        drop(redis);
        for (size_t k = 0; k < i; k++)
            pj_reply_freep(&replies[k]);
        return -1;
    }
    for (size_t i = 0; i < count; i++) { /* rare: the first use after a restart */
        if (!cmds[i].script || !pj_reply_is_noscript(replies[i]))
            continue;
        pj_reply_freep(&replies[i]);
        if (exchange(redis, &cmds[i], true, &replies[i], err) < 0) {
            for (size_t k = 0; k < count; k++)
                pj_reply_freep(&replies[k]);
            return -1;
        }
    }
    return 0;
}
