/* R3.1, also: the job process killed between any two steps of publishing, by real programs. The forge stops at one of its calls,
 * before or after it was carried out; the job waits for the answer and is killed there. PJ_CRASH_ROUNDS sets how often each point
 * is tried (1). */
#include <signal.h>
#include "lib/base/view.h"
#include "tests/scenarios/scene.h"

/* One turn, so that each delivery may ask in any order. */
static const struct model_answer answers[] = {
    {.repeat = true,
     .text = "I write the file.",
     .calls = {{"write_file", "{\"path\":\"docs/new.txt\",\"content\":\"made\\n\"}"},
               {"finish", "{\"summary\":\"Written.\"}"}}},
};

static const struct point {
    const char *method, *part;
    bool after;
} points[] = {
    {"GET", "service=git-receive-pack", false}, /* the commit is on record, nothing is pushed */
    {"POST", "/git-receive-pack", false},
    {"POST", "/git-receive-pack", true}, /* pushed, and the job does not know */
    {"GET", "/pulls", false},
    {"POST", "/pulls", false},
    {"POST", "/pulls", true}, /* opened, and the job does not know */
    {"POST", "/labels", false},
    {"POST", "/labels", true},
    {"GET", "/comments", false},
    {"POST", "/comments", false},
    {"POST", "/comments", true}, /* all is done but the report */
};

static void kill_job(struct scene *s)
{
    size_t count = 0;
    pid_t *jobs = world_jobs(&s->w, &count);

    cr_assert_eq(count, 1U, "%zu jobs at work", count);
    cr_assert_eq(kill(jobs[0], SIGKILL), 0);
    free(jobs);
}

static void stop_at(struct scene *s, const struct point *p)
{
    forge_server_stall(s->forge, p->method, p->part, p->after);
}

static void assert_stopped(struct scene *s, const struct point *p)
{
    cr_assert(forge_server_stalled(s->forge, WORLD_SOON), "%s %s was not asked for", p->method,
              p->part);
}

/* One pull request from the task's branch, with one comment and its label; the branch is one commit ahead. */
static void assert_published_once(struct scene *s, const char *task, const struct point *p)
{
    json_t *pulls = forge_server_pulls(s->forge, "acme/project"), *pull;
    char *branch = scene_branch(task), *parent_spec = pj_asprintf("%s~1", branch);
    char *parent = gitfix_rev(s->remote, parent_spec),
         *base = gitfix_rev(s->remote, "refs/heads/main");
    size_t i, found = 0;

    json_array_foreach(pulls, i, pull)
    {
        if (strcmp(pj_json_str(json_object_get(pull, "head"), "ref", ""), branch) != 0)
            continue;
        found++;
        json_t *comments =
            forge_server_comments(s->forge, "acme/project", (int)pj_json_i64(pull, "number", 0));
        cr_expect_eq(json_array_size(comments), 1U, "%s %s", p->method, p->part);
        json_decref(comments);
        cr_expect_eq(json_array_size(json_object_get(pull, "labels")), 1U);
    }
    cr_expect_eq(found, 1U, "%s %s %d: %zu pull requests", p->method, p->part, p->after, found);
    cr_expect_str_eq(parent, base);
    free(parent);
    free(base);
    free(parent_spec);
    free(branch);
    json_decref(pulls);
}

static void killed_at(struct scene *s, const struct point *p)
{
    stop_at(s, p);
    char *task = scene_run(s, "Write a file");
    assert_stopped(s, p);
    kill_job(s);
    json_t *doc = world_wait_status(&s->w, task, "completed");
    cr_expect_not_null(json_string_value(json_object_get(doc, "prUrl")));
    cr_expect_str_eq(pj_json_str(json_object_get(doc, "pr"), "state", ""), "open");
    assert_published_once(s, task, p);
    json_decref(doc);
    free(task);
}

Test(r3_killed, r3_1_a_job_that_is_killed_between_any_two_steps_publishes_once)
{
    const char *setting = getenv("PJ_CRASH_ROUNDS");
    uint64_t rounds = 1;
    struct scene s;

    if (setting != NULL)
        cr_assert_eq(pj_parse_u64(pj_view_of(setting), &rounds), 0);
    scene_prepare(&s, answers, 1);
    scene_open_forge(&s, ",\"publish\":{\"labels\":[\"bot\"]}");
    for (uint64_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < PJ_COUNT_OF(points); i++)
            killed_at(&s, &points[i]);
    json_t *pulls = forge_server_pulls(s.forge, "acme/project");
    cr_expect_eq(json_array_size(pulls), rounds * PJ_COUNT_OF(points), "one a task");
    json_decref(pulls);
    scene_stop(&s);
}

/* Killed twice, and the model says something else each time: what of the branch is ours is remembered over all deliveries. */
Test(r3_killed,
     r3_1_killed_twice_with_another_change_each_time_no_commit_of_ours_is_taken_for_a_strangers)
{
    static const struct model_answer three[] = {
        {.text = "1",
         .calls = {{"write_file", "{\"path\":\"docs/new.txt\",\"content\":\"one\\n\"}"},
                   {"finish", "{\"summary\":\"Written.\"}"}}},
        {.text = "2",
         .calls = {{"write_file", "{\"path\":\"docs/new.txt\",\"content\":\"two\\n\"}"},
                   {"finish", "{\"summary\":\"Written.\"}"}}},
        {.text = "3",
         .calls = {{"write_file", "{\"path\":\"docs/new.txt\",\"content\":\"three\\n\"}"},
                   {"finish", "{\"summary\":\"Written.\"}"}}},
    };
    static const struct point pushed = {"GET", "/pulls", false};
    static const struct point committed = {"GET", "service=git-receive-pack", false};
    struct scene s;

    scene_prepare(&s, three, 3);
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    stop_at(&s, &pushed);
    char *task = scene_run(&s, "Write a file");
    assert_stopped(&s, &pushed);
    stop_at(&s, &committed);
    kill_job(&s);
    assert_stopped(&s, &committed);
    kill_job(&s);
    json_decref(world_wait_status(&s.w, task, "completed"));
    char *branch = scene_branch(task), *spec = pj_asprintf("%s:docs/new.txt", branch);
    char *content = gitfix_show(s.remote, spec);
    cr_expect_str_eq(content, "three\n");
    free(content);
    free(spec);
    free(branch);
    free(task);
    scene_stop(&s);
}
