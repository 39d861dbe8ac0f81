#include "lib/store/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/crypto/tls.h"
#include "lib/store/dial.h"

static void start(struct pj_alink *link);

static void set_timer(struct pj_alink *link, int ms)
{
    struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

    (void)event_add(link->timer, &tv);
}

/* Each reason once, and the end of it. */
static void tell(struct pj_alink *link)
{
    if (strcmp(link->told, link->last_error) == 0)
        return;
    if (link->last_error[0])
        pj_log(PJ_LOG_WARN, "redis_unreachable", "detail", link->last_error, "connection",
               link->name ? link->name : "", NULL);
    else
        pj_log(PJ_LOG_INFO, "redis_reached", "connection", link->name ? link->name : "", NULL);
    (void)memcpy(link->told, link->last_error, sizeof(link->told));
}

/* The last thing done with `link` by whoever calls: its owner may free it when what it sent is told lost. */
static void retry_later(struct pj_alink *link, const char *why, const char *remedy)
{
    struct pj_session *session = link->session;
    bool was_up = link->state == PJ_LINK_UP;

    link->state = PJ_LINK_DOWN;
    link->session = NULL;
    (void)snprintf(link->last_error, sizeof(link->last_error), remedy[0] ? "%s (%s)" : "%s", why,
                   remedy);
    tell(link);
    set_timer(link, pj_redis_pause_ms(link->tries++));
    if (was_up)
        link->on_down(link->owner);
    if (session)
        pj_session_end(session);
}

void pj_alink_drop(struct pj_alink *link, const char *why)
{
    if (link->session)
        retry_later(link, why, "");
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct pj_alink *link = arg;

    (void)fd;
    (void)what;
    if (link->state == PJ_LINK_DOWN) {
        start(link);
    } else if (link->state != PJ_LINK_UP) {
        const struct pj_err *late = pj_session_expire(link->session);

        retry_later(link, late->message, late->remedy);
    }
}

static void set_up(struct pj_alink *link)
{
    (void)event_del(link->timer);
    link->state = PJ_LINK_UP;
    link->tries = 0;
    link->last_error[0] = '\0';
    tell(link);
    link->on_up(link->owner);
}

static void on_greeted(void *arg, const struct redisReply *reply)
{
    struct pj_alink *link = arg;
    struct pj_err err = {0};

    if (!reply)
        return;
    if (pj_reply_error(reply, &err) < 0)
        retry_later(link, err.message, err.remedy);
    else if (--link->greetings_left == 0)
        set_up(link);
}

static void greet(struct pj_alink *link)
{
    struct pj_cmd cmds[PJ_GREETING_MAX + 1] = {0};
    size_t n = pj_redis_greeting(&link->target, link->name, cmds);

    pj_cmd_start(&cmds[n++], "PING"); /* refused while Redis loads its data */
    link->state = PJ_LINK_GREETING;
    link->greetings_left = n;
    for (size_t i = 0; i < n; i++) {
        pj_session_send(link->session, &cmds[i], false, on_greeted, link);
        pj_cmd_release(&cmds[i]);
    }
}

static void on_sentinel(struct pj_alink *link, const struct redisReply *reply, bool last)
{
    struct pj_session *session;
    struct pj_err err = {0};
    int rc;

    if (!reply)
        return;
    session = link->session;
    rc = pj_redis_take_primary(&link->target, link->sentinel, reply, last, &link->primary, &err);
    if (rc < 0) {
        retry_later(link, err.message, err.remedy);
    } else if (rc == 1) {
        link->session = NULL;
        pj_session_end(session);
        start(link);
    }
}

static void on_login(void *arg, const struct redisReply *reply)
{
    on_sentinel(arg, reply, false);
}

static void on_primary(void *arg, const struct redisReply *reply)
{
    on_sentinel(arg, reply, true);
}

static void ask_sentinel(struct pj_alink *link)
{
    struct pj_cmd cmds[PJ_QUESTION_MAX] = {0};
    size_t n = pj_redis_ask_primary(&link->target, cmds);

    for (size_t i = 0; i < n; i++) {
        pj_session_send(link->session, &cmds[i], false, i == n - 1 ? on_primary : on_login, link);
        pj_cmd_release(&cmds[i]);
    }
}

static void on_open(void *owner)
{
    struct pj_alink *link = owner;

    if (link->state == PJ_LINK_ASKING)
        ask_sentinel(link);
    else
        greet(link);
}

static void on_push(void *owner, const struct redisReply *reply)
{
    struct pj_alink *link = owner;
    struct pj_err err = {0};

    if (pj_reply_error(reply, &err) < 0)
        retry_later(link, err.message, err.remedy);
    else if (!link->on_push)
        retry_later(link, "an answer came that nobody asked for", "");
    else
        link->on_push(link->owner, reply);
}

static void on_over(void *owner, const struct pj_err *why)
{
    retry_later(owner, why->message, why->remedy);
}

/* Where the next try goes: a sentinel first when there are some, then what it named. */
static void start(struct pj_alink *link)
{
    static const struct pj_session_events events = {on_open, on_push, on_over};
    const struct pj_redis_addr *addr = &link->target.addr[0];

    link->state = PJ_LINK_CONNECTING;
    if (link->target.master && !link->primary.host) {
        link->state = PJ_LINK_ASKING;
        link->sentinel = (link->sentinel + 1) % link->target.addr_count;
        addr = &link->target.addr[link->sentinel];
    } else if (link->target.master) {
        addr = &link->primary;
    }
    link->session =
        pj_session_new(link->base, link->target.path, addr, link->tls, link->tries, &events, link);
    if (link->state == PJ_LINK_CONNECTING) { /* the next time it is asked for anew */
        free(link->primary.host);
        link->primary.host = NULL;
    }
    set_timer(link, link->connect_ms);
}

bool pj_alink_send(struct pj_alink *link, const struct pj_cmd *cmd, bool source, pj_session_cb *cb,
                   void *arg)
{
    if (link->state != PJ_LINK_UP)
        return false;
    pj_session_send(link->session, cmd, source, cb, arg);
    return true;
}

int pj_alink_init(struct pj_alink *link, struct event_base *base,
                  const struct pj_redis_options *options, struct pj_err *err)
{
    link->base = base;
    if (pj_redis_aim(options, &link->target, &link->tls, err) < 0)
        return -1;
    link->name = pj_strdup_or_null(options->name);
    link->sentinel = link->target.addr_count - 1; /* the next one is the first */
    link->connect_ms = options->connect_ms ? options->connect_ms : 2000;
    link->timer = evtimer_new(base, on_timer, link);
    (void)snprintf(link->last_error, sizeof(link->last_error), "connecting");
    set_timer(link, 0);
    return 0;
}

void pj_alink_release(struct pj_alink *link)
{
    struct pj_session *session = link->session;

    link->session = NULL;
    link->state = PJ_LINK_DOWN;
    if (link->timer)
        event_free(link->timer);
    free(link->primary.host);
    free(link->name);
    pj_redis_target_release(&link->target);
    if (session)
        pj_session_end(session);
    pj_tls_free(link->tls);
    *link = (struct pj_alink){0};
}
