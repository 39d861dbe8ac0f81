/* R11.3: what an administrator sees. */
#include "tests/scenarios/scene.h"

Test(r11, r11_3_tokens_cost_rates_and_times_are_shown)
{
    static const struct model_answer answers[] = {
        {.when = "good",
         .text = "I write.",
         .prompt_tokens = 2000,
         .completion_tokens = 300,
         .cached_tokens = 500,
         .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"},
                   {"finish", "{\"summary\":\"Done.\"}"}}},
        {.when = "bad", .status = 401, .repeat = true},
    };
    struct scene s;
    struct http_answer a;

    scene_start(&s, answers, PJ_COUNT_OF(answers));
    char *good = world_task(&s.w, s.repo, "One", "This is the good task.", "");
    char *bad = world_task(&s.w, s.repo, "Two", "This is the bad task.", "");
    world_execute(&s.w, good);
    json_decref(world_wait_status(&s.w, good, "completed"));
    world_execute(&s.w, bad);
    json_decref(world_wait_status(&s.w, bad, "failed"));

    json_t *doc = world_call(&s.w, "GET", "/admin/analytics?bucket=day", NULL, 200);
    const json_t *totals = json_object_get(doc, "totals"),
                 *tokens = json_object_get(totals, "tokens");
    char *text = pj_json_text(doc);
    cr_expect_eq(pj_json_i64(json_object_get(totals, "tasks"), "completed", 0), 1, "%s", text);
    cr_expect_eq(pj_json_i64(json_object_get(totals, "tasks"), "failed", 0), 1, "%s", text);
    cr_expect_float_eq(json_number_value(json_object_get(totals, "successRate")), 0.5, 0.001, "%s",
                       text);
    cr_expect_eq(pj_json_i64(tokens, "prompt", 0), 2000, "%s", text);
    cr_expect_eq(pj_json_i64(tokens, "completion", 0), 300, "%s", text);
    cr_expect_eq(pj_json_i64(tokens, "total", 0), 2300, "%s", text);
    cr_expect_gt(json_number_value(json_object_get(json_object_get(totals, "durationMs"), "mean")),
                 0.0, "%s", text);
    cr_expect_geq(json_array_size(json_object_get(doc, "buckets")), 1);
    free(text);
    json_decref(doc);

    http_call(s.w.base, "GET", "/api/v1/admin/analytics?format=csv", WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    cr_expect_not_null(strchr(a.body, ','), "%s", a.body);
    http_answer_release(&a);
    http_call(s.w.base, "GET", "/metrics", WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    cr_expect_not_null(strstr(a.body, "\npj_"), "%s", a.body);
    http_answer_release(&a);
    free(good);
    free(bad);
    scene_stop(&s);
}
