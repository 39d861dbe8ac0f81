#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/script.h"
#include "lib/store/sha1.h"
#include "tests/lib/store/fixture.h"

static struct fixture f;

static void up(void)
{
    fixture_up(&f);
}

static void down(void)
{
    fixture_down(&f);
}

TestSuite(conn, .init = up, .fini = down);

Test(target, forms_of_the_url)
{
    static const struct {
        const char *url, *text, *user, *password;
        int db;
        bool tls;
    } good[] = {
        {"redis://127.0.0.1:6379/0", "127.0.0.1:6379", NULL, NULL, 0},
        {"redis://h", "h:6379", NULL, NULL, 0},
        {"redis://me:p%40ss@h:1/3", "h:1", "me", "p@ss", 3},
        {"redis://:secret@[::1]:7000", "::1:7000", NULL, "secret", 0},
        {"unix:///run/redis.sock?db=2", "/run/redis.sock", NULL, NULL, 2},
        {"unix:///run/redis.sock", "/run/redis.sock", NULL, NULL, 0},
        {"redis-sentinel://a:1,b/main/1", "main (by 2 sentinels)", NULL, NULL, 1},
        {"rediss://me:pw@h/3", "h:6379", "me", "pw", 3, true},
        {"rediss://[::1]:7000", "::1:7000", NULL, NULL, 0, true},
        {"rediss-sentinel://:pw@a:1,b:2,c/main", "main (by 3 sentinels)", NULL, "pw", 0, true},
    };
    static const char *const bad[] = {"",
                                      "http://h",
                                      "redis://",
                                      "redis://h:0",
                                      "redis://h/x",
                                      "redis://h:99999",
                                      "unix://rel",
                                      "unix:///a?x=1",
                                      "redis-sentinel://a",
                                      "rediss://",
                                      "rediss://a,b/0",
                                      "rediss-sentinel://a",
                                      "redisss://h",
                                      "redis://a,b/0",
                                      "redis://[::1"};

    for (size_t i = 0; i < PJ_COUNT_OF(good); i++) {
        struct pj_redis_options options = {.url = good[i].url};
        struct pj_redis_target target;
        struct pj_err err = {0};
        PJ_CLEANUP(pj_freep) char *text = NULL;

        cr_assert_eq(pj_redis_target_parse(&options, &target, &err), 0, "%s: %s", good[i].url,
                     err.message);
        text = pj_redis_target_text(&target);
        cr_assert_str_eq(text, good[i].text);
        cr_assert_eq(target.db, good[i].db);
        cr_assert_eq(target.tls, good[i].tls);
        cr_assert(good[i].user ? strcmp(target.user, good[i].user) == 0 : !target.user);
        cr_assert(good[i].password ? strcmp(target.password, good[i].password) == 0
                                   : !target.password);
        pj_redis_target_release(&target);
    }
    for (size_t i = 0; i < PJ_COUNT_OF(bad); i++) {
        struct pj_redis_options options = {.url = bad[i]};
        struct pj_redis_target target;
        struct pj_err err = {0};

        cr_assert_lt(pj_redis_target_parse(&options, &target, &err), 0, "%s", bad[i]);
        cr_assert_not_null(strstr(err.message, "PJ_REDIS_URL"));
        cr_assert_neq(err.remedy[0], '\0');
    }
}

Test(script, digest_is_the_one_redis_computes)
{
    char hex[41];

    pj_sha1_hex("abc", 3, hex);
    cr_assert_str_eq(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
    pj_sha1_hex("", 0, hex);
    cr_assert_str_eq(hex, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

Test(conn, restart_is_invisible_to_what_may_be_repeated)
{
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    pj_queue_init_cmd(&cmd, 0);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
    }
    test_redis_restart(&f.server);
    pj_queue_init_cmd(&cmd, 0); /* its script is gone too */
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_queue_init_reply(reply, &err), 0, "%s", err.message);
}

Test(conn, no_server_is_told_with_its_address)
{
    struct pj_redis_options options = {.url = "unix:///tmp/pj-nothing-listens-here.sock",
                                       .retry_ms = 1};
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(&options, &redis, &err), 0);
    cr_assert_lt(pj_redis_connect(redis, &err), 0);
    cr_assert_eq(err.cls, PJ_E_UNAVAILABLE);
    cr_assert_not_null(strstr(err.message, "/tmp/pj-nothing-listens-here.sock"));
}

Test(conn, password_is_used_and_a_wrong_one_is_told)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply =
        test_redis_words(f.redis, "CONFIG", "SET", "requirepass", "open sesame", NULL);
    struct pj_redis_options options = {.url = f.server.url, .password = "wrong"};
    struct pj_redis *redis = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(&options, &redis, &err), 0);
    cr_assert_lt(pj_redis_connect(redis, &err), 0);
    cr_assert_eq(err.cls, PJ_E_AUTH, "%s", err.message);
    pj_redis_free(redis);
    options.password = "open sesame";
    cr_assert_eq(pj_redis_new(&options, &redis, &err), 0);
    cr_assert_eq(pj_redis_connect(redis, &err), 0, "%s", err.message);
    pj_redis_free(redis);
}

Test(conn, findings_name_what_endangers_tasks)
{
    struct pj_store_finding findings[PJ_STORE_FINDINGS_MAX];
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *a =
        test_redis_words(f.redis, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru", NULL);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *b =
        test_redis_words(f.redis, "CONFIG", "SET", "maxmemory", "1000000000", NULL);
    struct pj_err err = {0};
    size_t count;

    cr_assert_eq(pj_store_check(f.redis, findings, &count, &err), 0, "%s", err.message);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(findings[0].event, "redis_evicts");
    cr_assert_eq(findings[0].level, 2);
    cr_assert_str_eq(findings[1].event, "redis_not_durable");
    cr_assert_eq(findings[1].level, 1);
}

Test(conn, a_newer_or_an_older_schema_is_refused)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply =
        test_redis_words(f.redis, "HSET", "pj:{g}:meta", "schema", "99", NULL);
    struct pj_meta meta;
    struct pj_err err = {0};

    cr_assert_lt(pj_store_open(f.redis, 1, &meta, &err), 0);
    cr_assert_str_eq(err.code, "schema_newer");
    pj_reply_freep(&reply);
    reply = test_redis_words(f.redis, "HSET", "pj:{g}:meta", "schema", "1", NULL);
    cr_assert_lt(pj_store_open(f.redis, 1, &meta, &err), 0);
    cr_assert_str_eq(err.code, "schema_older");
}

/* A full Redis: nothing new is taken in, what runs can end. */
Test(conn, full_redis_refuses_new_tasks_and_lets_running_ones_end)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_task task;
    struct redisReply *refused = NULL;
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

    make_task(&f, "u", true, id);
    take_one(&f, "r1", &lease);
    reply = test_redis_words(f.redis, "CONFIG", "SET", "maxmemory", "100000", NULL);
    pj_task_init(&task);
    task.id = pj_strdup("aaaaaaaaa00bbbbbbbbbbb");
    task.owner = pj_strdup("u");
    task.repository_id = pj_strdup("r");
    pj_task_create_cmd(&cmd, &task, false, NULL);
    pj_task_release(&task);
    cr_assert_lt(pj_redis_do(f.redis, &cmd, &refused, &err), 0);
    cr_assert_eq(err.cls, PJ_E_UNAVAILABLE);
    cr_assert_str_eq(err.code, "store_full");
    pj_cmd_release(&cmd);
    pj_events_append_cmd(&cmd, id, lease.epoch, 1, 1, 1, pj_view_of("{}\n"));
    cr_assert_lt(pj_redis_do(f.redis, &cmd, &refused, &err), 0);
    pj_cmd_release(&cmd);
    cr_assert_eq(pj_store_open(f.redis, 1, &f.meta, &err), 0, "a runner that comes back: %s",
                 err.message);
    pj_queue_config_cmd(&cmd, 0, 3);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *configured = run_cmd(&f, &cmd);
    }
    cr_assert_eq(finish_as(&f, id, lease.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0, "%s",
                 err.message);
    pj_leases_release(&lease, 1);
}

/* Of a command that it does not know Redis repeats the arguments. */
Test(conn, what_redis_repeats_of_a_command_is_not_shown)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(f.redis, "OATH", "user", "open sesame", NULL);
    struct pj_err err = {0};

    cr_assert_lt(pj_reply_error(reply, &err), 0);
    cr_assert_not_null(strstr(err.message, "OATH"), "%s", err.message);
    cr_assert_null(strstr(err.message, "sesame"), "%s", err.message);
}
