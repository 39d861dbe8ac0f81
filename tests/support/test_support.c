/* The stand-ins themselves: a test that trusts a broken peer proves nothing. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/support/forge_server.h"
#include "tests/support/gitfix.h"
#include "tests/support/http.h"
#include "tests/support/model_server.h"

#define SOON 10000
#define KEY_HEADER "Authorization: Bearer " MODEL_SERVER_KEY

static const char chat_request[] =
    "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
    "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";

static const struct model_answer one_call = {
    .text = "I look around before I touch anything.",
    .calls = {{"list_dir", "{\"path\":\"a folder with a long name\"}"}},
};

static char *temp_dir(void)
{
    char *dir = pj_strdup("/tmp/pj-support-XXXXXX");

    cr_assert_not_null(mkdtemp(dir));
    return dir;
}

static void remove_dir(char *dir)
{
    struct pj_err err = {0};

    cr_assert_eq(pj_fs_remove_tree(dir, &err), 0, "%s", err.message);
    free(dir);
}

Test(model_server, streams_a_chat_answer_in_fragments)
{
    struct model_server *m = model_server_start(0, &one_call, 1);
    const char *const headers[] = {KEY_HEADER, NULL};
    struct http_answer a;

    http_call(model_server_anthropic_url(m), "POST", "/v1/chat/completions", NULL, chat_request,
              headers, &a);
    cr_assert_eq(a.status, 200);
    cr_assert_not_null(strstr(a.body, "\"name\":\"list_dir\""));
    cr_assert_not_null(strstr(a.body, "\"prompt_tokens\":1000"));
    cr_assert_not_null(strstr(a.body, "data: [DONE]\n\n"));
    cr_assert_null(strstr(a.body, "a folder with a long name"), "arguments come in fragments");
    http_answer_release(&a);
    cr_assert_str_empty(model_server_faults(m));
    cr_assert_eq(model_server_left(m), 0);
    model_server_stop(m);
}

Test(model_server, answers_plainly_when_no_stream_is_asked_for)
{
    const struct model_answer answers[] = {one_call, one_call};
    struct model_server *m = model_server_start(0, answers, 2);
    const char *const openai[] = {KEY_HEADER, NULL};
    const char *const anthropic[] = {"x-api-key: " MODEL_SERVER_KEY,
                                     "anthropic-version: 2023-06-01", NULL};
    struct http_answer a;

    http_call(model_server_anthropic_url(m), "POST", "/v1/responses", NULL,
              "{\"model\":\"m\",\"input\":\"hello\"}", openai, &a);
    cr_assert_str_eq(pj_json_str(a.json, "status", ""), "completed");
    cr_assert_eq(json_array_size(json_object_get(a.json, "output")), 2);
    http_answer_release(&a);
    http_call(
        model_server_anthropic_url(m), "POST", "/v1/messages", NULL,
        "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        anthropic, &a);
    cr_assert_str_eq(pj_json_str(a.json, "stop_reason", ""), "tool_use");
    http_answer_release(&a);
    cr_assert_str_empty(model_server_faults(m));
    model_server_stop(m);
}

Test(model_server, refuses_what_a_real_peer_would_refuse)
{
    static const char open_call[] =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
        "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"user\",\"content\":\"and?\"}]}";
    struct model_server *m = model_server_start(0, &one_call, 1);
    const char *const headers[] = {KEY_HEADER, NULL};
    struct http_answer a;

    http_call(model_server_anthropic_url(m), "POST", "/v1/chat/completions", NULL, chat_request,
              NULL, &a);
    cr_assert_eq(a.status, 400, "no key");
    http_answer_release(&a);
    http_call(model_server_anthropic_url(m), "POST", "/v1/chat/completions", NULL, open_call,
              headers, &a);
    cr_assert_eq(a.status, 400, "a call without its result");
    http_answer_release(&a);
    cr_assert_not_null(strstr(model_server_faults(m), "authorization"));
    cr_assert_not_null(strstr(model_server_faults(m), "tool call c1 has no result"));
    cr_assert_eq(model_server_left(m), 1, "a refused request uses up no answer");
    model_server_stop(m);
}

static void *ask(void *arg)
{
    const char *const headers[] = {KEY_HEADER, NULL};
    struct http_answer *a = pj_alloc(1, sizeof *a);

    http_call(arg, "POST", "/v1/chat/completions", NULL, chat_request, headers, a);
    return a;
}

Test(model_server, holds_a_gated_answer_until_it_is_released)
{
    const struct model_answer gated = {.trouble = MODEL_GATE, .text = "at last"};
    struct model_server *m = model_server_start(0, &gated, 1);
    char *url = pj_strdup(model_server_anthropic_url(m));
    pthread_t asking;
    void *got;

    cr_assert_eq(pthread_create(&asking, NULL, ask, url), 0);
    cr_assert(model_server_wait(m, 1, SOON));
    model_server_release(m);
    pthread_join(asking, &got);
    struct http_answer *a = got;
    cr_assert_eq(a->status, 200);
    cr_assert_not_null(strstr(a->body, "at last"));
    http_answer_release(a);
    free(a);
    free(url);
    model_server_stop(m);
}

Test(model_server, notices_that_the_peer_gave_up)
{
    const struct model_answer answers[] = {{.trouble = MODEL_HANG}, {.trouble = MODEL_CUT}};
    struct model_server *m = model_server_start(0, answers, 2);
    const char *const headers[] = {KEY_HEADER, NULL};
    struct http_answer a;

    http_try_briefly(model_server_anthropic_url(m), "POST", "/v1/chat/completions", NULL,
                     chat_request, headers, 300, &a);
    cr_assert_eq(a.status, 0);
    http_answer_release(&a);
    cr_assert(stand_in_wait_abandoned(model_server_stand_in(m), 1, SOON));
    http_try(model_server_anthropic_url(m), "POST", "/v1/chat/completions", NULL, chat_request,
             headers, &a);
    cr_assert_eq(a.status, 0);
    http_answer_release(&a);
    model_server_stop(m);
}

static const char *const github_headers[] = {"Accept: application/vnd.github+json",
                                             "User-Agent: test", "X-GitHub-Api-Version: 2022-11-28",
                                             NULL};

Test(forge_server, lets_git_clone_and_push_with_the_token_only)
{
    char *dir = temp_dir();
    const struct gitfix_file files[] = {{"README.md", "hello\n", false}};
    char *bare = gitfix_bare(dir, "acme/site", files, 1);
    struct forge_server *f = forge_server_start(dir);
    char *work = pj_asprintf("%s/work", dir);
    char *good =
        pj_asprintf("http://x-access-token:%s@%s/acme/site", FORGE_TOKEN, forge_server_host(f));
    char *bad = pj_asprintf("http://x-access-token:wrong@%s/acme/site.git", forge_server_host(f));

    char *out = gitfix_run("/nonexistent", NULL, "clone", "-q", good, work, (const char *)NULL);
    cr_assert_not_null(out);
    free(out);
    cr_assert_null(gitfix_run("/nonexistent", NULL, "ls-remote", bad, (const char *)NULL));
    char *git_dir = pj_asprintf("%s/.git", work);
    out = gitfix_run(git_dir, NULL, "push", "-q", good, "HEAD:refs/heads/pj/x", (const char *)NULL);
    cr_assert_not_null(out);
    free(out);
    char *branches = gitfix_branches(bare);
    cr_assert_str_eq(branches, "main\npj/x\n");
    cr_assert_gt(forge_server_refused(f), 0);
    free(branches);
    free(git_dir);
    free(good);
    free(bad);
    free(work);
    free(bare);
    forge_server_stop(f);
    remove_dir(dir);
}

Test(forge_server, makes_one_pull_request_a_branch)
{
    char *dir = temp_dir();
    const struct gitfix_file files[] = {{"README.md", "hello\n", false}};
    char *bare = gitfix_bare(dir, "acme/site", files, 1);
    struct forge_server *f = forge_server_start(dir);
    static const char body[] = "{\"title\":\"T\",\"head\":\"pj/x\",\"base\":\"main\"}";
    struct http_answer a;

    free(gitfix_commit(bare, "pj/x", files, 1, "Second"));
    forge_server_fail(f, "POST", "/pulls", 1, 502, "Retry-After: 1\n", NULL);
    http_call(forge_server_url(f), "POST", "/api/v3/repos/acme/site/pulls", FORGE_TOKEN, body,
              github_headers, &a);
    cr_assert_eq(a.status, 502);
    http_answer_release(&a);
    http_call(forge_server_url(f), "POST", "/api/v3/repos/acme/site/pulls", FORGE_TOKEN, body,
              github_headers, &a);
    cr_assert_eq(a.status, 201, "%s", a.body);
    http_answer_release(&a);
    http_call(forge_server_url(f), "POST", "/api/v3/repos/acme/site/pulls", FORGE_TOKEN, body,
              github_headers, &a);
    cr_assert_eq(a.status, 422);
    cr_assert_not_null(strstr(a.body, "already exists"));
    http_answer_release(&a);
    http_call(forge_server_url(f), "GET",
              "/api/v3/repos/acme/site/pulls?head=acme%3Apj%2Fx&state=all", FORGE_TOKEN, NULL,
              github_headers, &a);
    cr_assert_eq(json_array_size(a.json), 1);
    http_answer_release(&a);
    json_t *pulls = forge_server_pulls(f, "acme/site");
    cr_assert_eq(json_array_size(pulls), 1);
    json_decref(pulls);
    free(bare);
    forge_server_stop(f);
    remove_dir(dir);
}
