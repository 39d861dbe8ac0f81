/* Programs that find their Redis by a sentinel which wants a password of its own. */
#include <signal.h>
#include <sys/wait.h>
#include "lib/base/fs.h"
#include "tests/scenarios/scene.h"

#define PRIMARY_PASSWORD "primary-s3cret"
#define SENTINEL_PASSWORD "sentinel-s3cret"

static const struct model_answer write_and_finish[] = {SCENE_WRITE("new.txt", "made\\n"),
                                                       SCENE_FINISH};

static void tell(struct pj_redis *redis, const char *name, const char *value)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(redis, "CONFIG", "SET", name, value, NULL);
    struct pj_err err = {0};

    cr_assert_eq(pj_reply_error(reply, &err), 0, "%s", err.message);
}

/* Until the sentinel has found the primary to be one. */
static void await_sentinel(int port)
{
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("redis-sentinel://127.0.0.1:%d/main", port);
    struct pj_redis_options options = {.url = url,
                                       .password = PRIMARY_PASSWORD,
                                       .sentinel_password = SENTINEL_PASSWORD,
                                       .retry_ms = WORLD_SOON};
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(&options, &redis, &err), 0, "%s", err.message);
    pj_cmd_start(&cmd, "PING");
    cmd.repeatable = true;
    cr_assert_eq(pj_redis_do(redis, &cmd, &reply, &err), 0, "%s", err.message);
}

/* The world's Redis gets a port and a password, and a sentinel that knows it as "main"; the sentinel's process. */
static pid_t lock(struct scene *s)
{
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&s->w.redis);
    int port = test_free_port(), watch = test_free_port();
    PJ_CLEANUP(pj_freep) char *number = pj_asprintf("%d", port);
    PJ_CLEANUP(pj_freep) char *config = pj_asprintf("%s/sentinel.conf", s->w.redis.dir);
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("redis-sentinel://127.0.0.1:%d/main/0", watch);
    PJ_CLEANUP(pj_freep)
    char *text = pj_asprintf(
        "bind 127.0.0.1\nport %d\ndir %s\nsentinel monitor main 127.0.0.1 %d 1\n"
        "sentinel auth-pass main " PRIMARY_PASSWORD "\nrequirepass " SENTINEL_PASSWORD "\n",
        watch, s->w.redis.dir, port);
    struct pj_err err = {0};
    pid_t pid;

    tell(redis, "bind", "127.0.0.1");
    tell(redis, "port", number);
    tell(redis, "requirepass", PRIMARY_PASSWORD);
    cr_assert_eq(pj_fs_write_atomic(config, text, strlen(text), 0600, &err), 0, "%s", err.message);
    pid = test_redis_serve(config, "--sentinel");
    await_sentinel(watch);
    world_set(&s->w, "PJ_REDIS_URL", url);
    world_set(&s->w, "PJ_REDIS_PASSWORD", PRIMARY_PASSWORD);
    world_set(&s->w, "PJ_REDIS_SENTINEL_PASSWORD", SENTINEL_PASSWORD);
    return pid;
}

static void unlock(struct scene *s, pid_t sentinel)
{
    scene_stop(s);
    (void)kill(sentinel, SIGKILL);
    (void)waitpid(sentinel, NULL, 0);
}

Test(redis_sentinel, task_runs_by_a_sentinel_with_a_password_that_no_log_tells)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, PJ_COUNT_OF(write_and_finish));
    pid_t sentinel = lock(&s);
    scene_open(&s, "");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *logs = world_logs(&s.w);
    cr_expect_null(strstr(logs, "s3cret"), "a password stands in a log");
    free(logs);
    free(task);
    unlock(&s, sentinel);
}

static void expect_said(struct scene *s, const char *program, const char *argument, int want,
                        const char *said)
{
    const char *const args[] = {argument, NULL};
    char *out, *err;
    int code = program_run(program, args, s->w.env, s->w.dir, NULL, &out, &err);

    cr_expect_eq(code, want, "%s: exit %d: %s%s", program, code, out, err);
    cr_expect(strstr(err, said) || strstr(out, said), "%s does not say \"%s\": %s%s", program, said,
              out, err);
    cr_expect(!strstr(err, "s3cret") && !strstr(out, "s3cret"), "%s tells a password", program);
    free(out);
    free(err);
}

Test(redis_sentinel, programs_and_doctor_say_what_is_wrong_and_what_to_do)
{
    struct scene s;

    scene_prepare(&s, NULL, 0);
    pid_t sentinel = lock(&s);
    expect_said(&s, "pj", "doctor", 0, "this host and Redis differ by");
    world_set(&s.w, "PJ_REDIS_SENTINEL_PASSWORD", "wrong-s3cret");
    expect_said(&s, "pj", "doctor", 1, "Compare PJ_REDIS_SENTINEL_USER");
    expect_said(&s, "pj-api", NULL, 1, "Compare PJ_REDIS_SENTINEL_USER");
    world_set(&s.w, "PJ_REDIS_SENTINEL_PASSWORD", NULL);
    expect_said(&s, "pj", "doctor", 1, "Set PJ_REDIS_SENTINEL_PASSWORD");
    expect_said(&s, "pj-api", NULL, 1, "Set PJ_REDIS_SENTINEL_PASSWORD");
    expect_said(&s, "pj-runner", NULL, 1, "Set PJ_REDIS_SENTINEL_PASSWORD");

    PJ_CLEANUP(pj_freep) char *file = pj_asprintf("%s/password", s.w.dir);
    struct pj_err err = {0};

    cr_assert_eq(
        pj_fs_write_atomic(file, SENTINEL_PASSWORD "\n", strlen(SENTINEL_PASSWORD) + 1, 0644, &err),
        0);
    world_set(&s.w, "PJ_REDIS_SENTINEL_PASSWORD_FILE", file);
    expect_said(&s, "pj", "doctor", 0, "PJ_REDIS_SENTINEL_PASSWORD_FILE: others may read");
    world_set(&s.w, "PJ_REDIS_URL", s.w.redis.url);
    expect_said(&s, "pj-api", "--check-config", 78, "PJ_REDIS_SENTINEL_PASSWORD");
    expect_said(&s, "pj-runner", "--check-config", 78, "PJ_REDIS_SENTINEL_PASSWORD");
    unlock(&s, sentinel);
}
