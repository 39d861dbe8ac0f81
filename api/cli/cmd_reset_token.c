/* pj admin reset-token: on the host, over Redis, for when nobody can log in any more. The user's older tokens end. */
#include <stdio.h>
#include <string.h>
#include "api/cli/cli.h"
#include "api/cli/host.h"
#include "lib/base/clock.h"
#include "lib/base/id.h"
#include "lib/base/mem.h"
#include "lib/store/audit.h"
#include "lib/store/users.h"

static void redis_freep(struct pj_redis **redis)
{
    pj_redis_free(*redis);
}

static int find_user(struct pj_redis *redis, const char *email, struct pj_user *out,
                     struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    pj_user_by_email_cmd(&cmd, email);
    if (pj_redis_do(redis, &cmd, &reply, err) < 0)
        return -1;
    return pj_user_reply(reply, out, err) < 0 ? pj_err_wrap(err, "user %s", email) : 0;
}

static int revoke_all(struct pj_redis *redis, const char *user, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    pj_token_revoke_all_cmd(&cmd, user);
    if (pj_redis_do(redis, &cmd, &reply, err) < 0)
        return -1;
    return pj_token_revoke_reply(reply, err);
}

static int create(struct pj_redis *redis, char *user, const char *text, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    char id[PJ_ID_SIZE], name[] = "reset on the host", digest[65];
    struct pj_token token = {.id = id, .user_id = user, .name = name, .kind = PJ_TOKEN_PERSONAL};

    pj_id_new(0, id);
    token.created_ms = pj_now_ms();
    pj_token_digest(text, digest);
    pj_token_create_cmd(&cmd, &token, digest);
    if (pj_redis_do(redis, &cmd, &reply, err) < 0)
        return -1;
    return pj_token_create_reply(reply, err);
}

static int audit(struct pj_redis *redis, const char *user, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    const struct pj_audit entry = {.actor = "host", .action = "token.reset", .target = user};

    pj_audit_add_cmd(&cmd, &entry);
    return pj_redis_do(redis, &cmd, &reply, err);
}

int cmd_admin_reset_token(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    PJ_CLEANUP(redis_freep) struct pj_redis *redis = NULL;
    PJ_CLEANUP(pj_user_release) struct pj_user user = {0};
    char text[PJ_TOKEN_TEXT_SIZE];

    if (host_redis(&redis, err) < 0 || find_user(redis, args->word[0], &user, err) < 0)
        return -1;
    pj_token_make(PJ_TOKEN_PERSONAL, text);
    if (revoke_all(redis, user.id, err) < 0 || create(redis, user.id, text, err) < 0 ||
        audit(redis, user.id, err) < 0)
        return -1;
    if (cli->json)
        (void)printf("{\"email\":\"%s\",\"token\":\"%s\"}\n", user.email, text);
    else
        (void)puts(text);
    pj_wipe(text, sizeof text);
    return 0;
}
