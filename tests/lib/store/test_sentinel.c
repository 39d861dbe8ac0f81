/* redis-sentinel:// and rediss-sentinel://: the primary is asked for, and after a failover the next one is found. Redis and sentinel on
 * free loopback ports, everything between them under TLS as well where we are. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "tests/lib/store/fixture.h"

#define GIVE_UP_MS 60000

static char dir[64];
static int ports[3]; /* primary, replica, sentinel */
static pid_t pids[3];
static const char *scheme; /* "redis" or "rediss" */
static char ca[100];       /* empty without TLS */

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
    pid_t pid;

    cr_assert_eq(pj_fs_write_atomic(path, whole, strlen(whole), 0600, &err), 0, "%s", err.message);
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execlp("redis-server", "redis-server", path, mode, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void await_text(int port, const char *command, const char *argument, const char *want)
{
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("%s://127.0.0.1:%d", scheme, port);
    struct pj_redis_options options = {.url = url, .retry_ms = 20000, .tls = {.ca_file = ca}};
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
    char text[600];

    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(dir, sizeof(dir), "/tmp/pj-test-sentinel-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    scheme = tls ? "rediss" : "redis";
    (void)snprintf(ca, sizeof(ca), tls ? "%s/ca.crt" : "", dir);
    if (tls)
        test_make_certs(dir);
    for (int i = 0; i < 3; i++)
        ports[i] = test_free_port();
    pids[0] = serve("primary", ports[0], "save \"\"\n", "--");
    (void)snprintf(text, sizeof(text),
                   "save \"\"\nreplicaof 127.0.0.1 %d\ndbfilename replica.rdb\n"
                   "repl-diskless-sync-delay 0\n",
                   ports[0]);
    pids[1] = serve("replica", ports[1], text, "--");
    await_text(ports[1], "INFO", "replication", "master_link_status:up");
    (void)snprintf(text, sizeof(text),
                   "sentinel monitor main 127.0.0.1 %d 1\n"
                   "sentinel down-after-milliseconds main 500\n"
                   "sentinel failover-timeout main 3000\n",
                   ports[0]);
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

static void find_and_find_again(void)
{
    PJ_CLEANUP(pj_freep)
    char *url = pj_asprintf("%s-sentinel://127.0.0.1:%d/main/0", scheme, ports[2]);
    struct pj_redis_options options = {
        .url = url, .retry_ms = 50000, .command_ms = 50000, .tls = {.ca_file = ca}};
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
