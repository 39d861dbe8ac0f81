/* redis-sentinel://: the primary is asked for, and after a failover the next one is found. Redis and sentinel on free loopback ports. */
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
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

static int free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, n), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &n), 0);
    (void)close(fd);
    return ntohs(addr.sin_port);
}

/* A server with the configuration `text` in a file of its own. */
static pid_t serve(const char *name, const char *text, const char *mode)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s.conf", dir, name);
    struct pj_err err = {0};
    pid_t pid;

    cr_assert_eq(pj_fs_write_atomic(path, text, strlen(text), 0600, &err), 0, "%s", err.message);
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
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("redis://127.0.0.1:%d", port);
    struct pj_redis_options options = {.url = url, .retry_ms = 20000};
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

static void up(void)
{
    char text[600];

    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(dir, sizeof(dir), "/tmp/pj-test-sentinel-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    for (int i = 0; i < 3; i++)
        ports[i] = free_port();
    (void)snprintf(text, sizeof(text),
                   "bind 127.0.0.1\nport %d\nsave \"\"\ndir %s\nlogfile %s/primary.log\n", ports[0],
                   dir, dir);
    pids[0] = serve("primary", text, "--");
    (void)snprintf(text, sizeof(text),
                   "bind 127.0.0.1\nport %d\nsave \"\"\ndir %s\nlogfile %s/replica.log\nreplicaof "
                   "127.0.0.1 %d\n"
                   "dbfilename replica.rdb\nrepl-diskless-sync-delay 0\n",
                   ports[1], dir, dir, ports[0]);
    pids[1] = serve("replica", text, "--");
    await_text(ports[1], "INFO", "replication", "master_link_status:up");
    (void)snprintf(
        text, sizeof(text),
        "bind 127.0.0.1\nport %d\ndir %s\nlogfile %s/sentinel.log\nsentinel monitor main 127.0.0.1 "
        "%d 1\n"
        "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
        ports[2], dir, dir, ports[0]);
    pids[2] = serve("sentinel", text, "--sentinel");
    await_text(ports[2], "INFO", "sentinel", "slaves=1");
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

Test(sentinel, finds_the_primary_and_after_a_failover_the_next)
{
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("redis-sentinel://127.0.0.1:%d/main/0", ports[2]);
    struct pj_redis_options options = {.url = url, .retry_ms = 50000, .command_ms = 50000};
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
