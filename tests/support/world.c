#include "tests/support/world.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"

/* ---- settings ---- */

void world_set(struct world *w, const char *name, const char *value)
{
    size_t n = strlen(name), i = 0;

    while (i < w->env_count && !(strncmp(w->env[i], name, n) == 0 && w->env[i][n] == '='))
        i++;
    if (i < w->env_count) {
        free(w->env[i]);
        w->env[i] = value ? pj_asprintf("%s=%s", name, value) : w->env[--w->env_count];
        w->env[w->env_count] = NULL;
        return;
    }
    if (!value)
        return;
    cr_assert_lt(w->env_count, (size_t)WORLD_ENV);
    w->env[w->env_count++] = pj_asprintf("%s=%s", name, value);
    w->env[w->env_count] = NULL;
}

static void pass_on(struct world *w, const char *name)
{
    const char *value = getenv(name);

    if (value)
        world_set(w, name, value);
}

static void write_file(const char *path, const char *text)
{
    struct pj_err err = {0};

    cr_assert_eq(pj_fs_write_atomic(path, text, strlen(text), 0600, &err), 0, "%s", err.message);
}

static void make_dir(const char *path)
{
    struct pj_err err = {0};

    cr_assert_eq(pj_fs_mkdirs(path, 0755, &err), 0, "%s", err.message);
}

static void default_env(struct world *w)
{
    PJ_CLEANUP(pj_freep) char *forges = pj_asprintf("%s/forges.json", w->dir);
    PJ_CLEANUP(pj_freep)
    char *text = pj_asprintf("[{\"kind\":\"git\",\"root\":\"%s\"}]", w->remotes);

    world_set(w, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    world_set(w, "HOME", w->dir);
    pass_on(w, "ASAN_OPTIONS");
    pass_on(w, "UBSAN_OPTIONS");
    pass_on(w, "LSAN_OPTIONS");
    write_file(forges, text);
    world_set(w, "PJ_FORGES", forges);
    world_set(w, "PJ_REDIS_URL", w->redis.url);
    world_set(w, "PJ_SECRET_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    world_set(w, "PJ_BOOTSTRAP_TOKEN", WORLD_TOKEN);
    world_set(w, "PJ_ADMIN_EMAIL", "admin@example.org");
    world_set(w, "PJ_LISTEN", "127.0.0.1:0");
    world_set(w, "PJ_PUBLIC_URL", "http://pj.example.org");
    world_set(w, "PJ_RETRY_BASE", "10ms");
    world_set(w, "PJ_LOG_FORMAT", "json");
    world_set(w, "PJ_LOG_LEVEL", "debug");
}

static void set_model(struct world *w, const char *provider)
{
    world_set(w, "MODEL_PROVIDER", provider);
    world_set(w, "MODEL_NAME", "stand-in-model");
}

void world_use_openai(struct world *w, struct model_server *m)
{
    set_model(w, "openai");
    world_set(w, "OPENAI_API_KEY", MODEL_SERVER_KEY);
    world_set(w, "OPENAI_BASE_URL", model_server_openai_url(m));
}

void world_use_anthropic(struct world *w, struct model_server *m)
{
    set_model(w, "anthropic");
    world_set(w, "ANTHROPIC_API_KEY", MODEL_SERVER_KEY);
    world_set(w, "ANTHROPIC_BASE_URL", model_server_anthropic_url(m));
}

void world_use_forge(struct world *w, struct forge_server *f, bool with_token)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/forges.json", w->dir);
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_err err = {0};

    forge_server_forges(f, "github", with_token, path);
    pj_str_init(&text, 1 << 16);
    cr_assert_eq(pj_fs_read(path, &text, &err), 0);
    doc = json_loads(pj_str_cstr(&text), 0, NULL);
    json_array_append_new(doc, json_pack("{s:s, s:s}", "kind", "git", "root", w->remotes));
    PJ_CLEANUP(pj_freep) char *both = pj_json_text(doc);
    write_file(path, both);
}

/* ---- life ---- */

void world_start(struct world *w)
{
    memset(w, 0, sizeof *w);
    w->dir = pj_strdup("/tmp/pjw-XXXXXX");
    cr_assert_not_null(mkdtemp(w->dir));
    w->remotes = pj_asprintf("%s/remotes", w->dir);
    w->state = pj_asprintf("%s/state", w->dir);
    make_dir(w->remotes);
    make_dir(w->state);
    test_redis_start(&w->redis);
    default_env(w);
}

void world_api_start(struct world *w)
{
    bool ready = program_start_ready(&w->api, "pj-api", NULL, w->env, w->dir, "api", WORLD_SOON);
    const char *address = ready ? strstr(w->api.ready, "listening on ") : NULL;

    if (!address) {
        PJ_CLEANUP(pj_freep) char *log = program_log(&w->api);

        cr_assert_fail("pj-api did not start (%s):\n%s", ready ? w->api.ready : "ended", log);
    }
    address += strlen("listening on ");
    free(w->base);
    w->base = strncmp(address, "unix:", 5) == 0 || strncmp(address, "http://", 7) == 0
                  ? pj_strdup(address)
                  : pj_asprintf("http://%s", address);
}

void world_runner_start(struct world *w, size_t i)
{
    PJ_CLEANUP(pj_freep) char *tag = pj_asprintf("runner-%zu", i);
    PJ_CLEANUP(pj_freep) char *state = pj_asprintf("%s/%s", w->state, tag);

    make_dir(state);
    world_set(w, "PJ_STATE_DIR", state);
    world_set(w, "PJ_RUNNER_NAME", tag);
    if (!program_start_ready(&w->runner[i], "pj-runner", NULL, w->env, w->dir, tag, WORLD_SOON)) {
        PJ_CLEANUP(pj_freep) char *log = program_log(&w->runner[i]);

        cr_assert_fail("pj-runner did not start:\n%s", log);
    }
}

void world_stop(struct world *w)
{
    struct pj_err err = {0};

    for (size_t i = 0; i < WORLD_RUNNERS; i++)
        if (w->runner[i].pid > 0)
            cr_expect_eq(program_stop(&w->runner[i], SIGTERM, WORLD_SOON), 0, "runner's exit");
    world_assert_clean(w);
    if (w->api.pid > 0)
        cr_expect_eq(program_stop(&w->api, SIGTERM, WORLD_SOON), 0, "api's exit");
    for (size_t i = 0; i < WORLD_RUNNERS; i++)
        program_release(&w->runner[i]);
    program_release(&w->api);
    test_redis_stop(&w->redis);
    if (!getenv("PJ_TEST_KEEP"))
        cr_expect_eq(pj_fs_remove_tree(w->dir, &err), 0, "%s", err.message);
    for (size_t i = 0; i < w->env_count; i++)
        free(w->env[i]);
    free(w->base);
    free(w->dir);
    free(w->remotes);
    free(w->state);
}

char *world_logs(struct world *w)
{
    struct pj_str all;

    pj_str_init(&all, 64 << 20);
    PJ_CLEANUP(pj_freep) char *api = program_log(&w->api);
    pj_str_putf(&all, "---- pj-api\n%s", api);
    for (size_t i = 0; i < WORLD_RUNNERS; i++) {
        if (!w->runner[i].log_path)
            continue;
        PJ_CLEANUP(pj_freep) char *log = program_log(&w->runner[i]);
        pj_str_putf(&all, "---- runner-%zu\n%s", i, log);
    }
    return pj_str_take(&all);
}

/* ---- the API ---- */

json_t *world_call_as(struct world *w, const char *token, const char *method, const char *path,
                      const char *body, int status)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("/api/v1%s", path);
    struct http_answer a;

    http_try(w->base, method, full, token, body, NULL, &a);
    if (a.status != status) {
        PJ_CLEANUP(pj_freep) char *logs = world_logs(w);

        cr_assert_fail("%s %s: %d instead of %d: %s\n%s", method, path, a.status, status, a.body,
                       logs);
    }
    json_t *doc = json_incref(a.json);
    http_answer_release(&a);
    return doc;
}

json_t *world_call(struct world *w, const char *method, const char *path, const char *body,
                   int status)
{
    return world_call_as(w, WORLD_TOKEN, method, path, body, status);
}

/* POST a document that answers with an `id`. */
static char *post_for_id(struct world *w, const char *path, json_t *doc, const char *extra)
{
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
    size_t n = strlen(text);

    json_decref(doc);
    PJ_CLEANUP(pj_freep) char *body = pj_asprintf("%.*s%s}", (int)n - 1, text, extra);
    PJ_CLEANUP(pj_json_decrefp) json_t *made = world_call(w, "POST", path, body, 201);
    const char *id = pj_json_str(made, "id", NULL);

    cr_assert_not_null(id);
    return pj_strdup(id);
}

char *world_connect(struct world *w, const char *url, const char *extra)
{
    return post_for_id(w, "/repositories", json_pack("{s:s}", "url", url), extra);
}

char *world_task(struct world *w, const char *repository, const char *title,
                 const char *description, const char *extra)
{
    return post_for_id(w, "/tasks",
                       json_pack("{s:s, s:s, s:s}", "repositoryId", repository, "title", title,
                                 "description", description),
                       extra);
}

void world_execute(struct world *w, const char *task)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s/execute", task);

    json_decref(world_call(w, "POST", path, NULL, 202));
}

char *world_stream_path(const char *task)
{
    return pj_asprintf("/api/v1/tasks/%s/logs/stream", task);
}

/* Follow the stream to its end, or to an entry that holds `text`, when there is one to wait for. */
static void follow(struct world *w, const char *task, const char *text)
{
    PJ_CLEANUP(pj_freep) char *path = world_stream_path(task);
    struct sse_reader *r = sse_open(w->base, path, WORLD_TOKEN, NULL);
    int64_t until = pj_mono_ms() + WORLD_TASK, left;
    struct sse_event e;
    bool found = false, ended = false;
    int got = -1;

    while (!found && !ended && (left = until - pj_mono_ms()) > 0 &&
           (got = sse_next(r, &e, left < WORLD_SOON ? (int)left : WORLD_SOON)) == 1) {
        ended = strcmp(e.name, "end") == 0;
        found = text != NULL ? strstr(pj_json_str(e.json, "message", ""), text) != NULL : ended;
        sse_event_release(&e);
    }
    if (!found) {
        PJ_CLEANUP(pj_freep) char *logs = world_logs(w);

        cr_assert_fail("the stream of %s has not come to its %s (status %d, %s)\n%s", task,
                       text != NULL ? text : "end", sse_status(r),
                       ended      ? "ended"
                       : got == 0 ? "closed"
                       : got == 1 ? "without an end"
                                  : "silent",
                       logs);
    }
    sse_close(r);
}

json_t *world_wait_end(struct world *w, const char *task)
{
    PJ_CLEANUP(pj_freep) char *read = pj_asprintf("/tasks/%s", task);

    follow(w, task, NULL);
    return world_call(w, "GET", read, NULL, 200);
}

void world_wait_log(struct world *w, const char *task, const char *text)
{
    follow(w, task, text);
}

json_t *world_wait_status(struct world *w, const char *task, const char *status)
{
    json_t *doc = world_wait_end(w, task);

    if (strcmp(pj_json_str(doc, "status", ""), status) != 0) {
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
        PJ_CLEANUP(pj_json_decrefp) json_t *log = world_log(w, task);
        PJ_CLEANUP(pj_freep) char *lines = pj_json_text(log);
        PJ_CLEANUP(pj_freep) char *logs = world_logs(w);

        cr_assert_fail("task is not %s: %s\n%s\n%s", status, text, lines, logs);
    }
    return doc;
}

json_t *world_log(struct world *w, const char *task)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s/logs?limit=1000", task);
    PJ_CLEANUP(pj_json_decrefp) json_t *page = world_call(w, "GET", path, NULL, 200);

    return json_incref(json_object_get(page, "items"));
}

bool world_log_has(struct world *w, const char *task, const char *text)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *log = world_log(w, task);
    size_t i;
    json_t *entry;

    json_array_foreach(log, i, entry)
    {
        if (strstr(pj_json_str(entry, "message", ""), text))
            return true;
    }
    return false;
}

/* ---- nothing is left ---- */

static bool process_file_has(const char *pid, const char *file, const char *text, size_t n)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%s/%s", pid, file);
    PJ_CLEANUP(pj_str_release) struct pj_str content;
    struct pj_err err = {0};

    pj_str_init(&content, 4 << 20);
    return pj_fs_read(path, &content, &err) == 0 &&
           memmem(pj_str_cstr(&content), content.len, text, n) != NULL;
}

pid_t *world_jobs(const struct world *w, size_t *count)
{
    DIR *proc = opendir("/proc");
    pid_t *found = NULL;
    struct dirent *e;

    *count = 0;
    cr_assert_not_null(proc);
    while ((e = readdir(proc))) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9' ||
            !process_file_has(e->d_name, "cmdline", "\0job", 5) ||
            !process_file_has(e->d_name, "environ", w->dir, strlen(w->dir)))
            continue;
        found = pj_realloc(found, *count + 1, sizeof *found);
        found[(*count)++] = (pid_t)strtol(e->d_name, NULL, 10);
    }
    closedir(proc);
    return found;
}

static void assert_no_process(struct world *w)
{
    DIR *proc = opendir("/proc");
    struct dirent *e;

    cr_assert_not_null(proc);
    while ((e = readdir(proc)))
        if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
            cr_expect_not(process_file_has(e->d_name, "cmdline", w->state, strlen(w->state)),
                          "process %s of a box is left", e->d_name);
    closedir(proc);
}

static void assert_empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    while (dir && (e = readdir(dir)))
        cr_expect(e->d_name[0] == '.', "%s/%s is left", path, e->d_name);
    if (dir)
        closedir(dir);
}

void world_assert_clean(struct world *w)
{
    PJ_CLEANUP(pj_str_release) struct pj_str mounts;
    struct pj_err err = {0};

    pj_str_init(&mounts, 16 << 20);
    assert_no_process(w);
    for (size_t i = 0; i < WORLD_RUNNERS; i++) {
        PJ_CLEANUP(pj_freep) char *work = pj_asprintf("%s/runner-%zu/work", w->state, i);

        assert_empty(work);
    }
    cr_assert_eq(pj_fs_read("/proc/self/mountinfo", &mounts, &err), 0);
    cr_expect_null(strstr(pj_str_cstr(&mounts), w->state), "a mount of a box is left");
}
