/* Pull requests at Gitea and Forgejo: looked up by base and head, 409 when one exists, drafts by the title (docs.gitea.com/api). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/pull.h"
#include "tests/support/stand_in.h"

static struct stand_in *server;
static struct pj_forge gitea;
static struct pull_forge forge;
static struct pull_spec spec;
static bool exists;
static bool hide_once; /* the lookup answers as if there were none */
static char title[200];

static const char pull_json[] =
    "{\"number\":7,\"state\":\"open\",\"html_url\":\"https://git.example/o/r/pulls/7\"}";

static void create(const struct stand_in_request *r, struct stand_in_exchange *x)
{
    struct pj_err err;
    json_t *body = NULL;

    if (exists) {
        stand_in_reply_text(x, 409, "application/json",
                            "{\"message\":\"pull request already exists for these targets\"}");
        return;
    }
    cr_assert_eq(pj_json_parse(pj_view_n(r->body, r->body_len), &body, &err), 0);
    (void)snprintf(title, sizeof(title), "%s", pj_json_str(body, "title", ""));
    cr_assert_null(json_object_get(body, "draft"));
    json_decref(body);
    exists = true;
    stand_in_reply_text(x, 201, "application/json", pull_json);
}

static void answer(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    const char *auth = stand_in_header(r, "Authorization");

    (void)ctx;
    if (auth == NULL || strcmp(auth, "token gitea-token-12345") != 0) {
        stand_in_reply_text(x, 401, "application/json", "{\"message\":\"token is required\"}");
    } else if (strcmp(r->method, "GET") == 0 &&
               strcmp(r->path, "/api/v1/repos/o/r/pulls/main/pj%2Fabc") == 0) {
        bool seen = exists && !hide_once;
        hide_once = false;
        stand_in_reply_text(x, seen ? 200 : 404, "application/json",
                            seen ? pull_json : "{\"message\":\"not found\"}");
    } else if (strcmp(r->method, "POST") == 0 && strcmp(r->path, "/api/v1/repos/o/r/pulls") == 0) {
        create(r, x);
    } else {
        stand_in_reply_text(x, 404, "application/json", "{\"message\":\"not found\"}");
    }
}

static void begin(void)
{
    server = stand_in_start(0, answer, NULL);
    gitea = (struct pj_forge){.kind = PJ_FORGE_GITEA,
                              .host = pj_strdup("git.example"),
                              .api_url = pj_asprintf("%s/api/v1", stand_in_url(server))};
    forge = (struct pull_forge){.forge = &gitea, .token = "gitea-token-12345", .retry_base_ms = 1};
    spec = (struct pull_spec){.owner = "o",
                              .name = "r",
                              .head = "pj/abc",
                              .base = "main",
                              .title = "Pithy Jaunt: x",
                              .body = "b"};
    exists = false;
    hide_once = false;
}

static void end(void)
{
    stand_in_stop(server);
    free(gitea.host);
    free(gitea.api_url);
}

TestSuite(pull_gitea, .init = begin, .fini = end);

Test(pull_gitea, r4_1_created_and_then_adopted)
{
    struct pull_result out;
    struct pj_err err;

    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_assert_eq(out.number, 7);
    cr_assert_str_eq(out.url, "https://git.example/o/r/pulls/7");
    cr_assert_not(out.adopted);
    cr_assert_str_eq(title, "Pithy Jaunt: x");
    pull_result_release(&out);
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_assert(out.adopted);
    pull_result_release(&out);
}

Test(pull_gitea, r4_2_a_conflict_at_creation_is_adopted)
{
    struct pull_result out;
    struct pj_err err;

    exists = true;
    hide_once = true;
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_assert(out.adopted);
    cr_assert_eq(out.number, 7);
    pull_result_release(&out);
}

Test(pull_gitea, a_draft_is_said_by_the_title)
{
    struct pull_result out;
    struct pj_err err;

    spec.draft = true;
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), 0, "%s", err.message);
    cr_assert_str_eq(title, "WIP: Pithy Jaunt: x");
    pull_result_release(&out);
}

Test(pull_gitea, r8_2_a_wrong_token_is_told)
{
    struct pull_result out;
    struct pj_err err;

    forge.token = "wrong-token-wrong";
    cr_assert_eq(pull_open(&forge, &spec, &out, &err), -1);
    cr_assert_str_eq(err.code, "github_auth");
}
