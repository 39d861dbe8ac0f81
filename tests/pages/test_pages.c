/* The pages in a browser, over the real programs. Each test is one play of play.mjs; pictures of all land in the build folder, in pages/. */
#include <signal.h>
#include "lib/base/clock.h"
#include "lib/store/runners.h"
#include "tests/api/writer.h"
#include "tests/pages/stage.h"
#include "tests/scenarios/scene.h"

/* Generous, as every wait here: the longest play takes half a minute of a machine that has time. */
#define PLAY_SECONDS 400

/* Ends the test as skipped, aloud, where no browser is to be had. */
#define NEEDS_BROWSER                                                                              \
    do {                                                                                           \
        if (stage_missing() != NULL)                                                               \
            cr_skip_test("%s", stage_missing());                                                   \
    } while (0)

static void cue_release(void *ctx, const char *arg, struct pj_str *answer)
{
    (void)arg;
    (void)answer;
    model_server_release(((struct scene *)ctx)->model);
}

Test(pages, r4_1_a_task_goes_from_the_form_to_the_pull_request_with_its_log_growing)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo made part $i; done"),
        {.trouble = MODEL_GATE,
         .text = "I write the file.",
         .calls = {{"write_file", "{\"path\":\"docs/new.txt\",\"content\":\"made\\n\"}"}}},
        SCENE_FINISH,
    };
    static const struct stage_cue cues[] = {{"release", cue_release}, {NULL, NULL}};
    struct scene s;

    NEEDS_BROWSER;
    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    scene_open_forge(&s, ",\"checkCommand\":\"sh check.sh\",\"codeRabbit\":\"off\"");
    stage_play(&s.w, "create", json_object(), cues, &s, PLAY_SECONDS);
    json_t *pulls = forge_server_pulls(s.forge, "acme/project");
    cr_expect_eq(json_array_size(pulls), 1);
    json_decref(pulls);
    scene_stop(&s);
}

Test(pages, r2_3_a_question_stands_large_and_its_answer_sends_the_task_on)
{
    static const struct model_answer answers[] = {
        {.text = "I cannot know.",
         .calls = {{"ask_clarification",
                    "{\"question\":\"Which colour shall the bicycle shed have?\"}"}}},
        SCENE_WRITE("colour.txt", "teal\\n"),
        SCENE_FINISH,
    };
    struct scene s;

    NEEDS_BROWSER;
    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *task = scene_run(&s, "Paint the shed");
    json_decref(world_wait_status(&s.w, task, "needs_clarification"));
    stage_play(&s.w, "question", json_pack("{s:s}", "task", task), NULL, &s, PLAY_SECONDS);
    free(task);
    scene_stop(&s);
}

Test(pages, r3_2_a_patch_that_does_not_apply_is_shown_with_its_rejected_hunk)
{
#define DIFF(old)                                                                                  \
    "I change it.\n\n```diff\n--- a/src/main.py\n+++ b/src/main.py\n@@ -1,2 +1,2 @@\n "            \
    "def greet():\n-    return '" old "'\n+    return 'hello, world'\n```\n"
    static const struct model_answer answers[] = {
        {.status = 400,
         .body = "{\"error\":{\"message\":\"stand-in-model does not support tools\"}}",
         .when = "\"tools\""},
        {.text = DIFF("hello"), .when = "The file says hello."},
        {.text = DIFF("good morning"), .repeat = true},
    };
#undef DIFF
    struct scene s;

    NEEDS_BROWSER;
    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *task = scene_run(&s, "Greet the world");
    json_decref(world_wait_status(&s.w, task, "needs_review"));
    stage_play(&s.w, "failedPatch", json_pack("{s:s}", "task", task), NULL, &s, PLAY_SECONDS);
    free(task);
    scene_stop(&s);
}

Test(pages, tasks_are_retried_in_bulk_a_secret_is_made_anew_and_a_runner_is_sent_away)
{
    static const struct model_answer answers[] = {
        {.status = 401},
        {.status = 401},
        {.when = "\"tool_call_id\"",
         .repeat = true,
         .calls = {{"finish", "{\"summary\":\"Done.\"}"}}},
        {.repeat = true, .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
    };
    static const char *const ends[] = {"failed", "failed", "completed"};
    json_t *tasks = json_array();
    struct scene s;

    NEEDS_BROWSER;
    scene_start(&s, answers, PJ_COUNT_OF(answers));
    for (size_t i = 0; i < PJ_COUNT_OF(ends); i++) {
        PJ_CLEANUP(pj_freep) char *task = scene_run(&s, "Write a file");
        json_decref(world_wait_status(&s.w, task, ends[i]));
        json_array_append_new(tasks, json_string(task));
    }
    stage_play(&s.w, "operate", json_pack("{s:o, s:s}", "tasks", tasks, "repository", s.repo), NULL,
               &s, PLAY_SECONDS);
    scene_stop(&s);
}

/* ---- a log written by the test ---- */

struct plot {
    struct world w;
    struct writer wr;
    char *repository, *task;
    char *ann_token, *ann_repository;
};

static void plot_open(struct plot *p)
{
    memset(p, 0, sizeof *p);
    world_start(&p->w);
    world_set(&p->w, "PJ_RATE_LIMIT", "0");
    world_api_start(&p->w);
    p->repository = writer_repository(&p->w, "project");
    p->task = writer_task(&p->w, p->repository);
    writer_begin(&p->wr, &p->w, p->task);
}

static void plot_close(struct plot *p)
{
    writer_end(&p->wr);
    world_stop(&p->w);
    free(p->repository);
    free(p->task);
}

static void cue_write(void *ctx, const char *arg, struct pj_str *answer)
{
    struct plot *p = ctx;

    for (int64_t left = strtoll(arg, NULL, 10); left > 0; left -= 50)
        writer_append(&p->wr, left < 50 ? left : 50, 60);
    (void)answer;
}

static void cue_stop(void *ctx, const char *arg, struct pj_str *answer)
{
    struct plot *p = ctx;
    const char *address = p->w.base + strlen("http://");

    (void)arg;
    (void)answer;
    world_set(&p->w, "PJ_LISTEN", address); /* it comes back at the same place */
    cr_assert_eq(program_stop(&p->w.api, SIGKILL, WORLD_SOON), 128 + SIGKILL);
    program_release(&p->w.api);
}

static void cue_start(void *ctx, const char *arg, struct pj_str *answer)
{
    (void)arg;
    (void)answer;
    world_api_start(&((struct plot *)ctx)->w);
}

static void cue_finish(void *ctx, const char *arg, struct pj_str *answer)
{
    (void)arg;
    (void)answer;
    writer_finish(&((struct plot *)ctx)->wr, NULL, NULL);
}

Test(pages, r6_1_the_server_restarts_and_no_line_is_lost_or_doubled)
{
    static const struct stage_cue cues[] = {{"write", cue_write},
                                            {"stop", cue_stop},
                                            {"start", cue_start},
                                            {"finish", cue_finish},
                                            {NULL, NULL}};
    struct plot p;

    NEEDS_BROWSER;
    plot_open(&p);
    stage_play(&p.w, "reconnect", json_pack("{s:s}", "task", p.task), cues, &p, PLAY_SECONDS);
    plot_close(&p);
}

static json_t *made_user(struct world *w, const char *email)
{
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"email\":\"%s\",\"role\":\"user\"}", email);

    return world_call(w, "POST", "/users", body, 201);
}

/* A user with a repository of that name and a task in it: what the play is told of him. */
static json_t *stranger(struct world *w, const char *name)
{
    static const struct gitfix_file files[] = {{"README", "hello\n", false}};
    PJ_CLEANUP(pj_freep) char *email = pj_asprintf("%s@example.org", name);
    PJ_CLEANUP(pj_freep) char *remote = pj_asprintf("%s-secret", name);
    PJ_CLEANUP(pj_freep) char *title = pj_asprintf("The secret of %s", name);
    PJ_CLEANUP(pj_freep) char *bare = gitfix_bare(w->remotes, remote, files, 1);
    PJ_CLEANUP(pj_json_decrefp) json_t *user = made_user(w, email);
    const char *token = pj_json_str(user, "token", "");
    PJ_CLEANUP(pj_freep) char *connect = pj_asprintf("{\"url\":\"%s\"}", bare);
    PJ_CLEANUP(pj_json_decrefp)
    json_t *repository = world_call_as(w, token, "POST", "/repositories", connect, 201);
    PJ_CLEANUP(pj_freep)
    char *create =
        pj_asprintf("{\"repositoryId\":\"%s\",\"title\":\"%s\",\"description\":\"secret\"}",
                    pj_json_str(repository, "id", ""), title);
    PJ_CLEANUP(pj_json_decrefp)
    json_t *task = world_call_as(w, token, "POST", "/tasks", create, 201);

    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "token", token, "repository",
                     pj_json_str(repository, "id", ""), "repositoryName",
                     pj_json_str(repository, "name", ""), "task", pj_json_str(task, "id", ""),
                     "title", title);
}

static void cue_ann_task(void *ctx, const char *arg, struct pj_str *answer)
{
    struct plot *p = ctx;
    PJ_CLEANUP(pj_freep)
    char *create = pj_asprintf("{\"repositoryId\":\"%s\",\"title\":\"Another one\","
                               "\"description\":\"more\",\"execute\":true}",
                               p->ann_repository);

    (void)arg;
    (void)answer;
    json_decref(world_call_as(&p->w, p->ann_token, "POST", "/tasks", create, 201));
}

Test(pages, two_users_do_not_see_each_other)
{
    static const struct stage_cue cues[] = {{"annTask", cue_ann_task}, {NULL, NULL}};
    struct plot p = {0};

    NEEDS_BROWSER;
    world_start(&p.w);
    world_api_start(&p.w);
    json_t *ann = stranger(&p.w, "ann"), *bob = stranger(&p.w, "bob");
    p.ann_token = pj_strdup(pj_json_str(ann, "token", ""));
    p.ann_repository = pj_strdup(pj_json_str(ann, "repository", ""));
    stage_play(&p.w, "strangers", json_pack("{s:o, s:o}", "ann", ann, "bob", bob), cues, &p,
               PLAY_SECONDS);
    free(p.ann_token);
    free(p.ann_repository);
    world_stop(&p.w);
}

Test(pages, keys_alone_are_enough)
{
    struct plot p;

    NEEDS_BROWSER;
    plot_open(&p);
    writer_append(&p.wr, 60, 30);
    writer_finish(&p.wr, NULL, NULL);
    stage_play(&p.w, "keyboard", json_pack("{s:s}", "task", p.task), NULL, &p, PLAY_SECONDS);
    plot_close(&p);
}

/* ---- every page ---- */

static const char patch[] =
    "diff --git a/src/main.py b/src/main.py\n--- a/src/main.py\n+++ b/src/main.py\n"
    "@@ -1,3 +1,4 @@\n def greet():\n-    return 'hello'\n+    name = 'world'\n+    return 'hello, "
    "' + name\n # end\n"
    "diff --git a/docs/new.txt b/docs/new.txt\nnew file mode 100644\n--- /dev/null\n"
    "+++ b/docs/new.txt\n@@ -0,0 +1 @@\n+made\n\\ No newline at end of file\n";

/* A task that ended so, or still runs when code is NULL; its id joins `tasks` under `name`. */
static void play_task(struct world *w, const char *repository, json_t *tasks, const char *name,
                      const char *code)
{
    struct writer wr = {0};
    PJ_CLEANUP(pj_freep) char *task = writer_task(w, repository);

    writer_begin(&wr, w, task);
    writer_stage(&wr, "generating");
    writer_append(&wr, 30, 70);
    writer_say(&wr, "\033[1;31mred\033[0m and \033[32mgreen\033[0m \033[7mreversed\033[0m");
    if (code != NULL)
        writer_finish(&wr, code, strcmp(name, "needs_review") == 0 ? patch : NULL);
    writer_end(&wr);
    json_object_set_new(tasks, name, json_string(task));
}

static void busy_runner(struct world *w)
{
    const struct pj_runner_beat beat = {.name = "runner-a",
                                        .instance = "1",
                                        .version = "0.1.0",
                                        .isolation = "user mount pid net seccomp",
                                        .state = "ready",
                                        .slots = 2,
                                        .busy = 2,
                                        .started_ms = pj_now_ms()};
    const struct pj_redis_options options = {.url = w->redis.url};
    struct pj_redis *redis = NULL;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err;

    cr_assert_eq(pj_redis_new(&options, &redis, &err), 0, "%s", err.message);
    pj_runner_beat_cmd(&cmd, &beat);
    cr_assert_eq(pj_redis_do(redis, &cmd, &reply, &err), 0, "%s", err.message);
    pj_redis_free(redis);
}

Test(pages, axe_finds_nothing_on_any_page_and_pictures_are_kept)
{
    struct plot p = {0};
    json_t *tasks = json_object();

    NEEDS_BROWSER;
    world_start(&p.w);
    world_set(&p.w, "PJ_RATE_LIMIT", "0");
    world_api_start(&p.w);
    p.repository = writer_repository(&p.w, "project");
    busy_runner(&p.w);
    play_task(&p.w, p.repository, tasks, "failed", "llm_auth");
    play_task(&p.w, p.repository, tasks, "needs_review", "patch_conflict");
    play_task(&p.w, p.repository, tasks, "needs_clarification", "needs_clarification");
    play_task(&p.w, p.repository, tasks, "running", NULL);
    p.task = writer_task(&p.w, p.repository);
    json_object_set_new(tasks, "waiting", json_string(p.task));
    PJ_CLEANUP(pj_freep) char *analysis = pj_asprintf("/repositories/%s/analysis", p.repository);
    json_decref(world_call(
        &p.w, "PUT", analysis,
        "{\"source\":\"coderabbit\",\"findings\":[{\"path\":\"src/main.py\",\"line\":2,"
        "\"severity\":\"high\",\"title\":\"No type\",\"detail\":\"Say what it returns.\"}]}",
        200));
    stage_play(&p.w, "everyPage",
               json_pack("{s:o, s:s}", "tasks", tasks, "repository", p.repository), NULL, &p,
               PLAY_SECONDS);
    plot_close(&p);
}

Test(pages, r11_3_the_charts_show_the_numbers_of_the_api)
{
    static const struct model_answer answers[] = {
        SCENE_WRITE("docs/new.txt", "made\\n"),
        SCENE_FINISH,
        {.repeat = true,
         .text = "Nothing to do.",
         .calls = {{"finish", "{\"summary\":\"-\",\"no_changes_reason\":\"It is done.\"}"}}},
    };
    struct scene s;

    NEEDS_BROWSER;
    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *good = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, good, "completed"));
    char *bad = scene_run(&s, "Do nothing");
    json_decref(world_wait_status(&s.w, bad, "failed"));
    stage_play(&s.w, "analytics", json_object(), NULL, &s, PLAY_SECONDS);
    free(good);
    free(bad);
    scene_stop(&s);
}

Test(pages, the_first_run_leads_from_the_set_up_token_to_a_repository)
{
    static const struct gitfix_file files[] = {{"README", "hello\n", false}};
    struct plot p = {0};

    NEEDS_BROWSER;
    world_start(&p.w);
    world_api_start(&p.w);
    PJ_CLEANUP(pj_freep) char *bare = gitfix_bare(p.w.remotes, "first", files, 1);
    stage_play(&p.w, "firstRun", json_pack("{s:s}", "remote", bare), NULL, &p, PLAY_SECONDS);
    world_stop(&p.w);
}

Test(pages, the_javascript_is_small)
{
    struct world w;

    NEEDS_BROWSER;
    world_start(&w);
    world_api_start(&w);
    stage_play(&w, "weight", json_object(), NULL, NULL, PLAY_SECONDS);
    world_stop(&w);
}

/* ---- the log viewer ---- */

Test(pages, r6_3_the_log_is_searched_filtered_folded_linked_and_taken_away)
{
    struct plot p;
    PJ_CLEANUP(pj_freep) char *wide = pj_alloc(20001, 1);

    NEEDS_BROWSER;
    plot_open(&p);
    memset(wide, 'w', 20000);
    writer_say(&p.wr, "\033[1;31min red\033[0m");
    writer_say(&p.wr, "\033[38;2;1;200;3mtrue colour\033[0m\033]0;a title\a\033[2K");
    writer_say(&p.wr, "50 %\r100 %");
    writer_say(&p.wr, wide);
    writer_say_error(&p.wr, "an error, and a needle");
    writer_append(&p.wr, 1500, 300);
    writer_say_error(&p.wr, "another needle");
    writer_append(&p.wr, 1000, 40);
    writer_say(&p.wr, "the last needle");
    writer_append(&p.wr, 500, 40);
    writer_finish(&p.wr, NULL, NULL);
    stage_play(&p.w, "viewer", json_pack("{s:s, s:I}", "task", p.task, "lines", (json_int_t)p.wr.n),
               NULL, &p, PLAY_SECONDS);
    plot_close(&p);
}

Test(pages, r6_3_a_log_of_100000_lines_is_scrolled_without_lag)
{
    struct plot p;

    NEEDS_BROWSER;
    plot_open(&p);
    for (int i = 0; i < 100; i++)
        writer_append(&p.wr, 1000, 80);
    writer_finish(&p.wr, NULL, NULL);
    stage_play(&p.w, "large", json_pack("{s:s, s:I}", "task", p.task, "lines", (json_int_t)p.wr.n),
               NULL, &p, PLAY_SECONDS);
    plot_close(&p);
}
