#include "tests/support/redis.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"

#define START_MS 15000

/* In the child, after fork: the server, which dies with us. */
static void become_server(const struct test_redis *redis, pid_t parent)
{
    const char *durable = redis->appendfsync ? "yes" : "no";
    const char *fsync = redis->appendfsync ? redis->appendfsync : "no";
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)dup2(null, 0);
    (void)dup2(null, 1);
    (void)dup2(null, 2);
    (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", redis->socket,
                 "--unixsocketperm", "700", "--dir", redis->dir, "--save", "", "--appendonly",
                 durable, "--appendfsync", fsync, "--maxmemory-policy", "noeviction", "--daemonize",
                 "no", "--loglevel", "warning", (char *)NULL);
    _exit(127);
}

static void await_answer(const struct test_redis *redis)
{
    struct pj_redis_options options = {.url = redis->url, .retry_ms = START_MS};
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *conn = NULL;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(&options, &conn, &err), 0, "%s", err.message);
    pj_cmd_start(&cmd, "PING");
    cmd.repeatable = true;
    cr_assert_eq(pj_redis_do(conn, &cmd, &reply, &err), 0, "%s", err.message);
}

static void launch(struct test_redis *redis)
{
    pid_t parent = getpid();

    redis->pid = fork();
    cr_assert_geq(redis->pid, 0);
    if (redis->pid == 0)
        become_server(redis, parent);
    await_answer(redis);
}

void test_redis_start_durable(struct test_redis *redis, const char *appendfsync)
{
    char dir[] = "/tmp/pj-test-redis-XXXXXX";

    cr_assert_not_null(mkdtemp(dir));
    *redis = (struct test_redis){.appendfsync = appendfsync};
    redis->dir = pj_strdup(dir);
    redis->socket = pj_asprintf("%s/redis.sock", dir);
    redis->url = pj_asprintf("unix://%s", redis->socket);
    launch(redis);
}

void test_redis_start(struct test_redis *redis)
{
    test_redis_start_durable(redis, NULL);
}

void test_redis_kill(struct test_redis *redis)
{
    int status;

    if (redis->pid <= 0)
        return;
    (void)kill(redis->pid, SIGKILL);
    while (waitpid(redis->pid, &status, 0) < 0 && errno == EINTR) {
    }
    redis->pid = 0;
    (void)unlink(redis->socket);
}

void test_redis_restart(struct test_redis *redis)
{
    test_redis_kill(redis);
    launch(redis);
}

void test_redis_stop(struct test_redis *redis)
{
    struct pj_err err;

    test_redis_kill(redis);
    if (redis->dir)
        (void)!pj_fs_remove_tree(redis->dir, &err);
    free(redis->dir);
    free(redis->socket);
    free(redis->url);
    *redis = (struct test_redis){0};
}

struct pj_redis *test_redis_connect(const struct test_redis *redis)
{
    struct pj_redis_options options = {.url = redis->url};
    struct pj_redis *conn = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(&options, &conn, &err), 0, "%s", err.message);
    cr_assert_eq(pj_redis_connect(conn, &err), 0, "%s", err.message);
    return conn;
}

struct redisReply *test_redis_words(struct pj_redis *redis, ...)
{
    struct pj_cmd cmd = {0};
    struct redisReply *reply = NULL;
    struct pj_err err = {0};
    const char *word;
    va_list ap;

    va_start(ap, redis);
    pj_cmd_start(&cmd, va_arg(ap, const char *));
    while ((word = va_arg(ap, const char *)) != NULL)
        pj_cmd_text(&cmd, word);
    va_end(ap);
    cr_assert_eq(pj_redis_pipeline(redis, &cmd, 1, &reply, &err), 0, "%s", err.message);
    pj_cmd_release(&cmd);
    return reply;
}
