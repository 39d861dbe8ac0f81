#include "api/guard.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/auth.h"
#include "api/request.h"
#include "api/routes.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/users.h"

#define LOOK_S 5
#define BUCKETS 256

TAILQ_HEAD(guarded_list, guarded);

/* One for all streams that the same token opened under the same rights. */
struct guard_token {
    struct guard *guard;
    char digest[65];
    unsigned scope; /* what the streams need */
    bool admin;     /* an admin's streams show all */
    bool asking;
    struct guarded_list streams;
    struct guard_token *next;
};

struct guard {
    struct api *api;
    struct event *tick;
    struct guard_token *bucket[BUCKETS];
};

static struct guard_token **bucket_of(struct guard *guard, const char *digest)
{
    char head[3] = {digest[0], digest[1], '\0'};

    return &guard->bucket[strtoul(head, NULL, 16) % BUCKETS];
}

static void drop_if_unused(struct guard_token *token)
{
    struct guard_token **slot = bucket_of(token->guard, token->digest);

    if (token->asking || !TAILQ_EMPTY(&token->streams))
        return;
    while (*slot != token)
        slot = &(*slot)->next;
    *slot = token->next;
    free(token);
}

static bool still_may(const struct guard_token *token, const struct pj_user *user,
                      const struct pj_token *found)
{
    bool admin = user->role == PJ_ROLE_ADMIN;

    return admin == token->admin && (auth_scopes(found, admin) & token->scope) == token->scope;
}

static void on_found(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct guard_token *token = arg;
    struct pj_user user = {0};
    struct pj_token found = {0};
    struct guarded *stream;
    struct pj_err local;
    bool may = true;

    (void)err;
    if (reply != NULL && pj_token_find_reply(reply, &user, &found, &local) == 0)
        may = still_may(token, &user, &found);
    else if (reply != NULL)
        may = local.cls != PJ_E_AUTH;
    pj_user_release(&user);
    pj_token_release(&found);
    if (!may)
        pj_log(PJ_LOG_INFO, "streams_ended", "detail", "their token is no longer good", NULL);
    while (!may && (stream = TAILQ_FIRST(&token->streams)) != NULL)
        stream->end(stream->arg);
    token->asking = false;
    drop_if_unused(token);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct guard *guard = arg;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct guard_token *t = guard->bucket[i]; t != NULL; t = t->next) {
            struct pj_cmd cmd = {0};
            if (t->asking) /* the last answer is not here yet */
                continue;
            t->asking = true;
            pj_token_find_cmd(&cmd, t->digest);
            pj_aredis_submit(guard->api->redis, &cmd, on_found, t);
        }
}

struct guard *guard_new(struct api *api)
{
    struct guard *guard = pj_alloc(1, sizeof *guard);
    const struct timeval every = {LOOK_S, 0};

    guard->api = api;
    guard->tick = event_new(api->base, -1, EV_PERSIST, on_tick, guard);
    event_add(guard->tick, &every);
    return guard;
}

void guard_free(struct guard *guard)
{
    if (guard == NULL)
        return;
    event_free(guard->tick);
    free(guard);
}

void guard_join(const struct request *req, struct guarded *stream, void (*end)(void *arg),
                void *arg)
{
    struct guard *guard = req->api->guard;
    struct guard_token **slot = bucket_of(guard, req->who.digest), *t = *slot;

    while (t != NULL && (strcmp(t->digest, req->who.digest) != 0 || t->scope != req->route->scope ||
                         t->admin != req->who.admin))
        t = t->next;
    if (t == NULL) {
        t = pj_alloc(1, sizeof *t);
        t->guard = guard;
        memcpy(t->digest, req->who.digest, sizeof t->digest);
        t->scope = req->route->scope;
        t->admin = req->who.admin;
        TAILQ_INIT(&t->streams);
        t->next = *slot;
        *slot = t;
    }
    stream->token = t;
    stream->end = end;
    stream->arg = arg;
    TAILQ_INSERT_TAIL(&t->streams, stream, link);
}

void guard_leave(struct guarded *stream)
{
    struct guard_token *token = stream->token;

    if (token == NULL)
        return;
    TAILQ_REMOVE(&token->streams, stream, link);
    stream->token = NULL;
    drop_if_unused(token);
}
