#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/coderabbit.h"
#include "runner/publish.h"
#include "runner/pull.h"
#include "tests/runner/workspace_fix.h"
#include "tests/support/forge_server.h"

static struct workspace_fix fix;
static struct forge_server *server;
static struct pj_forges *forges;
static struct pull_forge forge;
static struct pull_spec spec;
static unsigned retries;

static void count_retry(void *ctx, int retry, int64_t wait_ms, const struct pj_err *why)
{
    (void)ctx;
    (void)wait_ms;
    cr_assert_neq(why->message[0], '\0');
    cr_assert_eq((unsigned)retry, ++retries);
}

/* A forge with o/r and a branch pj/<task> that has one commit more. */
static void begin(void)
{
    static const struct gitfix_file change[] = {{"new.txt", "x\n", false}};
    struct pj_err err;

    workspace_fix_begin(&fix, NULL, 0);
    char *remotes = pj_asprintf("%s/remotes", fix.root);
    char *file = pj_asprintf("%s/forges.json", fix.root);
    free(gitfix_commit(fix.remote, "pj/" FIX_TASK, change, 1, "Pithy Jaunt: x"));
    server = forge_server_start(remotes);
    forge_server_forges(server, "github", true, file);
    struct pj_forges_spec load = {.file = file};
    cr_assert_eq(pj_forges_load(&load, &forges, &err), 0, "%s", err.message);
    forge = (struct pull_forge){.forge = pj_forges_get(forges, 0),
                                .token = FORGE_TOKEN,
                                .retry_base_ms = 1,
                                .on_retry = count_retry};
    spec = (struct pull_spec){.owner = "o",
                              .name = "r",
                              .head = "pj/" FIX_TASK,
                              .base = "main",
                              .title = "Pithy Jaunt: x",
                              .body = "The body."};
    retries = 0;
    free(remotes);
    free(file);
}

static void end(void)
{
    pj_forges_free(forges);
    forge_server_stop(server);
    workspace_fix_end(&fix);
}

TestSuite(pull, .init = begin, .fini = end);

static size_t pulls_made(void)
{
    json_t *list = forge_server_pulls(server, "o/r");
    size_t n = json_array_size(list);

    json_decref(list);
    return n;
}

Test(pull, r4_1_created_with_title_body_head_and_base)
{
    struct pull_result out;
    struct pj_err err;

    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_assert_not(out.adopted);
    cr_assert_eq(out.number, 1);
    cr_assert_not_null(strstr(out.url, "/o/r/pull/1"), "%s", out.url);
    json_t *list = forge_server_pulls(server, "o/r");
    const json_t *pr = json_array_get(list, 0);
    cr_assert_str_eq(pj_json_str(pr, "title", ""), "Pithy Jaunt: x");
    cr_assert_str_eq(pj_json_str(pr, "body", ""), "The body.");
    cr_assert_str_eq(pj_json_str(json_object_get(pr, "head"), "ref", ""), "pj/" FIX_TASK);
    cr_assert_str_eq(pj_json_str(json_object_get(pr, "base"), "ref", ""), "main");
    json_decref(list);
    pull_result_release(&out);
}

Test(pull, r4_2_one_that_exists_is_adopted)
{
    struct pull_result out;
    struct pj_err err;

    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    pull_result_release(&out);
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_assert(out.adopted);
    cr_assert_eq(out.number, 1);
    cr_assert_eq(pulls_made(), 1);
    pull_result_release(&out);
}

Test(pull, r4_2_made_but_the_answer_was_lost)
{
    struct pull_result out;
    struct pj_err err;

    forge_server_cut_after_create(server);
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_assert_eq(pulls_made(), 1);
    cr_assert_leq(retries, 1);
    pull_result_release(&out);
}

Test(pull, r4_2_service_errors_are_retried_three_times)
{
    struct pull_result out;
    struct pj_err err;

    forge_server_fail(server, "POST", "/pulls", 3, 502, NULL, NULL);
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_assert_eq(retries, 3);
    pull_result_release(&out);
}

Test(pull, r4_2_after_three_retries_it_fails_with_the_message)
{
    struct pull_result out;
    struct pj_err err;

    forge_server_fail(server, "POST", "/pulls", 4, 503, NULL, "{\"message\":\"out for lunch\"}");
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), -1);
    cr_assert_str_eq(err.code, "pr_failed");
    cr_assert_not_null(strstr(err.message, "out for lunch"), "%s", err.message);
    cr_assert_eq(out.upstream.status, 503);
    cr_assert_str_eq(out.upstream.message, "out for lunch");
    cr_assert_eq(retries, 3);
    pull_result_release(&out);
}

Test(pull, r8_2_refusals_are_told_apart_and_not_retried)
{
    static const struct {
        int status;
        const char *headers;
        const char *body;
        const char *code;
    } cases[] = {
        {401, NULL, "{\"message\":\"Bad credentials\"}", "github_auth"},
        {403, NULL, "{\"message\":\"Resource not accessible by integration\"}",
         "github_permission"},
        {404, NULL, "{\"message\":\"Not Found\"}", "github_permission"},
        {422, NULL,
         "{\"message\":\"Validation "
         "Failed\",\"errors\":[{\"resource\":\"PullRequest\",\"field\":\"base\",\"code\":"
         "\"invalid\"}],\"documentation_url\":\"https://docs.github.com/rest\"}",
         "pr_failed"},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(cases); i++) {
        struct pull_result out;
        struct pj_err err;
        forge_server_fail(server, "POST", "/pulls", 1, cases[i].status, cases[i].headers,
                          cases[i].body);
        cr_assert_eq(pull_open(&forge, &spec, &out, &err), -1);
        cr_assert_str_eq(err.code, cases[i].code, "%d: %s", cases[i].status, err.message);
        cr_assert_eq(out.upstream.status, cases[i].status);
        cr_assert_eq(retries, 0);
        pull_result_release(&out);
    }
}

Test(pull, r4_2_retry_after_is_honoured_within_the_deadline)
{
    struct pull_result out;
    struct pj_err err;
    int64_t start = pj_mono_ms();

    forge_server_fail(server, "POST", "/pulls", 1, 429, "Retry-After: 1\n", NULL);
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_assert_geq(pj_mono_ms() - start, 1000);
    pull_result_release(&out);
    forge_server_set_pull_state(server, "o/r", 1, "closed");

    retries = 0;
    forge.deadline_ms = pj_mono_ms() + 5000;
    forge_server_fail(server, "POST", "/pulls", 1, 403,
                      "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 4102444800\n",
                      "{\"message\":\"API rate limit exceeded\"}");
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), -1);
    cr_assert_str_eq(err.code, "github_rate_limited");
    cr_assert_eq(retries, 0);
    pull_result_release(&out);
}

/* A reset that is near is waited for; a secondary limit that names no time is waited out for a minute's worth of the base. */
Test(pull, r4_2_near_resets_and_secondary_limits_are_waited_for)
{
    PJ_CLEANUP(pj_freep)
    char *soon = pj_asprintf("X-RateLimit-Remaining: 0\nX-RateLimit-Reset: %lld\n",
                             (long long)(pj_now_ms() / 1000 + 2));
    struct pull_result out;
    struct pj_err err;
    int64_t start = pj_mono_ms();

    forge_server_fail(server, "POST", "/pulls", 1, 403, soon,
                      "{\"message\":\"API rate limit exceeded\"}");
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_expect_geq(pj_mono_ms() - start, 900);
    cr_expect_eq(retries, 1U);
    pull_result_release(&out);
    forge_server_set_pull_state(server, "o/r", 1, "closed");

    retries = 0;
    forge.retry_base_ms = 20;
    start = pj_mono_ms();
    forge_server_fail(server, "POST", "/pulls", 1, 403, NULL,
                      "{\"message\":\"You have exceeded a secondary rate limit\"}");
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_expect_geq(pj_mono_ms() - start, 1200);
    cr_expect_eq(retries, 1U);
    pull_result_release(&out);
}

Test(pull, r4_2_no_commits_between_is_asked_once_more)
{
    struct pull_result out;
    struct pj_err err;
    static const char body[] = "{\"message\":\"Validation Failed\",\"documentation_url\":"
                               "\"https://docs.github.com/rest\",\"errors\":[{\"resource\":"
                               "\"PullRequest\",\"code\":\"custom\",\"message\":\"No "
                               "commits between main and x\"}]}";

    forge_server_fail(server, "POST", "/pulls", 1, 422, NULL, body);
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    pull_result_release(&out);
    forge_server_set_pull_state(server, "o/r", 1, "closed");
    retries = 0;
    forge_server_fail(server, "POST", "/pulls", 2, 422, NULL, body);
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), -1);
    cr_assert_str_eq(err.code, "no_changes");
    pull_result_release(&out);
}

Test(pull, r8_2_without_a_token_nothing_is_sent)
{
    struct pull_result out;
    struct pj_err err;

    forge.token = NULL;
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), -1);
    cr_assert_str_eq(err.code, "github_auth");
    cr_assert_neq(err.remedy[0], '\0');
    cr_assert_eq(forge_server_count(server, "POST", "/pulls"), 0);
}

Test(pull, r8_2_preflight_refuses_only_what_the_forge_refuses)
{
    static const struct {
        int status;
        const char *body;
        const char *code; /* NULL: passes */
    } cases[] = {
        {200, "{\"permissions\":{\"push\":true},\"archived\":false}", NULL},
        {200, "{}", NULL},
        {404, "{\"message\":\"Not Found\"}", NULL},
        {502, NULL, NULL},
        {200, "{\"permissions\":{\"push\":false}}", "github_permission"},
        {200, "{\"permissions\":{\"push\":true},\"archived\":true}", "github_permission"},
        {401, "{\"message\":\"Bad credentials\"}", "github_auth"},
    };
    struct pull_upstream upstream;
    struct pj_err err = {0};

    for (size_t i = 0; i < PJ_COUNT_OF(cases); i++) {
        forge_server_fail(server, "GET", "/repos/o/r", 1, cases[i].status, NULL, cases[i].body);
        int rc = pull_preflight(&forge, &spec, &upstream, &err);
        cr_assert_eq(rc, cases[i].code == NULL ? 0 : -1, "%zu: %s", i, err.message);
        if (cases[i].code != NULL) {
            cr_expect_str_eq(err.code, cases[i].code);
            cr_expect_neq(err.remedy[0], '\0');
        }
    }
    cr_assert_eq(pull_preflight(&forge, &spec, &upstream, &err), 0, "%s", err.message);
    forge.token = NULL;
    cr_assert_eq(pull_preflight(&forge, &spec, &upstream, &err), -1);
    cr_assert_str_eq(err.code, "github_auth");
}

/* A rule about branches like ours, from a ruleset that the token may bypass or not. */
Test(pull, r8_2_preflight_knows_the_rules_about_our_branch)
{
    static const char creation[] = "[{\"type\":\"deletion\",\"ruleset_id\":7},{\"type\":"
                                   "\"creation\",\"ruleset_id\":7}]";
    static const char signatures[] = "[{\"type\":\"required_signatures\",\"ruleset_id\":7}]";
    static const struct {
        const char *rules, *bypass, *word; /* word NULL: passes */
    } cases[] = {
        {creation, "never", "no branch pj/"},
        {creation, "always", NULL},
        {signatures, "never", "signed commits"},
        {"[{\"type\":\"deletion\",\"ruleset_id\":7}]", NULL, NULL},
        {"[]", NULL, NULL},
    };
    struct pull_upstream upstream;
    struct pj_err err = {0};

    for (size_t i = 0; i < PJ_COUNT_OF(cases); i++) {
        PJ_CLEANUP(pj_freep)
        char *set = pj_asprintf("{\"id\":7,\"name\":\"only people\",\"source\":\"o/r\","
                                "\"enforcement\":\"active\",\"current_user_can_bypass\":\"%s\"}",
                                cases[i].bypass != NULL ? cases[i].bypass : "never");
        forge_server_fail(server, "GET", "/rules/branches/", 1, 200, NULL, cases[i].rules);
        if (cases[i].bypass != NULL)
            forge_server_fail(server, "GET", "/rulesets/7", 1, 200, NULL, set);
        int rc = pull_preflight(&forge, &spec, &upstream, &err);
        cr_assert_eq(rc, cases[i].word == NULL ? 0 : -1, "%zu: %s", i, err.message);
        if (cases[i].word != NULL) {
            cr_expect_str_eq(err.code, "github_permission");
            cr_expect_not_null(strstr(err.message, cases[i].word), "%s", err.message);
            cr_expect_not_null(strstr(err.message, "only people"), "%s", err.message);
            cr_expect_not_null(strstr(err.remedy, "pj/**"), "%s", err.remedy);
        }
    }
}

Test(pull, r4_3_the_review_is_asked_for_once)
{
    struct pull_upstream upstream;
    struct pull_result out;
    struct pj_err err;

    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_assert_eq(pull_comment(&forge, &spec, out.number, CODERABBIT_COMMENT, &upstream, &err), 0,
                 "%s", err.message);
    cr_assert_eq(pull_comment(&forge, &spec, out.number, CODERABBIT_COMMENT, &upstream, &err), 0,
                 "%s", err.message);
    cr_assert_eq(forge_server_count(server, "POST", "/comments"), 1);
    pull_result_release(&out);
}

Test(pull, r4_3_the_file_is_added_where_it_is_missing)
{
    char tree[PJ_SHA_SIZE];
    struct pj_err err;
    bool added = false;
    static const char diff[] =
        "--- a/README.md\n+++ b/README.md\n@@ -1,3 +1,3 @@\n-# Sample\n+# Example\n \n A sample.\n";

    workspace_fix_open(&fix);
    cr_assert_eq(publish_apply(fix.ws, pj_view_of(diff), NULL, tree, &err), 0, "%s", err.message);
    cr_assert_eq(coderabbit_add(fix.ws, tree, &added, &err), 0, "%s", err.message);
    cr_assert(added);
    cr_assert_eq(coderabbit_add(fix.ws, tree, &added, &err), 0, "%s", err.message);
    cr_assert_not(added);
}

static struct pull_body_spec body_spec(void)
{
    return (struct pull_body_spec){.task_id = FIX_TASK,
                                   .task_title = "x",
                                   .task_description = "Greet the user.",
                                   .summary = "Said hello.",
                                   .files = 1,
                                   .added = 2,
                                   .removed = 1,
                                   .provider = "openai",
                                   .model = "gpt-x",
                                   .turns = 3,
                                   .prompt_tokens = 100,
                                   .completion_tokens = 20,
                                   .cached_tokens = 50,
                                   .cost_microusd = 12300,
                                   .duration_ms = 1500,
                                   .base_branch = "main",
                                   .base_sha = "0123456789abcdef0123456789abcdef01234567",
                                   .executor = "sandbox"};
}

Test(pull, r4_1_the_body_has_the_task_and_the_run)
{
    struct pull_body_spec b = body_spec();
    struct pull_check checks[] = {{"make test", "passed", "passed"}};
    const char *refused[] = {"evil.example:443", NULL};
    struct pj_str out;

    b.checks = checks;
    b.check_count = 1;
    b.hosts_refused = refused;
    b.coderabbit_added = true;
    b.fixes = "#12";
    pull_body(&b, &out);
    static const char *const wanted[] = {"> Greet the user.",
                                         "Said hello.",
                                         "1 file changed, 2 lines added, 1 line removed",
                                         "`make test` | passed | passed",
                                         "openai / gpt-x",
                                         "100 prompt (50 cached), 20 completion",
                                         "$0.0123",
                                         "main at 0123456789ab",
                                         "`evil.example:443`",
                                         ".coderabbit.yaml",
                                         "Fixes #12",
                                         FIX_TASK};
    for (size_t i = 0; i < PJ_COUNT_OF(wanted); i++)
        cr_expect_not_null(strstr(pj_str_cstr(&out), wanted[i]), "%s\n---\n%s", wanted[i],
                           pj_str_cstr(&out));
    pj_str_release(&out);
}

Test(pull, r4_1_foreign_text_calls_nobody_and_closes_nothing)
{
    struct pull_body_spec b = body_spec();
    struct pj_str out;

    b.task_description = "ping @octocat and @org/team; fixes #1, Closes: o/r#2, resolved "
                         "https://github.com/o/r/issues/3 <!-- hidden\n"
                         "# not a heading of ours\n";
    pull_body(&b, &out);
    static const char *const never[] = {"@octocat",       "@org", "fixes #1", "Closes: o/r#2",
                                        "resolved https", "<!--", "\n# not"};
    for (size_t i = 0; i < PJ_COUNT_OF(never); i++)
        cr_expect_null(strstr(pj_str_cstr(&out), never[i]), "%s\n---\n%s", never[i],
                       pj_str_cstr(&out));
    cr_expect_not_null(strstr(pj_str_cstr(&out), "> # not a heading of ours"));
    pj_str_release(&out);
}

Test(pull, r4_1_a_body_never_has_more_than_65536_characters)
{
    struct pull_body_spec b = body_spec();
    struct pj_str out;
    size_t n = 200000;
    char *text = pj_alloc(n + 1, 1);

    for (size_t i = 0; i + 3 <= n; i += 3)
        memcpy(text + i, "\xE2\x82\xAC", 3);
    b.task_description = text;
    b.summary = text;
    pull_body(&b, &out);
    cr_assert_leq(out.len, PULL_BODY_MAX);
    cr_assert(pj_utf8_valid(pj_view_n(out.data, out.len)));
    cr_assert_not_null(strstr(out.data, "cut here"));
    cr_assert_not_null(strstr(out.data, FIX_TASK));
    pj_str_release(&out);
    memset(text, '\n', n);
    b.task_description = b.summary = text;
    pull_body(&b, &out);
    cr_assert_leq(out.len, PULL_BODY_MAX);
    pj_str_release(&out);
    free(text);
}
