/* chaos_keys.c - every key in Redis by its name, and every entry of an index: who owns it? */
#include "lib/store/cmd.h"
#include "tests/chaos/chaos.h"

/* Who a key belongs to: its name says so after the prefix, up to the next mark. */
enum owner {
    THE_STORE, /* it is there once, whatever runs */
    A_TASK,    /* in `tasks` */
    A_RECORD,  /* in `ob`: a notification, which belongs to a task */
    AN_HOUR,   /* in `an` */
    A_USER,    /* in `users` */
    A_REPO,    /* in `repos` */
    AN_EXPIRY, /* it goes by itself */
    NOBODY,    /* all tasks have ended, all runners have left */
};

static const struct {
    const char *prefix;
    enum owner owner;
} families[] = {
    {"pj:{p0}:t:", A_TASK},        {"pj:{p0}:ob:msg_", A_RECORD},
    {"pj:{p0}:ob:due", THE_STORE}, {"pj:{p0}:ob:new", THE_STORE},
    {"pj:{p0}:ob", THE_STORE},     {"pj:{p0}:an:", AN_HOUR},
    {"pj:{p0}:an", THE_STORE},     {"pj:{p0}:tasks:u:", A_USER},
    {"pj:{p0}:tasks:r:", A_REPO},  {"pj:{p0}:tasks:s:running", NOBODY},
    {"pj:{p0}:tasks", THE_STORE},  {"pj:{p0}:idem:", AN_EXPIRY},
    {"pj:{p0}:ev", THE_STORE},     {"pj:{p0}:ended", THE_STORE},
    {"pj:{p0}:hot", THE_STORE},    {"pj:{p0}:uv", THE_STORE},
    {"pj:{p0}:q", THE_STORE},      {"pj:{p0}:ready", THE_STORE},
    {"pj:{g}:u:", A_USER},         {"pj:{g}:repo:", A_REPO},
    {"pj:{g}:repos:u:", A_USER},   {"pj:{g}:repos:url:", A_USER},
    {"pj:{g}:repos", THE_STORE},   {"pj:{g}:tok:", THE_STORE},
    {"pj:{g}:idem:", AN_EXPIRY},   {"pj:{g}:users", THE_STORE},
    {"pj:{g}:admins", THE_STORE},  {"pj:{g}:email", THE_STORE},
    {"pj:{g}:audit", THE_STORE},   {"pj:{g}:meta", THE_STORE},
};

static int64_t count_of(struct pj_redis *redis, const char *command, const char *key)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(redis, command, key, NULL);

    return pj_reply_int(reply, 0);
}

static bool has(struct pj_redis *redis, const char *set, const char *member)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(redis, "ZSCORE", set, member, NULL);

    return pj_reply_view(reply).n > 0;
}

/* "<id>:log", "<id>_1", "<id>_1_webhook": the task's id. */
static char *first_word(const char *text)
{
    return pj_strndup(text, strcspn(text, ":_"));
}

static bool is_owned(struct pj_redis *redis, enum owner owner, const char *key, const char *rest)
{
    PJ_CLEANUP(pj_freep) char *id = first_word(rest);

    switch (owner) {
    case THE_STORE:
        return true;
    case A_TASK:
        return has(redis, "pj:{p0}:tasks", id);
    case A_RECORD: {
        PJ_CLEANUP(pj_freep) char *record = pj_asprintf("msg_%s", rest);

        return has(redis, "pj:{p0}:ob", record) && has(redis, "pj:{p0}:tasks", id);
    }
    case AN_HOUR:
        return has(redis, "pj:{p0}:an", id);
    case A_USER:
        return has(redis, "pj:{g}:users", id);
    case A_REPO:
        return has(redis, "pj:{g}:repos", id);
    case AN_EXPIRY:
        return count_of(redis, "PTTL", key) > 0;
    case NOBODY:
        break;
    }
    return false;
}

static void check_key(struct pj_redis *redis, const char *key)
{
    for (size_t i = 0; i < PJ_COUNT_OF(families); i++) {
        size_t n = strlen(families[i].prefix);

        if (strncmp(key, families[i].prefix, n) != 0)
            continue;
        cr_expect(is_owned(redis, families[i].owner, key, key + n), "%s has no owner", key);
        return;
    }
    cr_expect_fail("%s has no owner", key);
}

/* Each entry of `set` names a task, or a notification of one, that is there. */
static void check_index(struct pj_redis *redis, const char *set, const char *of)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *names = test_redis_words(redis, "ZRANGE", set, "0", "-1", NULL);

    for (size_t i = 0; i < pj_reply_count(names); i++) {
        const char *name = pj_reply_view(pj_reply_at(names, i)).p;

        cr_expect(has(redis, of, name), "%s in %s has no owner", name, set);
    }
}

void chaos_keys_check(struct chaos *c)
{
    static const struct {
        const char *set, *of;
    } indexes[] = {
        {"pj:{p0}:ob:due", "pj:{p0}:ob"},
        {"pj:{p0}:ended", "pj:{p0}:tasks"},
        {"pj:{p0}:hot", "pj:{p0}:tasks"},
        {"pj:{p0}:tasks:s:completed", "pj:{p0}:tasks"},
        {"pj:{p0}:tasks:s:failed", "pj:{p0}:tasks"},
        {"pj:{p0}:tasks:s:cancelled", "pj:{p0}:tasks"},
        {"pj:{p0}:tasks:s:needs_review", "pj:{p0}:tasks"},
    };
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&c->s.w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *keys = test_redis_words(redis, "KEYS", "*", NULL);
    int64_t in_states = 0;

    for (size_t i = 0; i < pj_reply_count(keys); i++)
        check_key(redis, pj_reply_view(pj_reply_at(keys, i)).p);
    for (size_t i = 0; i < PJ_COUNT_OF(indexes); i++) {
        check_index(redis, indexes[i].set, indexes[i].of);
        if (strstr(indexes[i].set, ":s:"))
            in_states += count_of(redis, "ZCARD", indexes[i].set);
    }
    cr_expect_eq(count_of(redis, "ZCARD", "pj:{p0}:tasks"), (int64_t)c->count,
                 "tasks that nobody made");
    cr_expect_eq(in_states, (int64_t)c->count, "tasks in no state or in two");
    cr_expect_eq(count_of(redis, "XLEN", "pj:{p0}:ready"), 0, "bells that nobody answers");
}
