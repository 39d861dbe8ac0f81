#include "tests/scenarios/rolling.h"

#include <signal.h>
#include <stdio.h>

/* One turn does it all, for every task alike; the command talks, so that there is something to miss. */
static const struct model_answer busy[] = {
    {.repeat = true,
     .text = "I do it.",
     .calls = {{"run", "{\"command\":\"i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); "
                       "done; echo done > done.txt\"}"},
               {"finish", "{\"summary\":\"Done.\"}"}}},
};

void rolling_use(const char *bin)
{
    static char *own;

    if (!own)
        own = pj_strdup(getenv("PJ_TEST_BIN"));
    cr_assert_eq(setenv("PJ_TEST_BIN", bin ? bin : own, 1), 0);
}

void rolling_assert_once(struct scene *s, const char *task)
{
    char *branch = scene_branch(task), *range = pj_asprintf("main..%s", branch);
    json_t *doc = world_wait_status(&s->w, task, "completed");
    char *commits = gitfix_run(s->remote, NULL, "rev-list", "--count", range, (const char *)NULL);

    cr_expect_str_eq(commits, "1\n");
    cr_expect_eq(pj_json_i64(doc, "attempt", 0), 1);
    json_decref(doc);
    free(commits);
    free(range);
    free(branch);
}

void rolling_assert_saw_all(struct scene *s, struct program *viewer, const char *task)
{
    json_t *log = world_log(&s->w, task);
    size_t seen = 0;

    cr_expect_eq(program_wait(viewer, WORLD_SOON), 0);
    char *out = program_log(viewer), *rest = NULL;
    for (char *line = strtok_r(out, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *entry = json_loads(line, 0, NULL);
        const char *want = pj_json_str(json_array_get(log, seen), "id", "nothing more");

        cr_expect_str_eq(pj_json_str(entry, "id", "no entry"), want, "entry %zu: %s", seen, line);
        seen++;
        json_decref(entry);
    }
    cr_expect_eq(seen, json_array_size(log), "saw %zu of %zu", seen, json_array_size(log));
    free(out);
    json_decref(log);
    program_release(viewer);
}

void rolling_start(struct rolling *r, const char *bin)
{
    struct scene *s = &r->s;

    scene_prepare(s, busy, 1);
    world_set(&s->w, "PJ_RUNNER_SLOTS", "2");
    rolling_use(bin);
    scene_open(s, ",\"codeRabbit\":\"off\"");
    world_runner_start(&s->w, 1);
    rolling_use(NULL);
    world_set(&s->w, "PJ_LISTEN", s->w.base + strlen("http://"));
    world_set(&s->w, "PJ_URL", s->w.base);
    world_set(&s->w, "PJ_TOKEN", WORLD_TOKEN);
    for (size_t i = 0; i < ROLLING_TASKS; i++)
        r->task[i] = scene_run(s, "Do it");
    for (size_t i = 0; i < ROLLING_VIEWERS; i++) {
        PJ_CLEANUP(pj_freep) char *tag = pj_asprintf("viewer-%zu", i);
        const char *const args[] = {"--json", "logs", "-f", r->task[i * 4 + 3], NULL};

        program_start(&r->viewer[i], "pj", args, s->w.env, s->w.dir, tag);
    }
    cr_assert(model_server_wait(s->model, 2, WORLD_SOON));
}

void rolling_api(struct rolling *r, const char *bin)
{
    struct world *w = &r->s.w;

    cr_expect_eq(program_stop(&w->api, SIGTERM, WORLD_SOON), 0);
    program_release(&w->api);
    rolling_use(bin);
    world_api_start(w);
    rolling_use(NULL);
}

void rolling_runner(struct rolling *r, size_t i, const char *bin)
{
    struct world *w = &r->s.w;

    cr_expect_eq(program_stop(&w->runner[i], SIGTERM, WORLD_SOON), 0, "drains and ends well");
    program_release(&w->runner[i]);
    rolling_use(bin);
    world_runner_start(w, i);
    rolling_use(NULL);
}

void rolling_end(struct rolling *r)
{
    for (size_t i = 0; i < ROLLING_TASKS; i++)
        rolling_assert_once(&r->s, r->task[i]);
    cr_expect_eq(model_server_count(r->s.model), ROLLING_TASKS, "each ran once");
    json_t *log = world_log(&r->s.w, r->task[3]);
    cr_expect_gt(json_array_size(log), 50, "there was something to miss");
    json_decref(log);
    for (size_t i = 0; i < ROLLING_VIEWERS; i++)
        rolling_assert_saw_all(&r->s, &r->viewer[i], r->task[i * 4 + 3]);
    for (size_t i = 0; i < ROLLING_TASKS; i++)
        free(r->task[i]);
    scene_stop(&r->s);
}
