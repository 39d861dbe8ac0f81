#include "tests/support/redis.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#define START_MS 15000

/* In the child, after fork: the server, which dies with us. */
static void become_server(const char *config, const char *mode, pid_t parent)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)dup2(null, 0);
    (void)dup2(null, 1);
    (void)dup2(null, 2);
    (void)execlp("redis-server", "redis-server", config, mode, (char *)NULL);
    _exit(127);
}

pid_t test_redis_serve(const char *config, const char *mode)
{
    pid_t parent = getpid(), pid = fork();

    cr_assert_geq(pid, 0);
    if (pid == 0)
        become_server(config, mode, parent);
    return pid;
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

static void configure(const struct test_redis *redis, const char *path)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_err err = {0};

    pj_str_init(&text, 4096);
    (void)pj_str_putf(&text,
                      "port 0\nunixsocket %s\nunixsocketperm 700\ndir %s\nsave \"\"\n"
                      "appendonly %s\nappendfsync %s\nmaxmemory-policy noeviction\n"
                      "daemonize no\nloglevel warning\n",
                      redis->socket, redis->dir, redis->appendfsync ? "yes" : "no",
                      redis->appendfsync ? redis->appendfsync : "no");
    if (redis->certs)
        (void)pj_str_putf(&text,
                          "bind 127.0.0.1\ntls-port %d\ntls-auth-clients no\n"
                          "tls-cert-file %s/server.crt\ntls-key-file %s/server.key\n"
                          "tls-ca-cert-file %s/ca.crt\n",
                          redis->tls_port, redis->certs, redis->certs, redis->certs);
    cr_assert_eq(pj_fs_write_atomic(path, text.data, text.len, 0600, &err), 0, "%s", err.message);
}

static void launch(struct test_redis *redis)
{
    PJ_CLEANUP(pj_freep) char *config = pj_asprintf("%s/redis.conf", redis->dir);

    configure(redis, config);
    redis->pid = test_redis_serve(config, NULL);
    await_answer(redis);
}

char *test_redis_cert(const struct test_redis *redis, const char *file)
{
    return pj_asprintf("%s/%s", redis->certs ? redis->certs : "", file);
}

static void make_folder(struct test_redis *redis)
{
    char dir[] = "/tmp/pj-test-redis-XXXXXX";

    cr_assert_not_null(mkdtemp(dir));
    redis->dir = pj_strdup(dir);
    redis->socket = pj_asprintf("%s/redis.sock", dir);
    redis->url = pj_asprintf("unix://%s", redis->socket);
}

int test_free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, n), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &n), 0);
    (void)close(fd);
    return ntohs(addr.sin_port);
}

void test_make_certs(const char *dir)
{
    struct pj_err err = {0};
    int status = -1;
    pid_t pid;

    cr_assert_eq(pj_fs_mkdirs(dir, 0700, &err), 0, "%s", err.message);
    pid = fork();
    if (pid == 0) {
        (void)execl(PJ_SOURCE_DIR "/tests/support/certs.sh", "certs.sh", dir, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    cr_assert_eq(status, 0, "certs.sh: see %s/log; it needs the program openssl", dir);
}

void test_redis_start_tls(struct test_redis *redis, const char *appendfsync)
{
    *redis = (struct test_redis){.appendfsync = appendfsync, .tls_port = test_free_port()};
    make_folder(redis);
    redis->certs = pj_asprintf("%s/certs", redis->dir);
    test_make_certs(redis->certs);
    launch(redis);
}

/* Over the Unix socket. */
static void tell(const struct test_redis *redis, const char *const *words)
{
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *conn = test_redis_connect(redis);
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err = {0};

    pj_cmd_start(&cmd, words[0]);
    for (size_t i = 1; words[i]; i++)
        pj_cmd_text(&cmd, words[i]);
    cr_assert_eq(pj_redis_do(conn, &cmd, &reply, &err), 0, "%s", err.message);
}

void test_redis_tls(const struct test_redis *redis, const char *name, const char *clients)
{
    PJ_CLEANUP(pj_freep) char *cert = pj_asprintf("%s/%s.crt", redis->certs, name ? name : "");
    PJ_CLEANUP(pj_freep) char *key = pj_asprintf("%s/%s.key", redis->certs, name ? name : "");

    if (name)
        tell(redis, (const char *const[]){"CONFIG", "SET", "tls-cert-file", cert, "tls-key-file",
                                          key, NULL});
    tell(redis, (const char *const[]){"CONFIG", "SET", "tls-auth-clients", clients, NULL});
}

void test_redis_cut(const struct test_redis *redis)
{
    tell(redis, (const char *const[]){"CLIENT", "KILL", "TYPE", "pubsub", NULL});
    tell(redis, (const char *const[]){"CLIENT", "KILL", "TYPE", "normal", NULL});
}

void test_redis_start_durable(struct test_redis *redis, const char *appendfsync)
{
    *redis = (struct test_redis){.appendfsync = appendfsync};
    make_folder(redis);
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
    free(redis->certs);
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
