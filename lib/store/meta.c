#include "lib/store/meta.h"

#include <stdio.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/keys.h"
#include "lib/store/queue.h"

static int read_meta(struct pj_redis *redis, unsigned partitions, struct pj_meta *out,
                     struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    char key[PJ_KEY_SIZE];
    int64_t stored;

    pj_cmd_script(&cmd, "meta_open");
    pj_cmd_text(&cmd, pj_key_global(key, "meta"));
    pj_cmd_int(&cmd, PJ_SCHEMA);
    pj_cmd_int(&cmd, partitions);
    if (pj_redis_do(redis, &cmd, &reply, err) < 0 || pj_reply_word(reply, err) < 0)
        return -1;
    out->schema = pj_reply_int(pj_reply_at(reply, 1), 0);
    stored = pj_reply_int(pj_reply_at(reply, 2), 0);
    if (out->schema == PJ_SCHEMA && stored >= 1 && stored <= PJ_PARTITIONS_MAX) {
        out->partitions = (unsigned)stored;
        return 0;
    }
    (void)pj_fail(err, PJ_E_CONFLICT, "the data in Redis has schema %lld, this program knows %d",
                  (long long)out->schema, PJ_SCHEMA);
    if (out->schema < PJ_SCHEMA) {
        (void)pj_err_remedy(
            err,
            "Nothing was changed. Let the version that wrote it end its tasks, then name another "
            "Redis or database in PJ_REDIS_URL (pj up: another folder with --data).");
        return pj_err_code(err, "schema_older");
    }
    (void)pj_err_remedy(
        err, "Run the program's newer version, or name another Redis or database in PJ_REDIS_URL.");
    return pj_err_code(err, "schema_newer");
}

int pj_store_open(struct pj_redis *redis, unsigned partitions, struct pj_meta *out,
                  struct pj_err *err)
{
    struct pj_meta meta;

    if (read_meta(redis, partitions ? partitions : 1, &meta, err) < 0)
        return pj_err_wrap(err, "opening the store");
    for (unsigned p = 0; p < meta.partitions; p++) {
        PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

        pj_queue_init_cmd(&cmd, p);
        if (pj_redis_do(redis, &cmd, &reply, err) < 0 || pj_queue_init_reply(reply, err) < 0)
            return pj_err_wrap(err, "opening the store");
    }
    *out = meta;
    return 0;
}

/* "name:value\r\n" in the text of INFO; empty when it is not there. */
static struct pj_view info_value(struct pj_view info, const char *name)
{
    struct pj_view line, key;

    while (pj_view_cut(&info, '\n', &line)) {
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (pj_view_cut(&line, ':', &key) && pj_view_is(key, name))
            return line;
    }
    return pj_view_n("", 0);
}

static void find(struct pj_store_finding *out, size_t *count, int level, const char *event,
                 const char *detail, const char *remedy)
{
    struct pj_store_finding *f = &out[(*count)++];

    f->level = level;
    (void)snprintf(f->event, sizeof(f->event), "%s", event);
    (void)snprintf(f->detail, sizeof(f->detail), "%s", detail);
    (void)snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
}

static void judge(struct pj_view info, struct pj_store_finding *out, size_t *count)
{
    struct pj_view version = info_value(info, "redis_version"), major = version, rest = version;
    struct pj_view policy = info_value(info, "maxmemory_policy"),
                   aof = info_value(info, "aof_enabled");
    char detail[200];
    int64_t number = 0;

    *count = 0;
    if (pj_view_cut(&rest, '.', &major) && pj_parse_i64(major, &number) == 0 && number < 7) {
        (void)snprintf(detail, sizeof(detail), "Redis is version %.*s; 7.0 or newer is needed",
                       (int)version.n, version.p);
        find(out, count, 2, "redis_too_old", detail, "Upgrade Redis.");
    }
    if (policy.n && !pj_view_is(policy, "noeviction")) {
        bool limited = !pj_view_is(info_value(info, "maxmemory"), "0");

        (void)snprintf(detail, sizeof(detail),
                       "maxmemory-policy of Redis is %.*s: it may drop tasks", (int)policy.n,
                       policy.p);
        find(out, count, limited ? 2 : 1, "redis_evicts", detail,
             "Set maxmemory-policy noeviction.");
    }
    if (pj_view_is(aof, "0"))
        find(out, count, 1, "redis_not_durable",
             "Redis has no append-only file: a restart of it loses tasks",
             "Set appendonly yes, and appendfsync always if no acknowledged task may be lost.");
}

int pj_store_check(struct pj_redis *redis, struct pj_store_finding *out, size_t *count,
                   struct pj_err *err)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    pj_cmd_start(&cmd, "INFO");
    cmd.repeatable = true;
    if (pj_redis_do(redis, &cmd, &reply, err) < 0)
        return -1;
    judge(pj_reply_view(reply), out, count);
    return 0;
}
