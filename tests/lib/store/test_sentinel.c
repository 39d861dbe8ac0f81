/* redis-sentinel:// and rediss-sentinel://: the primary is asked for, and after a failover the next one is found. Redis and sentinel on
 * free loopback ports, everything between them under TLS as well where we are; with passwords of their own where they ask for them. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "tests/lib/store/fixture.h"

#define GIVE_UP_MS 60000
#define PRIMARY_PASSWORD "primary-s3cret"
#define SENTINEL_PASSWORD "sentinel-s3cret"
#define WATCHER_PASSWORD "watcher-s3cret"

static char dir[64];
static int ports[3]; /* primary, replica, sentinel */
static pid_t pids[3];
static const char *scheme; /* "redis" or "rediss" */
static char ca[100];       /* empty without TLS */
static bool locked;        /* who asks must log in, at Redis and at the sentinel */

/* A server with the configuration `text` in a file of its own. */
static pid_t serve(const char *name, int port, const char *text, const char *mode)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s.conf", dir, name);
    PJ_CLEANUP(pj_freep)
    char *tls = pj_asprintf("tls-cert-file %s/server.crt\ntls-key-file %s/server.key\n"
                            "tls-ca-cert-file %s/ca.crt\ntls-auth-clients no\n"
                            "tls-replication yes\nport 0\ntls-",
                            dir, dir, dir);
    PJ_CLEANUP(pj_freep)
    char *whole = pj_asprintf("bind 127.0.0.1\n%sport %d\ndir %s\nlogfile %s/%s.log\n%s",
                              ca[0] ? tls : "", port, dir, dir, name, text);
    struct pj_err err = {0};

    cr_assert_eq(pj_fs_write_atomic(path, whole, strlen(whole), 0600, &err), 0, "%s", err.message);
    return test_redis_serve(path, mode);
}

static void await_text(int port, const char *command, const char *argument, const char *want)
{
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("%s://127.0.0.1:%d", scheme, port);
    struct pj_redis_options options = {.url = url, .retry_ms = 20000, .tls = {.ca_file = ca}};

    if (locked)
        options.password = port == ports[2] ? SENTINEL_PASSWORD : PRIMARY_PASSWORD;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    int64_t began = pj_mono_ms();
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(&options, &redis, &err), 0);
    for (;;) {
        struct pj_cmd cmd = {0};
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

        pj_cmd_start(&cmd, command);
        pj_cmd_text(&cmd, argument);
        cmd.repeatable = true;
        if (pj_redis_do(redis, &cmd, &reply, &err) == 0 && pj_reply_view(reply).n &&
            strstr(pj_reply_view(reply).p, want)) {
            pj_cmd_release(&cmd);
            return;
        }
        pj_cmd_release(&cmd);
        cr_assert_lt(pj_mono_ms() - began, GIVE_UP_MS, "never saw %s", want);
    }
}

static void up_with(bool tls)
{
    const char *login =
        locked ? "requirepass " PRIMARY_PASSWORD "\nmasterauth " PRIMARY_PASSWORD "\n" : "";
    char text[800];

    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(dir, sizeof(dir), "/tmp/pj-test-sentinel-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    scheme = tls ? "rediss" : "redis";
    (void)snprintf(ca, sizeof(ca), tls ? "%s/ca.crt" : "", dir);
    if (tls)
        test_make_certs(dir);
    for (int i = 0; i < 3; i++)
        ports[i] = test_free_port();
    (void)snprintf(text, sizeof(text), "save \"\"\n%s", login);
    pids[0] = serve("primary", ports[0], text, NULL);
    (void)snprintf(text, sizeof(text),
                   "save \"\"\nreplicaof 127.0.0.1 %d\ndbfilename replica.rdb\n"
                   "repl-diskless-sync-delay 0\n%s",
                   ports[0], login);
    pids[1] = serve("replica", ports[1], text, NULL);
    await_text(ports[1], "INFO", "replication", "master_link_status:up");
    (void)snprintf(
        text, sizeof(text),
        "sentinel monitor main 127.0.0.1 %d 1\n"
        "sentinel down-after-milliseconds main 500\n"
        "sentinel failover-timeout main 3000\n%s",
        ports[0],
        locked ? "sentinel auth-pass main " PRIMARY_PASSWORD "\nrequirepass " SENTINEL_PASSWORD
                 "\nuser watcher on >" WATCHER_PASSWORD
                 " -@all +auth +sentinel|get-master-addr-by-name\nuser idler on >" WATCHER_PASSWORD
                 " -@all +auth\n"
               : "");
    pids[2] = serve("sentinel", ports[2], text, "--sentinel");
    await_text(ports[2], "INFO", "sentinel", "slaves=1");
}

static void up(void)
{
    up_with(false);
}

static void up_tls(void)
{
    up_with(true);
}

static void up_locked(void)
{
    locked = true;
    up_with(true);
}

static void down(void)
{
    struct pj_err err;

    for (int i = 0; i < 3; i++) {
        (void)kill(pids[i], SIGKILL);
        (void)waitpid(pids[i], NULL, 0);
    }
    (void)!pj_fs_remove_tree(dir, &err);
}

TestSuite(sentinel, .init = up, .fini = down);
TestSuite(sentinel_tls, .init = up_tls, .fini = down);
TestSuite(sentinel_login, .init = up_locked, .fini = down);

static void on_answer(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    (void)err;
    *(int *)arg = reply ? 1 : -1;
}

/* INCR through the loop until it is answered. */
static void incr_by_loop(struct event_base *base, struct pj_aredis *loop)
{
    int answered = 0;
    struct pj_cmd cmd = {0};

    pj_cmd_start(&cmd, "INCR");
    pj_cmd_text(&cmd, "n");
    cmd.repeatable = true;
    pj_aredis_submit(loop, &cmd, on_answer, &answered);
    while (!answered)
        (void)event_base_loop(base, EVLOOP_ONCE);
    cr_assert_eq(answered, 1);
}

/* Options that can connect, and have time. */
static struct pj_redis_options patient(char **url)
{
    struct pj_redis_options options = {
        .retry_ms = 50000, .command_ms = 50000, .tls = {.ca_file = ca}};

    *url = pj_asprintf("%s-sentinel://127.0.0.1:%d/main/0", scheme, ports[2]);
    options.url = *url;
    if (locked) {
        options.password = PRIMARY_PASSWORD;
        options.sentinel_password = SENTINEL_PASSWORD;
    }
    return options;
}

static void find_and_find_again(void)
{
    PJ_CLEANUP(pj_freep) char *url = NULL;
    struct pj_redis_options options = patient(&url);
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    struct event_base *base = event_base_new();
    struct pj_aredis *loop = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(&options, &redis, &err), 0, "%s", err.message);
    cr_assert_eq(pj_aredis_new(base, &options, &loop, &err), 0, "%s", err.message);
    for (int round = 0; round < 2; round++) {
        struct pj_cmd cmd = {0};
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

        incr_by_loop(base, loop);
        pj_cmd_start(&cmd, "INCR");
        pj_cmd_text(&cmd, "n");
        cmd.repeatable = true;
        cr_assert_eq(pj_redis_do(redis, &cmd, &reply, &err), 0, "%s", err.message);
        cr_assert_geq(pj_reply_int(reply, 0), 2);
        pj_cmd_release(&cmd);
        if (round == 0) {
            (void)kill(pids[0], SIGKILL);
            await_text(ports[1], "INFO", "replication", "role:master");
        }
    }
    pj_aredis_free(loop);
    event_base_free(base);
}

Test(sentinel, finds_the_primary_and_after_a_failover_the_next)
{
    find_and_find_again();
}

Test(sentinel_tls, finds_the_primary_and_after_a_failover_the_next)
{
    find_and_find_again();
}

Test(sentinel_login, finds_the_primary_and_after_a_failover_the_next)
{
    find_and_find_again();
}

/* ---- logging in ---- */

static void expect_part(const char *text, const char *part)
{
    cr_expect_not_null(strstr(text, part), "wanted \"%s\" in: %s", part, text);
    cr_expect_null(strstr(text, "s3cret"), "%s", text);
}

/* Both kinds of connection say so. */
static void expect_refusal(const struct pj_redis_options *options, const char *said,
                           const char *remedy)
{
    struct event_base *base = event_base_new();
    struct pj_aredis *loop = NULL;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    int64_t until = pj_mono_ms() + GIVE_UP_MS;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(options, &redis, &err), 0, "%s", err.message);
    cr_assert_lt(pj_redis_connect(redis, &err), 0);
    expect_part(err.message, "the sentinel 127.0.0.1:");
    expect_part(err.message, said);
    expect_part(err.remedy, remedy);
    cr_assert_eq(pj_aredis_new(base, options, &loop, &err), 0, "%s", err.message);
    while (!strstr(pj_aredis_last_error(loop), said)) {
        cr_assert_lt(pj_mono_ms(), until, "said: %s", pj_aredis_last_error(loop));
        (void)event_base_loop(base, EVLOOP_ONCE);
    }
    expect_part(pj_aredis_last_error(loop), remedy);
    pj_aredis_free(loop);
    event_base_free(base);
}

static void connect_as(const struct pj_redis_options *options)
{
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    struct event_base *base = event_base_new();
    struct pj_aredis *loop = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(options, &redis, &err), 0, "%s", err.message);
    cr_expect_eq(pj_redis_connect(redis, &err), 0, "%s", err.message);
    cr_assert_eq(pj_aredis_new(base, options, &loop, &err), 0, "%s", err.message);
    incr_by_loop(base, loop);
    pj_aredis_free(loop);
    event_base_free(base);
}

/* Refused logins that the sentinel remembers. */
static size_t count_refused(void)
{
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("%s://127.0.0.1:%d", scheme, ports[2]);
    struct pj_redis_options options = {
        .url = url, .password = SENTINEL_PASSWORD, .tls = {.ca_file = ca}};
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(&options, &redis, &err), 0);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *log = test_redis_words(redis, "ACL", "LOG", NULL);
    return pj_reply_count(log);
}

Test(sentinel_login, what_the_sentinel_wants_and_does_not_get_is_named)
{
    PJ_CLEANUP(pj_freep) char *url = NULL;
    struct pj_redis_options options = patient(&url);

    options.sentinel_password = NULL;
    expect_refusal(&options, "NOAUTH", "Set PJ_REDIS_SENTINEL_PASSWORD");
    cr_expect_eq(count_refused(), 0, "the primary's password is not for sentinels");
    options.sentinel_password = "wrong-s3cret";
    expect_refusal(&options, "WRONGPASS", "Compare PJ_REDIS_SENTINEL_USER");
    cr_expect_gt(count_refused(), 0);
    options.sentinel_user = "nobody";
    options.sentinel_password = SENTINEL_PASSWORD;
    expect_refusal(&options, "WRONGPASS", "Compare PJ_REDIS_SENTINEL_USER");
    options.sentinel_user = "idler";
    options.sentinel_password = WATCHER_PASSWORD;
    expect_refusal(&options, "NOPERM", "+sentinel|get-master-addr-by-name");
    options.sentinel_user = "watcher";
    options.sentinel_password = WATCHER_PASSWORD;
    connect_as(&options); /* who may ask for the primary and nothing else */
}

Test(sentinel, password_for_nothing_and_redis_that_is_no_sentinel_are_told)
{
    PJ_CLEANUP(pj_freep) char *url = NULL;
    PJ_CLEANUP(pj_freep)
    char *mistaken = pj_asprintf("%s-sentinel://127.0.0.1:%d/main/0", scheme, ports[0]);
    PJ_CLEANUP(pj_freep)
    char *unknown = pj_asprintf("%s-sentinel://127.0.0.1:%d/other/0", scheme, ports[2]);
    struct pj_redis_options options = patient(&url);

    options.sentinel_password = SENTINEL_PASSWORD;
    expect_refusal(&options, "AUTH", "Compare PJ_REDIS_SENTINEL_USER");
    options.sentinel_password = NULL;
    options.url = unknown;
    expect_refusal(&options, "does not know the master other", "sentinel monitor");
    options.url = mistaken;
    expect_refusal(&options, "unknown command", "See whether PJ_REDIS_URL names sentinels");
}

Test(sentinel_settings, logins_that_nobody_would_use_are_refused_before_anything_runs)
{
    static const struct {
        const char *url, *user, *password, *said;
    } bad[] = {
        {"redis://h", NULL, "s3cret", "PJ_REDIS_SENTINEL_PASSWORD is set"},
        {"unix:///run/redis.sock", "pj", NULL, "PJ_REDIS_SENTINEL_USER is set"},
        {"redis-sentinel://h/m", "pj", NULL, "PJ_REDIS_SENTINEL_USER is set without"},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(bad); i++) {
        const struct pj_redis_options options = {
            .url = bad[i].url, .sentinel_user = bad[i].user, .sentinel_password = bad[i].password};
        struct pj_err err = {0};

        cr_expect_lt(pj_redis_check(&options, &err), 0, "%zu", i);
        cr_expect_eq(err.cls, PJ_E_INVALID);
        expect_part(err.message, bad[i].said);
        cr_expect_neq(err.remedy[0], '\0');
    }
}
