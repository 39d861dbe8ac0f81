#include "tests/runner/fleet.h"

#include <criterion/criterion.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "lib/store/async.h"
#include "lib/store/events.h"
#include "lib/store/keys.h"
#include "lib/store/meta.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"

static const char OWNER[] = "000000000userfleet0000";

/* ---- settings and programs ---- */

void fleet_set(struct fleet *f, const char *name, const char *value)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < f->env_count; i++)
        if (strncmp(f->env[i], name, n) == 0 && f->env[i][n] == '=') {
            free(f->env[i]);
            f->env[i] = pj_asprintf("%s=%s", name, value);
            return;
        }
    cr_assert_lt(f->env_count, (size_t)FLEET_ENV);
    f->env[f->env_count++] = pj_asprintf("%s=%s", name, value);
}

static void write_file(const char *path, const char *text)
{
    struct pj_err err;

    cr_assert_eq(pj_fs_write_atomic(path, text, strlen(text), 0600, &err), 0, "%s", err.message);
}

static void make_dir(const char *path)
{
    struct pj_err err;

    cr_assert_eq(pj_fs_mkdirs(path, 0755, &err), 0, "%s", err.message);
}

void fleet_answers(struct fleet *f, const char *answers)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/replay.json", f->dir);
    PJ_CLEANUP(pj_freep) char *text = pj_asprintf("{\"answers\":%s}", answers);

    write_file(path, text);
    fleet_set(f, "PJ_REPLAY_FILE", path);
}

static void settings(struct fleet *f)
{
    PJ_CLEANUP(pj_freep) char *forges = pj_asprintf("%s/forges.json", f->dir);
    PJ_CLEANUP(pj_freep)
    char *root = pj_asprintf("[{\"kind\":\"git\",\"root\":\"%s\"}]", f->remotes);
    const char *asan = getenv("ASAN_OPTIONS");

    write_file(forges, root);
    fleet_set(f, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    fleet_set(f, "HOME", f->dir);
    if (asan != NULL)
        fleet_set(f, "ASAN_OPTIONS", asan);
    fleet_set(f, "PJ_FORGES", forges);
    fleet_set(f, "PJ_REDIS_URL", f->redis.url);
    fleet_set(f, "PJ_SECRET_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    fleet_set(f, "PJ_RUNNER_SLOTS", "2");
    fleet_set(f, "PJ_LEASE_TTL", "3s");
    fleet_set(f, "PJ_LOG_FORMAT", "json");
    fleet_set(f, "PJ_LOG_LEVEL", "debug");
    fleet_set(f, "MODEL_PROVIDER", "replay");
    fleet_answers(f, "[{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"hello."
                     "txt\",\"content\":\"hello, world\\n\"}}]},"
                     "{\"toolCalls\":[{\"name\":\"finish\",\"arguments\":{\"summary\":\"Greets the "
                     "world.\"}}]}]");
}

void fleet_start(struct fleet *f)
{
    char dir[] = "/tmp/pjf-XXXXXX";
    struct pj_meta meta;
    struct pj_err err;

    *f = (struct fleet){0};
    cr_assert_not_null(mkdtemp(dir));
    f->dir = pj_strdup(dir);
    f->remotes = pj_asprintf("%s/remotes", dir);
    f->state = pj_asprintf("%s/state-0", dir);
    make_dir(f->remotes);
    test_redis_start(&f->redis);
    f->store = test_redis_connect(&f->redis);
    cr_assert_eq(pj_store_open(f->store, 1, &meta, &err), 0, "%s", err.message);
    settings(f);
}

void fleet_runner(struct fleet *f, size_t i)
{
    PJ_CLEANUP(pj_freep) char *tag = pj_asprintf("runner-%zu", i);
    PJ_CLEANUP(pj_freep) char *state = pj_asprintf("%s/state-%zu", f->dir, i);
    char *log;

    program_release(&f->runner[i]);
    fleet_set(f, "PJ_STATE_DIR", state);
    fleet_set(f, "PJ_RUNNER_NAME", tag);
    if (program_start_ready(&f->runner[i], "pj-runner", NULL, f->env, f->dir, tag, FLEET_SOON_MS))
        return;
    log = program_log(&f->runner[i]);
    cr_assert_fail("runner %zu did not start:\n%s", i, log);
}

void fleet_stop(struct fleet *f)
{
    struct pj_err err;

    for (size_t i = 0; i < PJ_COUNT_OF(f->runner); i++) {
        if (f->runner[i].pid != 0 && !program_has_ended(&f->runner[i]))
            cr_assert_eq(program_stop(&f->runner[i], SIGTERM, FLEET_SOON_MS), 0, "%s",
                         program_log(&f->runner[i]));
        program_release(&f->runner[i]);
    }
    fleet_assert_clean(f);
    pj_redis_free(f->store);
    test_redis_stop(&f->redis);
    cr_assert_eq(pj_fs_remove_tree(f->dir, &err), 0, "%s", err.message);
    for (size_t i = 0; i < f->env_count; i++)
        free(f->env[i]);
    free(f->dir);
    free(f->remotes);
    free(f->state);
}

/* ---- repositories and tasks ---- */

char *fleet_remote(struct fleet *f, const char *name)
{
    const struct gitfix_file files[] = {
        {"hello.txt", "hello\n", false},
        {"hello.sh", "#!/bin/sh\ncat hello.txt\n", true},
    };

    return gitfix_bare(f->remotes, name, files, PJ_COUNT_OF(files));
}

static struct redisReply *ask(struct fleet *f, struct pj_cmd *cmd)
{
    struct redisReply *reply = NULL;
    struct pj_err err;

    cr_assert_eq(pj_redis_do(f->store, cmd, &reply, &err), 0, "%s", err.message);
    pj_cmd_release(cmd);
    return reply;
}

char *fleet_repo(struct fleet *f, const char *path, void (*set)(struct pj_repo *repo))
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    char id[PJ_ID_SIZE];
    struct pj_repo repo, stored;
    struct pj_cmd cmd = {0};
    struct pj_err err;

    pj_repo_init(&repo);
    pj_repo_init(&stored);
    pj_id_new(0, id);
    repo.id = pj_strdup(id);
    repo.owner = pj_strdup(OWNER);
    repo.url = pj_strdup(path);
    repo.name = pj_strdup("remote");
    repo.default_branch = pj_strdup("main");
    if (set != NULL)
        set(&repo);
    pj_repo_create_cmd(&cmd, &repo);
    reply = ask(f, &cmd);
    cr_assert_eq(pj_repo_reply(reply, &stored, &err), 0, "%s", err.message);
    pj_repo_release(&repo);
    pj_repo_release(&stored);
    return pj_strdup(id);
}

char *fleet_task(struct fleet *f, const char *repo, const char *title,
                 void (*set)(struct pj_task *task))
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    char id[PJ_ID_SIZE];
    struct pj_task task;
    struct pj_cmd cmd = {0};
    struct pj_err err;
    bool existing;

    pj_task_init(&task);
    pj_id_new(pj_partition_of_user(OWNER, 1), id);
    task.id = pj_strdup(id);
    task.owner = pj_strdup(OWNER);
    task.repository_id = pj_strdup(repo);
    task.title = pj_strdup(title);
    task.description = pj_strdup("Write the greeting to hello.txt.");
    task.priority = PJ_PRIORITY_NORMAL;
    if (set != NULL)
        set(&task);
    pj_task_create_cmd(&cmd, &task, true, NULL);
    reply = ask(f, &cmd);
    cr_assert_eq(pj_task_create_reply(reply, &task, &existing, &err), 0, "%s", err.message);
    cr_assert_eq(task.status, PJ_TASK_RUNNING);
    pj_task_release(&task);
    return pj_strdup(id);
}

void fleet_read(struct fleet *f, const char *id, struct pj_task *out)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_cmd cmd = {0};
    struct pj_err err;

    pj_task_init(out);
    pj_task_get_cmd(&cmd, id);
    reply = ask(f, &cmd);
    cr_assert_eq(pj_task_get_reply(reply, out, &err), 0, "%s", err.message);
}

char *fleet_log(struct fleet *f, const char *id)
{
    struct pj_events_page page = {0};
    int64_t attempt = 0, n = 0, last = 0, of = 0;
    struct pj_str out;
    struct pj_err err;
    char *text;

    pj_str_init(&out, 64 << 20);
    do {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
        struct pj_cmd cmd = {0};

        pj_events_page_cmd(&cmd, id, attempt, n, 1000, 0);
        reply = ask(f, &cmd);
        cr_assert_eq(pj_events_page_reply(reply, &page, &err), 0, "%s", err.message);
        for (size_t i = 0; i < page.count; i++) {
            int64_t a, k;

            cr_assert_eq(pj_event_line_id(page.lines[i], &a, &k), 0);
            cr_assert_eq(k, a == of ? last + 1 : 1, "entry %lld-%lld after %lld-%lld", (long long)a,
                         (long long)k, (long long)of, (long long)last);
            of = a;
            last = k;
            (void)pj_str_append(&out, page.lines[i].p, page.lines[i].n);
            (void)pj_str_putc(&out, '\n');
        }
        attempt = page.last_attempt;
        n = page.last_n;
        pj_events_page_release(&page);
    } while (page.more);
    text = pj_str_take(&out);
    pj_str_release(&out);
    return text;
}

/* ---- waiting for messages of a task's channel ---- */

struct watch {
    struct fleet *fleet;
    struct event_base *base;
    const char *id, *text;
    int64_t count; /* of entries; 0: the end, or `text` */
    bool done;
};

static void look(struct watch *w)
{
    if (w->text != NULL) {
        PJ_CLEANUP(pj_freep) char *log = fleet_log(w->fleet, w->id);

        w->done = strstr(log, w->text) != NULL;
    } else {
        struct pj_task task;

        fleet_read(w->fleet, w->id, &task);
        w->done = pj_task_is_ended((enum pj_task_status)task.status) ||
                  (w->count > 0 && task.logged_n >= w->count);
        pj_task_release(&task);
    }
    if (w->done)
        (void)event_base_loopbreak(w->base);
}

static void on_message(void *arg, const char *channel, struct pj_view payload)
{
    (void)channel;
    (void)payload;
    look(arg);
}

static void on_confirmed(void *arg)
{
    look(arg);
}

static void watch(struct fleet *f, const char *id, const char *text, int64_t count)
{
    const struct pj_redis_options options = {.url = f->redis.url};
    const struct pj_sub_events events = {.on_message = on_message};
    struct watch w = {.fleet = f, .base = event_base_new(), .id = id, .text = text, .count = count};
    struct timeval limit = {.tv_sec = FLEET_SOON_MS / 1000};
    char channel[PJ_KEY_SIZE];
    struct pj_sub *sub = NULL;
    struct pj_err err;

    cr_assert_eq(pj_sub_new(w.base, &options, &events, &w, &sub, &err), 0, "%s", err.message);
    pj_sub_add(sub, pj_key_task_channel(channel, id), NULL, NULL);
    pj_sub_add(sub, pj_key_status_channel(channel, 0), on_confirmed, &w); /* confirmed in order */
    (void)event_base_loopexit(w.base, &limit);
    (void)event_base_dispatch(w.base);
    pj_sub_free(sub);
    event_base_free(w.base);
    if (!w.done) {
        PJ_CLEANUP(pj_freep) char *log = fleet_log(f, id);
        char *program = program_log(&f->runner[0]);

        cr_assert_fail("task %s: no %s in time\n%s\n%s", id, text != NULL ? text : "end", log,
                       program);
    }
}

void fleet_wait_end(struct fleet *f, const char *id, struct pj_task *out)
{
    watch(f, id, NULL, 0);
    fleet_read(f, id, out);
}

void fleet_wait_log(struct fleet *f, const char *id, const char *text)
{
    watch(f, id, text, 0);
}

void fleet_wait_count(struct fleet *f, const char *id, int64_t count)
{
    watch(f, id, NULL, count);
}
