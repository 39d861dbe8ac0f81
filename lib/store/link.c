#include "lib/store/link.h"

#include <hiredis/adapters/libevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/dial.h"

static void start(struct pj_alink *link);

static void set_timer(struct pj_alink *link, int ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

    (void)event_add(link->timer, &tv);
}

static void retry_later(struct pj_alink *link, const char *why)
{
    bool was_up = link->state == PJ_LINK_UP;

    link->state = PJ_LINK_DOWN;
    link->ctx = NULL;
    (void)snprintf(link->last_error, sizeof(link->last_error), "%s", why);
    set_timer(link, pj_redis_pause_ms(link->tries++));
    if (was_up)
        link->on_down(link->owner);
}

/* From here on hiredis's callbacks of `ctx` find no link. */
static void detach(redisAsyncContext *ctx)
{
    ctx->data = NULL;
    redisAsyncFree(ctx);
}

void pj_alink_drop(struct pj_alink *link, const char *why)
{
    redisAsyncContext *ctx = link->ctx;

    if (!ctx)
        return;
    link->ctx = NULL;
    detach(ctx);
    retry_later(link, why);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct pj_alink *link = arg;

    (void)fd;
    (void)what;
    if (link->state == PJ_LINK_DOWN)
        start(link);
    else if (link->state != PJ_LINK_UP)
        pj_alink_drop(link, "no answer in time");
}

static void set_up(struct pj_alink *link)
{
    (void)event_del(link->timer);
    link->state = PJ_LINK_UP;
    link->tries = 0;
    link->last_error[0] = '\0';
    link->on_up(link->owner);
}

static void on_greeted(redisAsyncContext *ctx, void *got, void *arg)
{
    struct pj_alink *link = ctx->data;
    struct pj_err err;

    (void)arg;
    if (!link || link->ctx != ctx || !got)
        return;
    if (pj_reply_error(got, &err) < 0)
        pj_alink_drop(link, err.message);
    else if (--link->greetings_left == 0)
        set_up(link);
}

static void send_cmd(redisAsyncContext *ctx, redisCallbackFn *fn, const struct pj_cmd *cmd)
{
    const char **argv;
    size_t *lens;

    pj_cmd_argv(cmd, false, &argv, &lens);
    (void)redisAsyncCommandArgv(ctx, fn, NULL, (int)cmd->argc, argv, lens);
    free(argv);
    free(lens);
}

static void greet(struct pj_alink *link)
{
    struct pj_cmd cmds[PJ_GREETING_MAX + 1] = {0};
    size_t n = pj_redis_greeting(&link->target, link->name, cmds);

    pj_cmd_start(&cmds[n++], "PING"); /* refused while Redis loads its data */
    link->state = PJ_LINK_GREETING;
    link->greetings_left = n;
    for (size_t i = 0; i < n; i++) {
        send_cmd(link->ctx, on_greeted, &cmds[i]);
        pj_cmd_release(&cmds[i]);
    }
}

static void on_primary(redisAsyncContext *ctx, void *got, void *arg)
{
    struct pj_alink *link = ctx->data;
    const redisReply *reply = got;

    (void)arg;
    if (!link || link->ctx != ctx || !reply)
        return;
    if (pj_reply_count(reply) != 2) {
        pj_alink_drop(link, "the sentinel does not know this master");
        return;
    }
    free(link->primary.host);
    link->primary.host = pj_reply_dup(pj_reply_at(reply, 0));
    link->primary.port = (int)pj_reply_int(pj_reply_at(reply, 1), PJ_REDIS_PORT);
    link->ctx = NULL;
    detach(ctx);
    start(link);
}

static void ask_sentinel(struct pj_alink *link)
{
    struct pj_cmd cmd = {0};

    pj_cmd_start(&cmd, "SENTINEL");
    pj_cmd_text(&cmd, "get-master-addr-by-name");
    pj_cmd_text(&cmd, link->target.master);
    send_cmd(link->ctx, on_primary, &cmd);
    pj_cmd_release(&cmd);
}

static void on_connect(const redisAsyncContext *ctx, int status)
{
    struct pj_alink *link = ctx->data;

    if (!link || link->ctx != ctx)
        return;
    if (status != REDIS_OK)
        retry_later(link, ctx->errstr); /* hiredis frees it */
    else if (link->state == PJ_LINK_ASKING)
        ask_sentinel(link);
    else
        greet(link);
}

static void on_disconnect(const redisAsyncContext *ctx, int status)
{
    struct pj_alink *link = ctx->data;

    (void)status;
    if (link && link->ctx == ctx)
        retry_later(link, ctx->errstr && ctx->errstr[0] ? ctx->errstr : "connection closed");
}

/* Where the next try goes: a sentinel first when there are some, then what it named. */
static redisAsyncContext *dial(struct pj_alink *link)
{
    const struct pj_redis_addr *addr = &link->target.addr[0];

    link->state = PJ_LINK_CONNECTING;
    if (link->target.path)
        return redisAsyncConnectUnix(link->target.path);
    if (link->target.master && !link->primary.host) {
        link->state = PJ_LINK_ASKING;
        addr = &link->target.addr[link->sentinel++ % link->target.addr_count];
    } else if (link->target.master) {
        addr = &link->primary;
    }
    return redisAsyncConnect(addr->host, addr->port);
}

static void start(struct pj_alink *link)
{
    redisAsyncContext *ctx = dial(link);
    char why[sizeof(link->last_error)];

    if (link->state == PJ_LINK_CONNECTING) { /* the next time it is asked for anew */
        free(link->primary.host);
        link->primary.host = NULL;
    }
    if (!ctx || ctx->err) {
        (void)snprintf(why, sizeof(why), "%s", ctx ? ctx->errstr : "out of memory");
        if (ctx)
            redisAsyncFree(ctx);
        retry_later(link, why);
        return;
    }
    pj_redis_adopt_fd(ctx->c.fd);
    ctx->data = link;
    link->ctx = ctx;
    (void)redisLibeventAttach(ctx, link->base);
    (void)redisAsyncSetConnectCallback(ctx, on_connect);
    (void)redisAsyncSetDisconnectCallback(ctx, on_disconnect);
    set_timer(link, link->connect_ms);
}

int pj_alink_init(struct pj_alink *link, struct event_base *base,
                  const struct pj_redis_options *options, void *owner, void (*on_up)(void *owner),
                  void (*on_down)(void *owner), struct pj_err *err)
{
    *link = (struct pj_alink){.base = base, .owner = owner, .on_up = on_up, .on_down = on_down};
    if (pj_redis_target_parse(options, &link->target, err) < 0)
        return -1;
    link->name = pj_strdup_or_null(options->name);
    link->connect_ms = options->connect_ms ? options->connect_ms : 2000;
    link->timer = evtimer_new(base, on_timer, link);
    (void)snprintf(link->last_error, sizeof(link->last_error), "connecting");
    set_timer(link, 0);
    return 0;
}

void pj_alink_release(struct pj_alink *link)
{
    redisAsyncContext *ctx = link->ctx;

    link->ctx = NULL;
    link->state = PJ_LINK_DOWN;
    if (ctx)
        detach(ctx);
    if (link->timer)
        event_free(link->timer);
    free(link->primary.host);
    free(link->name);
    pj_redis_target_release(&link->target);
    *link = (struct pj_alink){0};
}
