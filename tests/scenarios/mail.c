/* Mails, taken by a real mail server with TLS and passwords; what is owed and what was given up, as the administrator sees it. */
#include <signal.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "tests/scenarios/scene.h"

#define PYTHON "/usr/bin/python3"
#define GIVE_UP_MS ((int64_t)3 * 24 * 3600 * 1000)

struct post {
    struct program server;
    char *folder;
};

/* The server of tests/support/mail_server.py, in that mode; the runner is told of it, with that password. */
static void open_post(struct scene *s, struct post *post, const char *mode, const char *password)
{
    PJ_CLEANUP(pj_freep)
    char *script = pj_asprintf("%s/tests/support/mail_server.py", PJ_SOURCE_DIR);
    PJ_CLEANUP(pj_freep) char *url = NULL;
    PJ_CLEANUP(pj_freep) char *ca = NULL;
    struct pj_err err = {0};

    post->folder = pj_asprintf("%s/post", s->w.dir);
    cr_assert_eq(pj_fs_mkdirs(post->folder, 0700, &err), 0, "%s", err.message);
    const char *const args[] = {script, post->folder, mode, NULL};
    if (!program_start_ready(&post->server, PYTHON, args, s->w.env, s->w.dir, "mail", WORLD_SOON)) {
        PJ_CLEANUP(pj_freep) char *log = program_log(&post->server);

        cr_assert_fail("the mail server did not start: %s", log);
    }
    url = pj_asprintf("%s://127.0.0.1:%s", strcmp(mode, "smtps") == 0 ? "smtps" : "smtp",
                      post->server.ready);
    ca = pj_asprintf("%s/ca.pem", post->folder);
    world_set(&s->w, "PJ_SMTP_URL", url);
    world_set(&s->w, "PJ_SMTP_TLS", "required");
    world_set(&s->w, "PJ_SMTP_USER", password ? "pj" : NULL);
    world_set(&s->w, "PJ_SMTP_PASSWORD", password);
    world_set(&s->w, "PJ_MAIL_FROM", "Pithy Jaunt <pj@example.org>");
    world_set(&s->w, "PJ_CA_FILE", ca);
}

static void close_post(struct post *post)
{
    (void)program_stop(&post->server, SIGTERM, WORLD_SOON);
    program_release(&post->server);
    free(post->folder);
}

/* The one record that is owed for the task, once it is in that state with an error that holds `cause` (NULL: none). */
static json_t *await_record(struct scene *s, const char *task, const char *state, const char *cause)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/admin/outbox?taskId=%s", task);
    int64_t until = pj_mono_ms() + WORLD_SOON;

    for (;;) {
        PJ_CLEANUP(pj_json_decrefp) json_t *list = world_call(&s->w, "GET", path, NULL, 200);
        json_t *items = json_object_get(list, "items"), *record = json_array_get(items, 0);
        const char *error = pj_json_str(record, "lastError", "");

        if (json_array_size(items) == 1 && strcmp(pj_json_str(record, "state", ""), state) == 0 &&
            (!cause || strstr(error, cause)))
            return json_incref(record);
        if (pj_mono_ms() > until) {
            PJ_CLEANUP(pj_freep) char *text = pj_json_text(list);

            cr_assert_fail("never %s: %s", state, text);
        }
        (void)model_server_wait(s->model, model_server_count(s->model) + 1, 100);
    }
}

/* Mail number n: over TLS, as the user, to the owner, with both parts; each text must be in both. */
static void check_mail(struct post *post, size_t n, const char *subject, const char *const *texts)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/mail-%zu.json", post->folder, n);
    PJ_CLEANUP(pj_json_decrefp) json_t *mail = json_load_file(path, 0, NULL);
    const json_t *parts = json_object_get(mail, "parts");
    const char *plain = pj_json_str(parts, "text/plain", ""),
               *html = pj_json_str(parts, "text/html", "");

    cr_assert_not_null(mail, "%s", path);
    cr_expect(json_is_true(json_object_get(mail, "tls")), "mail %zu came in the clear", n);
    cr_expect_str_eq(pj_json_str(mail, "user", ""), "pj");
    cr_expect_str_eq(pj_json_str(mail, "from", ""), "pj@example.org");
    cr_expect_str_eq(json_string_value(json_array_get(json_object_get(mail, "to"), 0)),
                     "admin@example.org");
    cr_expect_str_eq(pj_json_str(mail, "subject", ""), subject);
    cr_expect_not_null(strstr(html, "<html"), "%s", html);
    for (size_t i = 0; texts[i]; i++) {
        cr_expect_not_null(strstr(plain, texts[i]), "plain, %s: %s", texts[i], plain);
        cr_expect_not_null(strstr(html, texts[i]), "HTML, %s: %s", texts[i], html);
    }
}

Test(mail, r5_1_every_end_is_told_by_starttls_with_what_to_do_next)
{
    static const struct model_answer answers[] = {
        SCENE_WRITE("new.txt", "x\\n"),
        SCENE_FINISH,
        {.text = "Nothing to do.",
         .calls = {{"finish", "{\"summary\":\"-\",\"no_changes_reason\":\"It is done.\"}"}}},
        SCENE_WRITE(".github/workflows/ci.yml", "on: push\\n"),
        SCENE_FINISH,
        {.text = "I cannot know.",
         .calls = {{"ask_clarification", "{\"question\":\"Which colour shall it have?\"}"}}},
    };
    static const struct {
        const char *title, *status, *subject;
        const char *texts[4];
    } ends[] = {
        {"Write a file",
         "completed",
         "Done: Write a file",
         {"Your task is done", "What to do next: review", "Branch: pj/", NULL}},
        {"Do nothing",
         "failed",
         "Failed: Do nothing",
         {"Your task failed", "What to do next: ", "/tasks/", NULL}},
        {"Change a workflow",
         "needs_review",
         "Needs your review: Change a workflow",
         {"What to do next: ", "publish it as it is or retry", "/tasks/", NULL}},
        {"Paint it",
         "needs_clarification",
         "A question about: Paint it",
         {"Which colour shall it have?", "What to do next: answer it", "/tasks/", NULL}},
    };
    struct post post;
    struct scene s;

    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    open_post(&s, &post, "starttls", "open-sesame");
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    for (size_t i = 0; i < PJ_COUNT_OF(ends); i++) {
        PJ_CLEANUP(pj_freep) char *task = scene_run(&s, ends[i].title);

        json_decref(world_wait_status(&s.w, task, ends[i].status));
        PJ_CLEANUP(pj_json_decrefp) json_t *record = await_record(&s, task, "sent", NULL);

        cr_expect_str_eq(pj_json_str(record, "to", ""), "admin@example.org");
        cr_expect_str_eq(pj_json_str(record, "template", ""), ends[i].status);
        check_mail(&post, i + 1, ends[i].subject, ends[i].texts);
    }
    scene_stop(&s);
    close_post(&post);
}

static const struct model_answer nothing[] = {
    {.repeat = true, .text = "Done.", .calls = {{"finish", "{\"summary\":\"Nothing.\"}"}}}};

Test(mail, r5_2_smtps_is_spoken_from_the_first_byte)
{
    static const char *const texts[] = {"Your task failed", "What to do next: ", NULL};
    struct post post;
    struct scene s;

    scene_prepare(&s, nothing, 1);
    open_post(&s, &post, "smtps", "open-sesame");
    scene_open(&s, "");
    PJ_CLEANUP(pj_freep) char *task = scene_run(&s, "Do nothing");
    json_decref(world_wait_status(&s.w, task, "failed"));
    json_decref(await_record(&s, task, "sent", NULL));
    check_mail(&post, 1, "Failed: Do nothing", texts);
    scene_stop(&s);
    close_post(&post);
}

/* The record is three days old: the clock is moved, in Redis. */
static void make_old(struct scene *s, const char *record)
{
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = test_redis_connect(&s->w.redis);
    PJ_CLEANUP(pj_freep) char *key = pj_asprintf("pj:{p0}:ob:%s", record);
    PJ_CLEANUP(pj_freep) char *then = pj_asprintf("%lld", (long long)(pj_now_ms() - GIVE_UP_MS));
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *had = test_redis_words(redis, "HGET", key, "created", NULL);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *set = test_redis_words(redis, "HSET", key, "created", then, NULL);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *due = test_redis_words(redis, "ZADD", "pj:{p0}:ob:due", "1", record, NULL);

    cr_assert_gt(pj_reply_view(had).n, 0, "%s", key);
}

/* Tried again and again, given up after three days; seen by the administrator all the while. */
static void is_given_up(const char *mode, const char *password, const char *cause)
{
    struct post post;
    struct scene s;

    scene_prepare(&s, nothing, 1);
    open_post(&s, &post, mode, password);
    scene_open(&s, "");
    PJ_CLEANUP(pj_freep) char *task = scene_run(&s, "Do nothing");
    json_decref(world_wait_status(&s.w, task, "failed"));
    PJ_CLEANUP(pj_json_decrefp) json_t *owed = await_record(&s, task, "pending", cause);
    const char *id = pj_json_str(owed, "id", "");

    cr_expect_geq(pj_json_i64(owed, "attempts", 0), 1);
    make_old(&s, id);
    PJ_CLEANUP(pj_json_decrefp) json_t *given_up = await_record(&s, task, "failed", cause);
    cr_expect_str_eq(pj_json_str(given_up, "id", ""), id, "its id stays");
    cr_expect_gt(pj_json_i64(given_up, "attempts", 0), pj_json_i64(owed, "attempts", 0));
    PJ_CLEANUP(pj_freep) char *mail = pj_asprintf("%s/mail-1.json", post.folder);
    cr_expect_neq(access(mail, F_OK), 0, "a mail went out");
    scene_stop(&s);
    close_post(&post);
}

Test(mail, a_server_that_refuses_the_password_is_tried_for_three_days)
{
    is_given_up("starttls", "wrong", "does not accept user and password");
}

Test(mail, nothing_goes_out_in_the_clear_where_tls_is_required)
{
    is_given_up("plain", NULL, "STARTTLS");
}
