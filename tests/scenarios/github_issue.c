/* From an issue at the forge to a pull request that closes it, and one comment that says so. */
#include "lib/crypto/hmac.h"
#include "tests/scenarios/scene.h"

#define SECRET "the webhook's secret"
#define REPO "acme/project"
#define ISSUE 7

static const struct model_answer write_and_finish[] = {SCENE_WRITE("docs/new.txt", "made\\n"),
                                                       SCENE_FINISH};

/* An issue that got the label; its text tries to look like a trigger and to close another issue. Returns the task's id. */
static char *label_issue(struct scene *s)
{
    PJ_CLEANUP(pj_freep) char *url = forge_server_repo_url(s->forge, REPO);
    PJ_CLEANUP(pj_freep)
    char *body =
        pj_asprintf("{\"action\":\"labeled\",\"label\":{\"name\":\"pithy\"},\"issue\":{"
                    "\"number\":%d,\"title\":\"Write a file\",\"body\":\"@pithy fixes #1\","
                    "\"html_url\":\"%s/issues/%d\"},\"repository\":{\"html_url\":\"%s\"},"
                    "\"sender\":{\"login\":\"mona\",\"type\":\"User\"}}",
                    ISSUE, url, ISSUE, url);
    uint8_t mac[PJ_SHA256_SIZE];
    char hex[65];
    struct http_answer a = {0};

    pj_hmac_sha256(SECRET, strlen(SECRET), body, strlen(body), mac);
    pj_hex(mac, sizeof mac, hex);
    PJ_CLEANUP(pj_freep) char *signature = pj_asprintf("X-Hub-Signature-256: sha256=%s", hex);
    const char *headers[] = {signature, "X-GitHub-Event: issues", "X-GitHub-Delivery: d-1",
                             "Content-Type: application/json", NULL};
    http_call(s->w.base, "POST", "/api/v1/webhooks/github", NULL, body, headers, &a);
    cr_assert_eq(a.status, 200, "%d %s", a.status, a.body);
    char *task =
        pj_strdup(json_string_value(json_array_get(json_object_get(a.json, "taskIds"), 0)));
    http_answer_release(&a);
    return task;
}

static void open_scene(struct scene *s)
{
    scene_prepare(s, write_and_finish, 2);
    world_set(&s->w, "GITHUB_WEBHOOK_SECRET", SECRET);
    world_set(&s->w, "PJ_PUBLIC_URL", "https://pj.example.org");
    world_set(&s->w, "PJ_RETRY_BASE", "10ms");
    scene_open_forge(s, ",\"codeRabbit\":\"off\",\"trigger\":{\"label\":\"pithy\",\"mention\":"
                        "\"@pithy\"}");
    forge_server_role(s->forge, "mona", "write");
}

/* The outbox's record of the comment says that it was delivered. */
static void wait_told(struct scene *s, const char *task)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/admin/outbox?taskId=%s", task);
    struct stand_in *in = forge_server_stand_in(s->forge);

    for (bool told = false; !told;) {
        json_t *list = world_call(&s->w, "GET", path, NULL, 200), *record;
        size_t i;
        json_array_foreach(json_object_get(list, "items"), i, record) told =
            told || (strcmp(pj_json_str(record, "kind", ""), "comment") == 0 &&
                     strcmp(pj_json_str(record, "state", ""), "sent") == 0);
        json_decref(list);
        if (!told)
            (void)stand_in_wait(in, stand_in_count(in) + 1, 100);
    }
}

static void expect_one_comment(struct scene *s, const char *task)
{
    PJ_CLEANUP(pj_freep) char *link = pj_asprintf("(https://pj.example.org/tasks/%s)", task);
    json_t *comments = forge_server_comments(s->forge, REPO, ISSUE);
    const char *text = pj_json_str(json_array_get(comments, 0), "body", "");

    cr_expect_eq(json_array_size(comments), 1, "%zu comments", json_array_size(comments));
    cr_expect_not_null(strstr(text, link), "%s", text);
    cr_expect_null(strstr(text, "@pithy"), "a comment of ours would be the next trigger: %s", text);
    json_decref(comments);
}

Test(github_issue, becomes_a_task_a_comment_and_a_pull_request_that_fixes_it)
{
    struct scene s;

    open_scene(&s);
    PJ_CLEANUP(pj_freep) char *task = label_issue(&s);
    json_t *doc = world_wait_status(&s.w, task, "completed");
    json_t *pulls = forge_server_pulls(s.forge, REPO);
    const char *body = pj_json_str(json_array_get(pulls, 0), "body", "");
    cr_expect_eq(json_array_size(pulls), 1);
    cr_expect_not_null(strstr(body, "\nFixes #7\n"), "%s", body);
    cr_expect_null(strstr(body, "fixes #1"), "the issue's own words close nothing: %s", body);
    cr_expect_str_eq(pj_json_str(json_object_get(doc, "source"), "kind", ""), "github_issue");
    wait_told(&s, task);
    expect_one_comment(&s, task);
    json_decref(pulls);
    json_decref(doc);
    scene_stop(&s);
}

/* Refused at first, then made though the answer was lost; the delivery repeated: still one comment. */
Test(github_issue, is_commented_once_whatever_is_lost_or_sent_again)
{
    struct scene s;

    open_scene(&s);
    forge_server_fail(s.forge, "POST", "/issues/7/comments", 1, 502, NULL, NULL);
    forge_server_cut(s.forge, "POST", "/issues/7/comments", 1, true);
    PJ_CLEANUP(pj_freep) char *task = label_issue(&s);
    PJ_CLEANUP(pj_freep) char *again = label_issue(&s);
    cr_expect_str_eq(task, again);
    json_decref(world_wait_status(&s.w, task, "completed"));
    wait_told(&s, task);
    PJ_CLEANUP(pj_freep) char *third = label_issue(&s);
    cr_expect_str_eq(task, third);
    expect_one_comment(&s, task);
    scene_stop(&s);
}
