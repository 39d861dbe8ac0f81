/* bench_api - pj-api alone: processor time of an answer and of an SSE delivery, latency from the store to a viewer, memory of a
 * viewer. The server is pinned to one core, this program to another when there is one.
 *
 * Prints a table; --json FILE appends a JSON object a row. Processor time comes from /proc/PID/task/<tid>/schedstat, so that other load
 * of the machine does not count; rates are what this machine had to give. Peers measured before (DESIGN.md section 8): fastify
 * 21.2 us a request and 10 us a delivery, nginx 8.7 us. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/id.h"
#include "lib/base/mem.h"
#include "lib/store/events.h"
#include "lib/store/lease.h"
#include "lib/store/meta.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"

#define TOKEN "pj_bench_token_0123456789abcdef"
#define VIEWERS 1000
#define LINES_A_SECOND 100
#define SECONDS 5
#define LINE_BYTES 120

struct bench {
    char dir[40], url[80], listen[32];
    pid_t redis_pid, api_pid;
    int port;
    struct pj_redis *redis;
    FILE *json;
    char task[PJ_ID_SIZE];
    int64_t epoch, n;
};

static void die(const char *what, const struct pj_err *err)
{
    fprintf(stderr, "bench_api: %s: %s\n", what, err != NULL ? err->message : strerror(errno));
    exit(1);
}

static pid_t start(const char *path, const char *const *argv, int core)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (core >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)core, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    execvp(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int dial(const struct bench *b)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)b->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (const struct sockaddr *)&sin, sizeof sin) < 0)
        pj_fd_close(&fd);
    return fd;
}

static void pause_ms(long ms)
{
    (void)poll(NULL, 0, (int)ms); /* the load's own pace: nothing is waited for here */
}

static int free_port(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (const struct sockaddr *)&sin, sizeof sin) < 0 ||
        getsockname(fd, (struct sockaddr *)&sin, &len) < 0)
        die("port", NULL);
    close(fd);
    return ntohs(sin.sin_port);
}

static void start_all(struct bench *b)
{
    char socket_path[60], api[4096];
    const char *bin = getenv("PJ_TEST_BIN");
    struct pj_err err;

    snprintf(b->dir, sizeof b->dir, "/tmp/pj-bench-api-XXXXXX");
    if (mkdtemp(b->dir) == NULL)
        die("folder", NULL);
    snprintf(socket_path, sizeof socket_path, "%s/redis.sock", b->dir);
    snprintf(b->url, sizeof b->url, "unix://%s", socket_path);
    const char *const redis[] = {
        "redis-server", "--port", "0",          "--unixsocket", socket_path, "--dir",     b->dir,
        "--save",       "",       "--loglevel", "warning",      "--logfile", "/dev/null", NULL};
    b->redis_pid = start("redis-server", redis, 1);
    const struct pj_redis_options options = {.url = b->url};
    struct pj_meta meta;
    if (pj_redis_new(&options, &b->redis, &err) < 0 || pj_store_open(b->redis, 1, &meta, &err) < 0)
        die("redis", &err);
    b->port = free_port();
    snprintf(b->listen, sizeof b->listen, "127.0.0.1:%d", b->port);
    setenv("PJ_REDIS_URL", b->url, 1);
    setenv("PJ_LISTEN", b->listen, 1);
    setenv("PJ_BOOTSTRAP_TOKEN", TOKEN, 1);
    setenv("PJ_SECRET_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", 1);
    setenv("PJ_RATE_LIMIT", "0", 1);
    setenv("PJ_LOG_LEVEL", "error", 1);
    snprintf(api, sizeof api, "%s/pj-api", bin != NULL ? bin : "build/bench/bin");
    const char *const argv[] = {api, NULL};
    b->api_pid = start(api, argv, 0);
    int fd = -1;
    for (int i = 0; i < 500 && fd < 0; i++) {
        fd = dial(b);
        if (fd < 0)
            pause_ms(20);
    }
    if (fd < 0)
        die("pj-api does not listen", NULL);
    pj_fd_close(&fd);
}

static void run(struct bench *b, struct pj_cmd *cmd, struct redisReply **reply)
{
    struct pj_err err;

    pj_reply_freep(reply);
    if (pj_redis_do(b->redis, cmd, reply, &err) < 0)
        die("redis", &err);
    pj_cmd_release(cmd);
}

/* A task that is leased to us, so that its log can be written. */
static void make_task(struct bench *b)
{
    char repository[PJ_ID_SIZE], owner[PJ_ID_SIZE],
        url[] = "https://example.org/a/b", name[] = "a/b", branch[] = "main", text[] = "text";
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_repo repo;
    struct pj_task task, made;
    struct pj_cmd cmd = {0};
    struct pj_lease lease[1];
    struct pj_err err;
    bool existing;
    size_t count = 0;

    pj_id_new(0, repository);
    pj_id_new(0, owner);
    pj_id_new(0, b->task);
    pj_repo_init(&repo);
    repo.id = repository;
    repo.owner = owner;
    repo.url = url;
    repo.name = name;
    repo.default_branch = branch;
    pj_repo_create_cmd(&cmd, &repo);
    run(b, &cmd, &reply);
    pj_task_init(&task);
    task.id = b->task;
    task.repository_id = repository;
    task.owner = owner;
    task.title = task.description = text;
    task.priority = PJ_PRIORITY_NORMAL;
    pj_task_create_cmd(&cmd, &task, true, NULL);
    run(b, &cmd, &reply);
    pj_task_init(&made);
    if (pj_task_create_reply(reply, &made, &existing, &err) < 0)
        die("task", &err);
    pj_task_release(&made);
    const struct pj_lease_take take = {
        .runner = "bench", .ttl_ms = 600000, .timeout_ms = 600000, .want = 1};
    pj_lease_take_cmd(&cmd, &take);
    run(b, &cmd, &reply);
    if (pj_lease_take_reply(reply, lease, 1, &count, &err) < 0 || count != 1)
        die("lease", &err);
    b->epoch = lease[0].epoch;
    b->n = 0;
    pj_leases_release(lease, 1);
}

/* Nanoseconds on a processor, all threads. */
static int64_t cpu_ns(pid_t pid)
{
    char path[64], line[128];
    int64_t sum = 0, one;
    const struct dirent *entry;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char file[400];
        snprintf(file, sizeof file, "%s/%s/schedstat", path, entry->d_name);
        FILE *f = entry->d_name[0] != '.' ? fopen(file, "re") : NULL;
        if (f == NULL)
            continue;
        if (fgets(line, sizeof line, f) != NULL &&
            pj_parse_i64(pj_view_n(line, strcspn(line, " ")), &one) == 0)
            sum += one;
        fclose(f);
    }
    if (dir != NULL)
        closedir(dir);
    return sum;
}

static int64_t rss_kb(pid_t pid)
{
    char path[64], line[256];
    int64_t kb = 0;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0) {
            const char *p = line + 6 + strspn(line + 6, "\t ");
            if (pj_parse_i64(pj_view_n(p, strcspn(p, " ")), &kb) < 0)
                kb = 0;
        }
    if (f != NULL)
        fclose(f);
    return kb;
}

static void row(struct bench *b, const char *name, double value, const char *unit, const char *must)
{
    printf("%-44s %10.2f %-14s %s\n", name, value, unit, must);
    if (b->json != NULL)
        fprintf(b->json, "{\"bench\":\"api\",\"row\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"}\n",
                name, value, unit);
}

/* 64 connections, one request at a time on each. */
static void measure_rest(struct bench *b, const char *name, const char *path, const char *must)
{
    char request[512], answer[8192];
    int fds[64], ep = epoll_create1(EPOLL_CLOEXEC);
    int64_t count = 0;

    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer " TOKEN "\r\n\r\n", path);
    for (int i = 0; i < 64; i++) {
        struct epoll_event e = {.events = EPOLLIN};
        fds[i] = dial(b);
        e.data.fd = fds[i];
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
        if (write(fds[i], request, (size_t)n) < 0)
            die("write", NULL);
    }
    int64_t began = pj_mono_us(), cpu = cpu_ns(b->api_pid);
    while (pj_mono_us() - began < 3000000) {
        struct epoll_event e[64];
        int ready = epoll_wait(ep, e, 64, 1000);
        for (int i = 0; i < ready; i++) {
            if (read(e[i].data.fd, answer, sizeof answer) <= 0 ||
                write(e[i].data.fd, request, (size_t)n) < 0)
                die("the server closed a connection", NULL);
            count++;
        }
    }
    double seconds = (double)(pj_mono_us() - began) / 1e6;
    double us = (double)(cpu_ns(b->api_pid) - cpu) / 1000.0 / (double)count;
    char line[80];
    snprintf(line, sizeof line, "%s, CPU", name);
    row(b, line, us, "us/request", must);
    snprintf(line, sizeof line, "%s, rate", name);
    row(b, line, (double)count / seconds, "1/s", "");
    for (int i = 0; i < 64; i++)
        close(fds[i]);
    close(ep);
}

static void write_line(struct bench *b)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    char message[LINE_BYTES + 1];
    struct pj_cmd cmd = {0};
    struct pj_str line;

    int n = snprintf(message, sizeof message, "@%lld@", (long long)pj_mono_us());
    memset(message + n, 'x', sizeof message - 1 - (size_t)n);
    message[sizeof message - 1] = '\0';
    const struct pj_event event = {.attempt = 1,
                                   .n = b->n + 1,
                                   .ts_ms = pj_now_ms(),
                                   .stream = PJ_STREAM_STDOUT,
                                   .type = PJ_EVENT_INFO,
                                   .message = pj_view_of(message)};
    pj_str_init(&line, 4096);
    pj_event_encode(&event, &line);
    pj_str_putc(&line, '\n');
    pj_events_append_cmd(&cmd, b->task, b->epoch, 1, ++b->n, 1, pj_view_n(line.data, line.len));
    run(b, &cmd, &reply);
    pj_str_release(&line);
}

struct deliveries {
    int64_t count;
    int64_t *latency; /* us, a sample of them */
    size_t samples, cap;
};

static void take_frames(struct deliveries *d, const char *p, size_t n)
{
    int64_t now = pj_mono_us(), at;

    for (const char *end = p + n; (p = memchr(p, '@', (size_t)(end - p))) != NULL;) {
        const char *close_mark = memchr(p + 1, '@', (size_t)(end - p - 1));
        if (close_mark == NULL)
            return;
        if (pj_parse_i64(pj_view_n(p + 1, (size_t)(close_mark - p - 1)), &at) == 0) {
            d->count++;
            if (d->samples < d->cap)
                d->latency[d->samples++] = now - at;
        }
        p = close_mark + 1;
    }
}

static int by_value(const void *a, const void *c)
{
    int64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, c, sizeof y);
    return x < y ? -1 : x > y;
}

static void drain(int ep, struct deliveries *d, int wait_ms)
{
    static char bytes[262144];
    struct epoll_event e[256];
    int ready = epoll_wait(ep, e, 256, wait_ms);

    for (int i = 0; i < ready; i++) {
        ssize_t n = read(e[i].data.fd, bytes, sizeof bytes);
        if (n <= 0)
            die("the server closed a stream", NULL);
        take_frames(d, bytes, (size_t)n);
    }
}

static void measure_sse(struct bench *b)
{
    char request[256];
    char answer[4096];
    int *fds = pj_alloc(VIEWERS, sizeof *fds), ep = epoll_create1(EPOLL_CLOEXEC);
    struct deliveries d = {.latency = pj_alloc(VIEWERS * LINES_A_SECOND * SECONDS, sizeof(int64_t)),
                           .cap = VIEWERS * LINES_A_SECOND * SECONDS};

    int64_t before = rss_kb(b->api_pid);
    int n = snprintf(
        request, sizeof request,
        "GET /api/v1/tasks/%s/logs/stream HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer " TOKEN
        "\r\n\r\n",
        b->task);
    for (int i = 0; i < VIEWERS; i++) {
        struct epoll_event e = {.events = EPOLLIN};
        fds[i] = dial(b);
        e.data.fd = fds[i];
        epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
        if (write(fds[i], request, (size_t)n) < 0)
            die("write", NULL);
        if (read(fds[i], answer, sizeof answer) <= 0)
            die("no answer to a stream", NULL);
    }
    write_line(b);
    for (int64_t until = pj_mono_ms() + 20000; d.count < VIEWERS && pj_mono_ms() < until;)
        drain(ep, &d, 100);
    if (d.count < VIEWERS)
        die("not all viewers saw the first line", NULL);
    row(b, "SSE, 1000 viewers, memory", (double)(rss_kb(b->api_pid) - before) * 1024.0 / VIEWERS,
        "bytes/viewer", "must 1500");
    d.count = 0;
    d.samples = 0;
    int64_t began = pj_mono_us(), cpu = cpu_ns(b->api_pid), total = LINES_A_SECOND * SECONDS;
    for (int64_t i = 0; i < total;) {
        int64_t due = began + i * 1000000 / LINES_A_SECOND - pj_mono_us();
        if (due <= 0) {
            write_line(b);
            i++;
        } else {
            drain(ep, &d, (int)(due / 1000));
        }
    }
    for (int64_t until = pj_mono_ms() + 10000; d.count < total * VIEWERS && pj_mono_ms() < until;)
        drain(ep, &d, 100);
    double us = (double)(cpu_ns(b->api_pid) - cpu) / 1000.0 / (double)d.count;
    if (d.count != total * VIEWERS)
        die("lines were lost or doubled", NULL);
    qsort(d.latency, d.samples, sizeof *d.latency, by_value);
    row(b, "SSE, 1000 viewers x 100 lines/s, CPU", us, "us/delivery", "must 4.5 (0.45 x fastify)");
    row(b, "SSE, 1000 viewers x 100 lines/s, p50", (double)d.latency[d.samples / 2] / 1000.0, "ms",
        "");
    row(b, "SSE, 1000 viewers x 100 lines/s, p99", (double)d.latency[d.samples * 99 / 100] / 1000.0,
        "ms", "");
    for (int i = 0; i < VIEWERS; i++)
        close(fds[i]);
    close(ep);
    free(fds);
    free(d.latency);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct rlimit files = {8192, 8192};
    struct pj_err err;
    cpu_set_t set;

    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "--json") == 0)
            b.json = fopen(argv[i + 1], "ae");
    CPU_ZERO(&set);
    CPU_SET(1, &set);
    sched_setaffinity(0, sizeof set, &set);
    start_all(&b);
    row(&b, "idle memory", (double)rss_kb(b.api_pid), "kB", "must 10240");
    measure_rest(&b, "small JSON, no Redis call", "/livez", "must 11.8 (fastify 21.2 / 1.8)");
    measure_rest(&b, "GET /me, one Redis call", "/api/v1/me", "");
    make_task(&b);
    measure_sse(&b);
    kill(b.api_pid, SIGTERM);
    waitpid(b.api_pid, NULL, 0);
    pj_redis_free(b.redis);
    kill(b.redis_pid, SIGTERM);
    waitpid(b.redis_pid, NULL, 0);
    if (b.json != NULL)
        fclose(b.json);
    if (pj_fs_remove_tree(b.dir, &err) < 0)
        die("folder", &err);
    return 0;
}
