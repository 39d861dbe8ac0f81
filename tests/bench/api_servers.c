#include "tests/bench/api_servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
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
#include "lib/store/events.h"
#include "lib/store/lease.h"
#include "lib/store/meta.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"
#include "tests/bench/api_load.h"

#define FILLER 50

static pid_t start(const char *path, const char *const *argv, int core)
{
    pid_t pid = fork();

    if (pid < 0)
        load_die("fork", NULL);
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)core, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    execvp(path, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int free_port(void)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof sin;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (const struct sockaddr *)&sin, sizeof sin) < 0 ||
        getsockname(fd, (struct sockaddr *)&sin, &len) < 0)
        load_die("port", NULL);
    close(fd);
    return ntohs(sin.sin_port);
}

/* Until it listens; false when it ended or 10 s have passed. */
static bool listens(const struct server *server)
{
    for (int64_t until = pj_mono_ms() + 10000; pj_mono_ms() < until;) {
        int fd = load_dial(server->port);
        if (fd >= 0) {
            close(fd);
            return true;
        }
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
            return false;
        (void)poll(NULL, 0, 20); /* it is another's program: its address is all that tells */
    }
    return false;
}

static void run(struct bench *b, struct pj_cmd *cmd, struct redisReply **reply)
{
    struct pj_err err;

    pj_reply_freep(reply);
    if (pj_redis_do(b->redis, cmd, reply, &err) < 0)
        load_die("redis", &err);
    pj_cmd_release(cmd);
}

/* ---- tasks ---- */

void bench_make_task(struct bench *b, struct bench_task *out)
{
    char repository[PJ_ID_SIZE], owner[PJ_ID_SIZE],
        url[] = "https://example.org/a/b", name[] = "a/b", branch[] = "main", text[] = "text";
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_repo repo;
    struct pj_task task;
    struct pj_cmd cmd = {0};
    struct pj_lease lease[1];
    struct pj_err err;
    bool existing;
    size_t count = 0;

    pj_id_new(0, repository);
    pj_id_new(0, owner);
    pj_id_new(0, out->id);
    pj_repo_init(&repo);
    repo.id = repository;
    repo.owner = owner;
    repo.url = url;
    repo.name = name;
    repo.default_branch = branch;
    pj_repo_create_cmd(&cmd, &repo);
    run(b, &cmd, &reply);
    pj_task_init(&task);
    task.id = out->id;
    task.repository_id = repository;
    task.owner = owner;
    task.title = task.description = text;
    task.priority = PJ_PRIORITY_NORMAL;
    pj_task_create_cmd(&cmd, &task, true, NULL);
    run(b, &cmd, &reply);
    if (pj_task_create_reply(reply, &task, &existing, &err) < 0)
        load_die("task", &err);
    const struct pj_lease_take take = {
        .runner = "bench", .ttl_ms = 600000, .timeout_ms = 600000, .want = 1};
    pj_lease_take_cmd(&cmd, &take);
    run(b, &cmd, &reply);
    if (pj_lease_take_reply(reply, lease, 1, &count, &err) < 0 || count != 1)
        load_die("lease", &err);
    out->epoch = lease[0].epoch;
    out->n = 0;
    pj_leases_release(lease, 1);
}

void bench_stream_request(const struct bench_task *task, char *out, size_t cap)
{
    snprintf(
        out, cap,
        "GET /api/v1/tasks/%s/logs/stream HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer " BENCH_TOKEN
        "\r\n\r\n",
        task->id);
}

/* ---- lines ---- */

static void make_line(struct server *server, struct pj_str *line)
{
    char message[FILLER + 40];

    int n = snprintf(message, sizeof message, "@%lld@", (long long)load_stamp());
    memset(message + n, 'x', FILLER);
    message[n + FILLER] = '\0';
    const struct pj_event event = {.attempt = 1,
                                   .n = ++server->task.n,
                                   .ts_ms = pj_now_ms(),
                                   .stream = PJ_STREAM_STDOUT,
                                   .type = PJ_EVENT_INFO,
                                   .message = pj_view_of(message)};
    pj_str_init(line, 4096);
    if (pj_event_encode(&event, line) < 0)
        load_die("line", NULL);
}

/* nchan's publisher is told of each line that it was taken. */
static void post(const struct server *server, const struct pj_str *line)
{
    char text[2048];

    int n = snprintf(text, sizeof text,
                     "POST /pub HTTP/1.1\r\nHost: b\r\nContent-Length: %zu\r\n\r\n%.*s", line->len,
                     (int)line->len, line->data);
    if (write(server->publish_fd, text, (size_t)n) != n ||
        read(server->publish_fd, text, sizeof text) <= 0)
        load_die("publish to nchan", NULL);
}

static void publish_redis(struct bench *b, struct server *server, size_t count)
{
    struct pj_cmd cmds[BENCH_BATCH];
    struct redisReply *replies[BENCH_BATCH];
    struct pj_err err;

    memset(cmds, 0, sizeof cmds);
    for (size_t i = 0; i < count; i++) {
        struct pj_str line;
        make_line(server, &line);
        if (server->kind == SERVER_OURS) {
            pj_str_putc(&line, '\n');
            pj_events_append_cmd(&cmds[i], server->task.id, server->task.epoch, 1, server->task.n,
                                 1, pj_view_n(line.data, line.len));
        } else {
            pj_cmd_start(&cmds[i], "PUBLISH");
            pj_cmd_text(&cmds[i], "bench");
            pj_cmd_add(&cmds[i], line.data, line.len);
        }
        pj_str_release(&line);
    }
    if (pj_redis_pipeline(b->redis, cmds, count, replies, &err) < 0)
        load_die("redis", &err);
    for (size_t i = 0; i < count; i++) {
        pj_reply_freep(&replies[i]);
        pj_cmd_release(&cmds[i]);
    }
}

void bench_publish(struct bench *b, struct server *server, size_t count)
{
    if (server->kind != SERVER_NGINX) {
        publish_redis(b, server, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct pj_str line;
        make_line(server, &line);
        post(server, &line);
        pj_str_release(&line);
    }
}

int64_t bench_metric(struct bench *b, const char *name)
{
    static const char request[] = "GET /metrics HTTP/1.1\r\nHost: b\r\nConnection: close\r\n"
                                  "Authorization: Bearer " BENCH_TOKEN "\r\n\r\n";
    char bytes[4096], line[80];
    struct pj_str text;
    int64_t value = -1;
    ssize_t n;

    pj_str_init(&text, 1 << 20);
    int fd = load_dial(b->ours.port);
    if (fd < 0 || write(fd, request, sizeof request - 1) < 0)
        load_die("metrics", NULL);
    while ((n = read(fd, bytes, sizeof bytes)) > 0)
        pj_str_append(&text, bytes, (size_t)n);
    close(fd);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(pj_str_cstr(&text), line);
    if (at == NULL ||
        pj_parse_i64(pj_view_n(at + strlen(line), strcspn(at + strlen(line), "\n")), &value) < 0)
        load_die(name, &(struct pj_err){.message = "is no metric"});
    pj_str_release(&text);
    return value;
}

/* ---- servers ---- */

static void start_redis(struct bench *b)
{
    const char *const argv[] = {
        "redis-server", "--port", "0", "--unixsocket", b->redis_socket, "--dir",
        b->dir,         "--save", "",  "--loglevel",   "warning",       "--logfile",
        "/dev/null",    NULL};
    const struct pj_redis_options options = {.url = b->redis_url};
    struct pj_meta meta;
    struct pj_err err;

    b->redis_pid = start("redis-server", argv, 1);
    if (pj_redis_new(&options, &b->redis, &err) < 0 || pj_store_open(b->redis, 1, &meta, &err) < 0)
        load_die("redis", &err);
}

/* The path of a 404 whose problem document has 300 bytes: routed, made and sent like any answer, without a word to Redis. */
static void choose_small(struct server *s)
{
    struct load_rate rate;

    for (size_t pad = 1; pad < 200; pad++) {
        char path[208];
        memset(path, 'p', pad);
        path[pad] = '\0';
        snprintf(s->small, sizeof s->small,
                 "GET /%s HTTP/1.1\r\nHost: b\r\nX-Request-Id: bench\r\n\r\n", path);
        load_requests(s->port, s->pid, s->small, 0, &rate);
        if (rate.body_bytes >= 300)
            return;
    }
    load_die("no answer has 300 bytes", NULL);
}

static void start_ours(struct bench *b)
{
    char path[4096], listen[32];
    const char *bin = getenv("PJ_TEST_BIN");
    struct server *s = &b->ours;

    *s = (struct server){.kind = SERVER_OURS, .name = "pj-api", .port = free_port()};
    snprintf(listen, sizeof listen, "127.0.0.1:%d", s->port);
    setenv("PJ_REDIS_URL", b->redis_url, 1);
    setenv("PJ_LISTEN", listen, 1);
    setenv("PJ_BOOTSTRAP_TOKEN", BENCH_TOKEN, 1);
    setenv("PJ_SECRET_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", 1);
    setenv("PJ_RATE_LIMIT", "0", 1);
    setenv("PJ_LOG_LEVEL", "error", 1);
    snprintf(path, sizeof path, "%s/pj-api", bin != NULL ? bin : "build/bench/bin");
    const char *const argv[] = {path, NULL};
    s->pid = start(path, argv, 0);
    if (!listens(s))
        load_die("pj-api does not listen", NULL);
}

static void start_fastify(struct bench *b)
{
    const char *folder = getenv("PJ_FASTIFY"), *src = getenv("PJ_TEST_SRC");
    char script[4096], port[16];
    struct server *s = &b->fastify;

    *s = (struct server){.kind = SERVER_FASTIFY, .name = "fastify", .port = free_port()};
    if (folder == NULL)
        return;
    snprintf(script, sizeof script, "%s/tests/bench/fastify.mjs", src != NULL ? src : ".");
    snprintf(port, sizeof port, "%d", s->port);
    snprintf(s->small, sizeof s->small, "GET /json HTTP/1.1\r\nHost: b\r\n\r\n");
    snprintf(s->stream, sizeof s->stream, "GET /stream HTTP/1.1\r\nHost: b\r\n\r\n");
    const char *const argv[] = {"node", script, port, b->redis_socket, NULL};
    s->pid = start("node", argv, 0);
    if (!listens(s))
        s->pid = 0;
}

static void start_nginx(struct bench *b)
{
    struct server *s = &b->nginx;
    const char *root = getenv("PJ_NGINX");
    char path[80], body[301], program[4096], module[4096];

    *s = (struct server){
        .kind = SERVER_NGINX, .name = "nginx", .port = free_port(), .publish_fd = -1};
    snprintf(program, sizeof program, "%s/usr/sbin/nginx", root != NULL ? root : "");
    snprintf(module, sizeof module, "%s/usr/lib/nginx/modules/ngx_nchan_module.so",
             root != NULL ? root : "");
    if (access(program, X_OK) != 0 || access(module, R_OK) != 0)
        return;
    snprintf(body, sizeof body, "{\"status\":\"ok\",\"version\":\"0.1.0\",\"detail\":\"%0*d\"}",
             255, 0);
    snprintf(path, sizeof path, "%s/nginx.conf", b->dir);
    FILE *f = fopen(path, "we");
    if (f == NULL)
        load_die(path, NULL);
    fprintf(
        f,
        "load_module %s;\nworker_processes 1;\nmaster_process off;\ndaemon off;\n"
        "pid %s/nginx.pid;\nerror_log /dev/null;\nworker_rlimit_nofile 16384;\n"
        "events { worker_connections 8192; }\nhttp {\n"
        "access_log off; keepalive_requests 1000000000;\n"
        "client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s; uwsgi_temp_path %s;\n"
        "scgi_temp_path %s;\n"
        "server {\nlisten 127.0.0.1:%d backlog=8192;\n"
        "location = /json { default_type application/json; return 200 '%s'; }\n"
        "location = /pub { nchan_publisher; nchan_channel_id bench;\n"
        "nchan_message_buffer_length 1000; nchan_message_timeout 60s; }\n"
        "location = /sub { nchan_subscriber eventsource; nchan_channel_id bench;\n"
        "nchan_subscriber_first_message newest; nchan_subscriber_timeout 0; }\n}\n}\n",
        module, b->dir, b->dir, b->dir, b->dir, b->dir, b->dir, s->port, body);
    if (fclose(f) != 0)
        load_die(path, NULL);
    snprintf(s->small, sizeof s->small, "GET /json HTTP/1.1\r\nHost: b\r\n\r\n");
    snprintf(s->stream, sizeof s->stream,
             "GET /sub HTTP/1.1\r\nHost: b\r\nAccept: text/event-stream\r\n\r\n");
    const char *const argv[] = {"nginx", "-p", b->dir, "-c", path, NULL};
    s->pid = start(program, argv, 0);
    if (!listens(s)) {
        s->pid = 0;
        return;
    }
    s->publish_fd = load_dial(s->port);
}

void bench_start(struct bench *b)
{
    memset(b, 0, sizeof *b);
    snprintf(b->dir, sizeof b->dir, "/tmp/pj-bench-api-XXXXXX");
    if (mkdtemp(b->dir) == NULL)
        load_die("folder", NULL);
    snprintf(b->redis_socket, sizeof b->redis_socket, "%s/redis.sock", b->dir);
    snprintf(b->redis_url, sizeof b->redis_url, "unix://%s", b->redis_socket);
    start_redis(b);
    start_ours(b);
    choose_small(&b->ours);
    start_fastify(b);
    start_nginx(b);
}

static void stop(pid_t pid)
{
    if (pid == 0)
        return;
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

void bench_stop(struct bench *b)
{
    struct pj_err err;

    stop(b->ours.pid);
    stop(b->fastify.pid);
    stop(b->nginx.pid);
    pj_fd_close(&b->nginx.publish_fd);
    pj_redis_free(b->redis);
    stop(b->redis_pid);
    if (pj_fs_remove_tree(b->dir, &err) < 0)
        load_die("folder", &err);
}
