/* Backup and restore, as docs/operators.md has it: Redis's files and PJ_SECRET_KEY bring everything back. */
#include <signal.h>
#include <stdio.h>
#include "tests/scenarios/scene.h"

static const struct model_answer twice[] = {SCENE_WRITE("a.txt", "x\\n"), SCENE_FINISH,
                                            SCENE_WRITE("a.txt", "x\\n"), SCENE_FINISH};

struct copy {
    struct scene s;
    char *done, *waiting, *late; /* tasks: ended, waiting, and made after the backup */
    size_t lines;
    char *folder; /* where the backup lies */
};

/* Takes the command over. */
static void shell(char *command)
{
    FILE *p = popen(command, "re");

    cr_assert(p && pclose(p) == 0, "%s", command);
    free(command);
}

/* One task done, one that waits, with a credential that rests sealed in Redis. `make`: takes the backup of `redis` into the folder. */
static void run_until_backup(struct copy *c, void (*make)(struct test_redis *redis, const char *to))
{
    struct scene *s = &c->s;

    memset(c, 0, sizeof *c);
    s->model = model_server_start(0, twice, 4);
    world_start(&s->w);
    test_redis_stop(&s->w.redis);
    test_redis_start_durable(&s->w.redis, "always");
    world_set(&s->w, "PJ_REDIS_URL", s->w.redis.url);
    world_use_openai(&s->w, s->model);
    static const struct gitfix_file files[] = {{"README.md", "project\n", false}};
    s->remote = gitfix_bare(s->w.remotes, "acme/project", files, 1);
    s->forge = forge_server_start(s->w.remotes);
    world_use_forge(&s->w, s->forge, false);
    world_api_start(&s->w);
    world_runner_start(&s->w, 0);
    PJ_CLEANUP(pj_freep) char *url = forge_server_repo_url(s->forge, "acme/project");
    s->repo = world_connect(
        &s->w, url, ",\"credential\":{\"token\":\"" FORGE_TOKEN "\"},\"codeRabbit\":\"off\"");
    c->done = scene_run(s, "First");
    json_decref(world_wait_status(&s->w, c->done, "completed"));
    json_t *log = world_log(&s->w, c->done);
    c->lines = json_array_size(log);
    json_decref(log);
    cr_expect_eq(program_stop(&s->w.runner[0], SIGTERM, WORLD_SOON), 0);
    c->waiting = scene_run(s, "Second");
    c->folder = pj_asprintf("%s/backup", s->w.dir);
    make(&s->w.redis, c->folder);
    c->late = world_task(&s->w, s->repo, "Third", "After the backup.", "");
    cr_expect_eq(program_stop(&s->w.api, SIGTERM, WORLD_SOON), 0);
    program_release(&s->w.api);
    program_release(&s->w.runner[0]);
    test_redis_stop(&s->w.redis); /* and its folder with it */
}

static void come_back(struct copy *c)
{
    struct scene *s = &c->s;
    PJ_CLEANUP(pj_freep) char *late = pj_asprintf("/tasks/%s", c->late);

    world_set(&s->w, "PJ_REDIS_URL", s->w.redis.url);
    world_api_start(&s->w);
    json_decref(world_call(&s->w, "GET", late, NULL, 404));
    json_t *doc = world_wait_status(&s->w, c->done, "completed"), *log = world_log(&s->w, c->done);
    cr_expect_str_not_empty(pj_json_str(doc, "prUrl", ""));
    cr_expect_eq(json_array_size(log), c->lines);
    json_decref(doc);
    json_decref(log);
}

static void stop(struct copy *c)
{
    free(c->done);
    free(c->waiting);
    free(c->late);
    free(c->folder);
    scene_stop(&c->s);
}

static void set_rewriting(struct test_redis *redis, const char *percentage)
{
    shell(pj_asprintf("redis-cli -s '%s' CONFIG SET auto-aof-rewrite-percentage %s | grep -qx OK",
                      redis->socket, percentage));
}

static void copy_append_only_files(struct test_redis *redis, const char *to)
{
    set_rewriting(redis, "0");
    shell(pj_asprintf("redis-cli -s '%s' INFO persistence | grep -q aof_rewrite_in_progress:0",
                      redis->socket));
    shell(pj_asprintf("cp -a '%s/appendonlydir' '%s'", redis->dir, to));
    set_rewriting(redis, "100");
}

static void fetch_snapshot(struct test_redis *redis, const char *to)
{
    shell(pj_asprintf("redis-cli -s '%s' --rdb '%s' >/dev/null 2>&1", redis->socket, to));
}

Test(backup, the_append_only_files_and_the_key_bring_everything_back)
{
    struct copy c;

    run_until_backup(&c, copy_append_only_files);
    test_redis_start_durable(&c.s.w.redis, "always");
    test_redis_kill(&c.s.w.redis);
    shell(pj_asprintf("rm -r '%s/appendonlydir'", c.s.w.redis.dir));
    shell(pj_asprintf("cp -a '%s' '%s/appendonlydir'", c.folder, c.s.w.redis.dir));
    test_redis_restart(&c.s.w.redis);
    come_back(&c);
    world_runner_start(&c.s.w, 0);
    /* What waited is done, with the credential that was sealed. */
    json_t *doc = world_wait_status(&c.s.w, c.waiting, "completed");
    cr_expect_str_not_empty(pj_json_str(doc, "prUrl", ""));
    json_decref(doc);
    stop(&c);
}

Test(backup, a_snapshot_brings_everything_back_and_without_the_key_credentials_are_lost)
{
    struct copy c;

    run_until_backup(&c, fetch_snapshot);
    test_redis_start(&c.s.w.redis);
    test_redis_kill(&c.s.w.redis);
    shell(pj_asprintf("cp '%s' '%s/dump.rdb'", c.folder, c.s.w.redis.dir));
    test_redis_restart(&c.s.w.redis);
    /* As the page says: appended from then on. */
    struct pj_redis *redis = test_redis_connect(&c.s.w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply =
        test_redis_words(redis, "CONFIG", "SET", "appendonly", "yes", (const char *)NULL);
    cr_expect_not_null(reply);
    pj_redis_free(redis);
    world_set(&c.s.w, "PJ_SECRET_KEY", "b3RoZXIga2V5LCBvZiB0aGUgc2FtZSBzaXplLCB5ZXM=");
    come_back(&c);
    world_runner_start(&c.s.w, 0);
    json_t *doc = world_wait_status(&c.s.w, c.waiting, "failed");
    char *text = pj_json_text(doc);
    cr_expect_not_null(strstr(text, "PJ_SECRET_KEY"), "%s", text);
    free(text);
    json_decref(doc);
    stop(&c);
}
