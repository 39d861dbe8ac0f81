/* bench_link - what the way to Redis costs: the same work over a Unix socket, TCP and TLS on loopback, alternating, with one server.
 *
 * Shown are the operations a second, their ratio to the Unix socket's, and for each operation the CPU of Redis and of this program, in
 * microseconds. No network lies between: what is seen is copying and encryption. "connect" is what each job process begins with: files for
 * TLS, handshake, greeting, one answer.
 *
 * Prints a table; --json FILE appends a JSON object a row and way; --rounds N (default 3), --only ROW. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "tests/bench/queue_work.h"

#define WAYS 3
#define SERVER_MS 20000

/* One way to the server. */
struct way {
    struct queue_work work; /* first: a phase gets this */
    const char *name;
    char url[100], ca[100];
    struct pj_redis_options options;
};

struct bench {
    char dir[40];
    pid_t server;
    struct event_base *base;
    struct way way[WAYS];
};

/* ---- the server ---- */

static int free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, n) < 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &n) < 0)
        queue_die("no free port", NULL);
    (void)close(fd);
    return ntohs(addr.sin_port);
}

static void make_certificates(const char *dir)
{
    const char *source = getenv("PJ_TEST_SRC");
    char script[400];
    int status = -1;
    pid_t pid;

    (void)snprintf(script, sizeof(script), "%s/tests/support/certs.sh", source ? source : ".");
    pid = fork();
    if (pid == 0) {
        (void)execl(script, script, dir, (char *)NULL);
        _exit(127);
    }
    if (waitpid(pid, &status, 0) < 0 || status != 0)
        queue_die("tests/support/certs.sh fails: it needs the program openssl, and PJ_TEST_SRC",
                  NULL);
}

static void write_config(const char *dir, const char *path, int port, int tls_port)
{
    FILE *f = fopen(path, "we");

    if (!f)
        queue_die(path, NULL);
    (void)fprintf(f,
                  "bind 127.0.0.1\nport %d\ntls-port %d\nunixsocket %s/redis.sock\n"
                  "tls-cert-file %s/server.crt\ntls-key-file %s/server.key\n"
                  "tls-ca-cert-file %s/ca.crt\ntls-auth-clients no\n"
                  "dir %s\nlogfile redis.log\nloglevel warning\n"
                  "save \"\"\nappendonly yes\nappendfsync everysec\n"
                  "auto-aof-rewrite-percentage 0\n",
                  port, tls_port, dir, dir, dir, dir, dir);
    if (fclose(f) != 0)
        queue_die(path, NULL);
}

static void start_server(struct bench *b)
{
    static const char *const names[WAYS] = {"unix", "tcp", "tls"};
    char config[60];
    int port = free_port(), tls_port = free_port();

    (void)snprintf(config, sizeof(config), "%s/redis.conf", b->dir);
    make_certificates(b->dir);
    write_config(b->dir, config, port, tls_port);
    b->server = fork();
    if (b->server == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execlp("redis-server", "redis-server", config, (char *)NULL);
        _exit(127);
    }
    (void)snprintf(b->way[0].url, sizeof(b->way[0].url), "unix://%s/redis.sock", b->dir);
    (void)snprintf(b->way[1].url, sizeof(b->way[1].url), "redis://127.0.0.1:%d", port);
    (void)snprintf(b->way[2].url, sizeof(b->way[2].url), "rediss://127.0.0.1:%d", tls_port);
    (void)snprintf(b->way[2].ca, sizeof(b->way[2].ca), "%s/ca.crt", b->dir);
    for (size_t i = 0; i < WAYS; i++) {
        struct way *way = &b->way[i];

        way->name = names[i];
        way->options =
            (struct pj_redis_options){.url = way->url, .retry_ms = SERVER_MS, .command_ms = 60000};
        way->options.tls.ca_file = way->ca[0] ? way->ca : NULL;
        queue_open(&way->work, b->base, &way->options);
    }
}

static void stop_server(struct bench *b)
{
    struct pj_err err;

    for (size_t i = 0; i < WAYS; i++)
        queue_close(&b->way[i].work);
    event_base_free(b->base);
    (void)kill(b->server, SIGKILL);
    (void)waitpid(b->server, NULL, 0);
    if (pj_fs_remove_tree(b->dir, &err) < 0)
        (void)fprintf(stderr, "bench_link: %s\n", err.message);
}

/* ---- the table ---- */

static void connect_anew(struct queue_work *w)
{
    const struct way *way = (const struct way *)w;

    for (long i = 0; i < w->total; i++) {
        struct pj_redis *redis = NULL;
        struct redisReply *reply = NULL;
        struct pj_cmd cmd = {0};
        struct pj_err err;

        pj_cmd_start(&cmd, "PING");
        if (pj_redis_new(&way->options, &redis, &err) < 0 ||
            pj_redis_do(redis, &cmd, &reply, &err) < 0)
            queue_die("connect", &err);
        pj_reply_freep(&reply);
        pj_cmd_release(&cmd);
        pj_redis_free(redis);
    }
}

static const struct queue_phase phases[] = {
    {"connect", "connect, one at a time", connect_anew, false, 300},
    {"accept1", "accept, one at a time", queue_accept_one_by_one, false, 5000},
    {"accept64", "accept, 64 in flight", queue_accept_in_flight, false, 20000},
    {"take16", "take + finish, 16 slots", queue_take_16, true, 20000},
    {"log64", "log lines stored", queue_log_lines, false, 100000},
};

/* Of this program, in microseconds. */
static double own_cpu(void)
{
    struct rusage use;

    (void)getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

struct figures {
    double rate[QUEUE_ROUNDS_MAX], redis_us[QUEUE_ROUNDS_MAX], own_us[QUEUE_ROUNDS_MAX];
};

static void print_row(FILE *json, const struct queue_phase *phase, const struct bench *b,
                      const struct figures figures[WAYS], int rounds)
{
    double socket_rate = queue_median(figures[0].rate, rounds);

    for (size_t i = 0; i < WAYS; i++) {
        double rate = queue_median(figures[i].rate, rounds);
        double redis_us = queue_median(figures[i].redis_us, rounds);
        double own_us = queue_median(figures[i].own_us, rounds);

        (void)printf("%-26s %-5s %10.0f /s %7.2f x %10.2f us %10.2f us\n",
                     i == 0 ? phase->what : "", b->way[i].name, rate, rate / socket_rate, redis_us,
                     own_us);
        if (json)
            (void)fprintf(json,
                          "{\"bench\":\"link\",\"row\":\"%s\",\"way\":\"%s\",\"perSecond\":%.0f,"
                          "\"ofUnix\":%.3f,\"redisCpuUs\":%.2f,\"cpuUs\":%.2f}\n",
                          phase->name, b->way[i].name, rate, rate / socket_rate, redis_us, own_us);
    }
    (void)fflush(stdout);
}

static void measure(struct bench *b, const struct queue_phase *phase, int rounds, FILE *json)
{
    struct figures figures[WAYS];

    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < WAYS; i++) {
            struct queue_work *work = &b->way[i].work;
            double before;

            queue_prepare(work, phase);
            before = own_cpu();
            figures[i].rate[round] = queue_run(work, phase, &figures[i].redis_us[round]);
            figures[i].own_us[round] = (own_cpu() - before) / (double)phase->count;
        }
    }
    print_row(json, phase, b, figures, rounds);
}

int main(int argc, char **argv)
{
    struct bench b = {.dir = "/tmp/pj-bench-XXXXXX"};
    struct queue_options options;

    (void)signal(SIGPIPE, SIG_IGN);
    queue_options_read(argc, argv, &options);
    if (!mkdtemp(b.dir))
        queue_die("temporary folder", NULL);
    b.base = event_base_new();
    start_server(&b);
    (void)printf("%-26s %-5s %13s %9s %13s %13s\n", "way to Redis", "", "", "of unix", "Redis CPU",
                 "own CPU");
    for (size_t i = 0; i < PJ_COUNT_OF(phases); i++) {
        if (queue_is_wanted(&options, phases[i].name))
            measure(&b, &phases[i], options.rounds, options.json);
    }
    stop_server(&b);
    if (options.json)
        (void)fclose(options.json);
    return 0;
}
