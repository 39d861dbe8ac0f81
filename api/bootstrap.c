#include "api/bootstrap.h"

#include <stdio.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/conn.h"
#include "lib/store/users.h"

static int count_users(struct pj_redis *redis, int64_t *count, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    pj_user_count_cmd(&cmd);
    if (pj_redis_do(redis, &cmd, &reply, err) < 0)
        return -1;
    return pj_user_count_reply(reply, count, err);
}

/* To standard error and not through the log, which masks secrets. */
static void print_token(const char *token)
{
    fprintf(stderr,
            "pj-api: no user exists yet. The first admin's token, shown this once:\n\n    %s\n\n"
            "pj-api: log in with it (`pj login`), or start with PJ_BOOTSTRAP_TOKEN to choose it "
            "yourself.\n",
            token);
}

int bootstrap(struct pj_redis *redis, const struct settings *settings, struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    char text[PJ_TOKEN_TEXT_SIZE], digest[65], user_id[PJ_ID_SIZE], token_id[PJ_ID_SIZE],
        name[] = "first";
    struct pj_user made = {0};
    int64_t count = 0, now = pj_now_ms();

    if (count_users(redis, &count, err) < 0)
        return -1;
    if (count > 0)
        return 0;
    pj_token_make(PJ_TOKEN_PERSONAL, text);
    pj_token_digest(settings->bootstrap_token != NULL ? settings->bootstrap_token : text, digest);
    pj_id_new(0, user_id);
    pj_id_new(0, token_id);
    const struct pj_user user = {.id = user_id,
                                 .email = settings->admin_email,
                                 .role = PJ_ROLE_ADMIN,
                                 .created_ms = now,
                                 .updated_ms = now};
    const struct pj_token token = {.id = token_id,
                                   .user_id = user_id,
                                   .name = name,
                                   .kind = PJ_TOKEN_PERSONAL,
                                   .created_ms = now};
    pj_user_bootstrap_cmd(&cmd, &user, &token, digest);
    if (pj_redis_do(redis, &cmd, &reply, err) < 0)
        return pj_err_wrap(err, "first admin");
    if (pj_user_reply(reply, &made, err) < 0) {
        pj_wipe(text, sizeof text);
        return err->cls == PJ_E_CONFLICT
                   ? 0
                   : pj_err_wrap(err, "first admin"); /* another process was first */
    }
    if (settings->bootstrap_token == NULL)
        print_token(text);
    pj_log(PJ_LOG_INFO, "first_admin", "userId", made.id, "email", made.email, NULL);
    pj_user_release(&made);
    pj_wipe(text, sizeof text);
    return 0;
}
