/* redis.h - a redis-server of a test's own: Unix socket in a fresh folder, ended by its pid. */
#ifndef PJ_TESTS_SUPPORT_REDIS_H
#define PJ_TESTS_SUPPORT_REDIS_H

#include <sys/types.h>
#include "lib/store/cmd.h"
#include "lib/store/conn.h"

struct test_redis {
    char *dir;    /* "/tmp/pj-test-redis-XXXXXX" */
    char *socket; /* dir/redis.sock */
    char *url;    /* unix://… for PJ_REDIS_URL */
    pid_t pid;
    const char *appendfsync; /* NULL: no append-only file */
    char *certs;             /* with TLS: the folder that certs.sh filled, below dir */
    int tls_port;            /* and where it listens with it, on 127.0.0.1 */
};

/* Starts and waits until it answers; fails the test (cr_fatal) otherwise. The server dies with the test process. */
void test_redis_start(struct test_redis *redis);
/* With appendonly yes and that appendfsync. */
void test_redis_start_durable(struct test_redis *redis, const char *appendfsync);
/* Also with TLS, showing the certificate `server`; clients need none of their own. `appendfsync` as above, or NULL. */
void test_redis_start_tls(struct test_redis *redis, const char *appendfsync);
/* "<folder>/<file>", owned by the caller. */
char *test_redis_cert(const struct test_redis *redis, const char *file);
/* From the next connection on another certificate ("expired", NULL: as it is), and client certificates: "no", "yes", "optional". */
void test_redis_tls(const struct test_redis *redis, const char *name, const char *clients);
/* A redis-server with the configuration in that file; it dies with the test process. `mode`: NULL, or "--sentinel". Not waited for. */
pid_t test_redis_serve(const char *config, const char *mode);
/* Ends every connection of clients and subscribers but the one that asks for it. */
void test_redis_cut(const struct test_redis *redis);
/* A port of 127.0.0.1 that nobody listens on. */
int test_free_port(void);
/* Fills a folder by certs.sh. */
void test_make_certs(const char *dir);
/* kill -9, and start again on the same folder. */
void test_redis_kill(struct test_redis *redis);
void test_redis_restart(struct test_redis *redis);
void test_redis_stop(struct test_redis *redis);

/* A connection to it; fails the test when it cannot be had. */
struct pj_redis *test_redis_connect(const struct test_redis *redis);
/* Send a command of words: test_redis_words(r, "SET", "a", "b", NULL); the reply is the caller's (pj_reply_freep), errors included. */
struct redisReply *test_redis_words(struct pj_redis *redis, ...) PJ_SENTINEL;

#endif
