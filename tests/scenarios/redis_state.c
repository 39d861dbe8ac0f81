/* What Redis can be besides up and down, seen by the programs: too old, eager to throw away, full, and another one than before. */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "tests/scenarios/scene.h"

static void say(struct pj_redis *redis, const char *parameter, const char *value)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(redis, "CONFIG", "SET", parameter, value, NULL);

    cr_assert_str_eq(pj_reply_view(reply).p, "OK");
}

/* The program does not start: one line that holds both words. */
static void refuses(struct scene *s, const char *program, const char *cause, const char *remedy)
{
    char *out, *err;
    int code = program_run(program, NULL, s->w.env, s->w.dir, NULL, &out, &err);

    cr_expect_eq(code, 1, "%s: exit %d: %s", program, code, err);
    cr_expect_not_null(strstr(err, cause), "%s: %s", program, err);
    cr_expect_not_null(strstr(err, remedy), "%s: %s", program, err);
    cr_expect_null(strstr(err, "user_script"), "%s: %s", program, err);
    free(out);
    free(err);
}

/* ---- too old ---- */

/* As Redis 6.2 answers: it knows no scripts that begin with their flags. */
static const char *answer_of(const char *command)
{
    static const char info[] = "# Server\r\nredis_version:6.2.14\r\nmaxmemory:0\r\n"
                               "maxmemory_policy:noeviction\r\naof_enabled:1\r\n";
    static char bulk[sizeof(info) + 16];

    if (strcmp(command, "INFO") == 0) {
        (void)snprintf(bulk, sizeof(bulk), "$%zu\r\n%s\r\n", sizeof(info) - 1, info);
        return bulk;
    }
    if (strncmp(command, "EVALSHA", 7) == 0)
        return "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    if (strncmp(command, "EVAL", 4) == 0)
        return "-ERR Error compiling script (new function): user_script:1: unexpected symbol near "
               "'#'\r\n";
    return "+OK\r\n";
}

static void serve(int fd)
{
    FILE *in = fdopen(fd, "r");
    int words;

    while (in && fscanf(in, "*%d\r\n", &words) == 1) {
        char command[20] = "";

        for (int i = 0; i < words; i++) {
            size_t n = 0;

            if (fscanf(in, "$%zu", &n) != 1 || fgetc(in) != '\r' || fgetc(in) != '\n')
                break;
            for (size_t k = 0; k < n + 2; k++) {
                int c = fgetc(in);

                if (i == 0 && k < n && k + 1 < sizeof(command))
                    command[k] = (char)c;
            }
        }
        const char *answer = answer_of(command);
        if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
            break;
    }
    if (in)
        (void)fclose(in);
}

static void *old_redis(void *arg)
{
    int fd;

    while ((fd = accept4(*(int *)arg, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        serve(fd);
    return NULL;
}

Test(redis_state, one_that_is_too_old_is_told_with_its_version)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct scene s;
    pthread_t thread;

    scene_prepare(&s, NULL, 0);
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("unix://%s/old.sock", s.w.dir);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/old.sock", s.w.dir);
    cr_assert(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(listener, 8) == 0);
    cr_assert_eq(pthread_create(&thread, NULL, old_redis, &listener), 0);
    world_set(&s.w, "PJ_REDIS_URL", url);
    refuses(&s, "pj-api", "6.2.14; 7.0 or newer is needed", "Upgrade Redis");
    refuses(&s, "pj-runner", "6.2.14; 7.0 or newer is needed", "Upgrade Redis");
    (void)shutdown(listener, SHUT_RDWR);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    (void)close(listener);
    scene_stop(&s);
}

/* ---- one that throws away, one that keeps nothing on disk ---- */

Test(redis_state, one_that_evicts_is_refused_and_one_that_keeps_nothing_is_warned_of)
{
    struct scene s;

    scene_prepare(&s, NULL, 0);
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&s.w.redis);
    say(redis, "maxmemory", "100mb");
    say(redis, "maxmemory-policy", "allkeys-lru");
    refuses(&s, "pj-api", "maxmemory-policy of Redis is allkeys-lru",
            "maxmemory-policy noeviction");
    refuses(&s, "pj-runner", "maxmemory-policy of Redis is allkeys-lru",
            "maxmemory-policy noeviction");
    say(redis, "maxmemory-policy", "noeviction");
    scene_open(&s, "");
    cr_expect(program_wait_log(&s.w.api, "redis_not_durable", WORLD_SOON));
    cr_expect(program_wait_log(&s.w.runner[0], "redis_not_durable", WORLD_SOON));
    scene_stop(&s);
}

/* ---- full ---- */

Test(redis_state, a_full_one_refuses_new_tasks_and_loses_no_accepted_one)
{
    static const char body[] = "{\"repositoryId\":\"%s\",\"title\":\"One more\",\"description\":"
                               "\"Do it.\",\"execute\":true}";
    struct http_answer a;
    struct scene s;

    scene_prepare(&s, scene_gated, PJ_COUNT_OF(scene_gated));
    world_set(&s.w, "PJ_RUNNER_SLOTS", "1");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&s.w.redis);
    PJ_CLEANUP(pj_freep) char *more = pj_asprintf(body, s.repo);
    PJ_CLEANUP(pj_freep) char *running = scene_run(&s, "Accepted");
    cr_assert(model_server_wait(s.model, 1, WORLD_SOON));
    PJ_CLEANUP(pj_freep) char *waiting = scene_run(&s, "Accepted, too");
    size_t asked = model_server_count(s.model);

    say(redis, "maxmemory", "100000");
    for (int i = 0; i < 3; i++) {
        http_try(s.w.base, "POST", "/api/v1/tasks", WORLD_TOKEN, more, NULL, &a);
        cr_expect_eq(a.status, 503, "%d %s", a.status, a.body);
        cr_expect_str_eq(pj_json_str(a.json, "code", ""), "store_full", "%s", a.body);
        PJ_CLEANUP(pj_freep) char *later = http_answer_header(&a, "retry-after");
        cr_expect_not_null(later);
        http_answer_release(&a);
    }
    model_server_release(s.model);
    /* Whoever wants to say something meanwhile has to wait: nothing ends without its log. */
    (void)model_server_wait(s.model, asked + 1, 2000);
    say(redis, "maxmemory", "0");
    json_decref(world_wait_status(&s.w, running, "completed"));
    json_decref(world_wait_status(&s.w, waiting, "completed"));
    cr_expect(world_log_has(&s.w, running, "I write."));
    PJ_CLEANUP(pj_json_decrefp) json_t *all = world_call(&s.w, "GET", "/tasks", NULL, 200);
    cr_expect_eq(json_array_size(json_object_get(all, "items")), 2, "none but the accepted ones");
    scene_stop(&s);
}

/* ---- another one than before ---- */

static int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&at, n), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

/* redis-server with this configuration, on a free port that is returned. */
static int server(struct world *w, struct program *p, const char *tag, const char *mode,
                  const char *text)
{
    int port = free_port();
    PJ_CLEANUP(pj_freep) char *folder = pj_asprintf("%s/%s", w->dir, tag);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/redis.conf", folder);
    PJ_CLEANUP(pj_freep)
    char *all = pj_asprintf("bind 127.0.0.1\nport %d\nsave \"\"\ndir %s\n%s\n", port, folder, text);
    const char *const args[] = {path, mode, NULL};
    struct pj_err err = {0};

    cr_assert_eq(pj_fs_mkdirs(folder, 0700, &err), 0, "%s", err.message);
    cr_assert_eq(pj_fs_write_atomic(path, all, strlen(all), 0600, &err), 0, "%s", err.message);
    program_start(p, "/usr/bin/redis-server", args, w->env, w->dir, tag);
    return port;
}

/* Until INFO of that server holds the text. */
static void await_info(int port, const char *text)
{
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("redis://127.0.0.1:%d", port);
    struct pj_redis_options options = {.url = url, .retry_ms = WORLD_SOON};
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    int64_t until = pj_mono_ms() + WORLD_SOON;
    struct pj_err err = {0};
    bool seen = false;

    cr_assert_eq(pj_redis_new(&options, &redis, &err), 0, "%s", err.message);
    while (!seen) {
        PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;

        pj_cmd_start(&cmd, "INFO");
        cmd.repeatable = true;
        seen = pj_redis_do(redis, &cmd, &reply, &err) == 0 && pj_reply_view(reply).n > 0 &&
               strstr(pj_reply_view(reply).p, text);
        cr_assert_lt(pj_mono_ms(), until, "never saw %s", text);
    }
}

/* All that was written so far is at the replica: what a replica has not got is lost with the primary, by Redis's own
 * documents. */
static void await_replica(int port)
{
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("redis://127.0.0.1:%d", port);
    struct pj_redis_options options = {.url = url, .retry_ms = WORLD_SOON};
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    int64_t until = pj_mono_ms() + WORLD_SOON;
    long long replicas = 0;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(&options, &redis, &err), 0, "%s", err.message);
    /* WAIT is for what this very connection wrote. */
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *mark = test_redis_words(redis, "SET", "test:mark", "1", NULL);
    cr_assert_str_eq(pj_reply_view(mark).p, "OK");
    while (replicas < 1) {
        PJ_CLEANUP(pj_reply_freep)
        struct redisReply *reply = test_redis_words(redis, "WAIT", "1", "1000", NULL);

        cr_assert_lt(pj_mono_ms(), until, "the replica never caught up");
        replicas = pj_reply_int(reply, 0);
    }
}

Test(redis_state, a_task_goes_on_when_a_sentinel_has_made_another_one_primary)
{
    enum { PRIMARY, REPLICA, SENTINEL, SERVERS };
    struct program servers[SERVERS] = {{0}};
    struct scene s;
    int port[SERVERS];

    scene_prepare(&s, scene_gated, PJ_COUNT_OF(scene_gated));
    port[PRIMARY] = server(&s.w, &servers[PRIMARY], "primary", "--", "appendonly yes");
    PJ_CLEANUP(pj_freep)
    char *replica = pj_asprintf(
        "appendonly yes\nreplicaof 127.0.0.1 %d\nrepl-diskless-sync-delay 0", port[PRIMARY]);
    port[REPLICA] = server(&s.w, &servers[REPLICA], "replica", "--", replica);
    await_info(port[REPLICA], "master_link_status:up");
    PJ_CLEANUP(pj_freep)
    char *watch =
        pj_asprintf("sentinel monitor main 127.0.0.1 %d 1\nsentinel "
                    "down-after-milliseconds main 500\nsentinel failover-timeout main 3000",
                    port[PRIMARY]);
    port[SENTINEL] = server(&s.w, &servers[SENTINEL], "sentinel", "--sentinel", watch);
    await_info(port[SENTINEL], "slaves=1");
    PJ_CLEANUP(pj_freep)
    char *url = pj_asprintf("redis-sentinel://127.0.0.1:%d/main/0", port[SENTINEL]);
    world_set(&s.w, "PJ_REDIS_URL", url);
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    PJ_CLEANUP(pj_freep) char *task = scene_run(&s, "Accepted by the first");
    cr_assert(model_server_wait(s.model, 1, WORLD_SOON));

    await_replica(port[PRIMARY]);
    (void)program_stop(&servers[PRIMARY], SIGKILL, WORLD_SOON);
    await_info(port[REPLICA], "role:master");
    model_server_release(s.model);
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_wait_status(&s.w, task, "completed");
    cr_expect_eq(pj_json_i64(doc, "attempt", 0), 1);
    cr_expect(world_log_has(&s.w, task, "I write."));
    scene_stop(&s);
    for (size_t i = 0; i < SERVERS; i++)
        program_release(&servers[i]);
}
