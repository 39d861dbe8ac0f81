/* Is the judge of the forge stand-in one? Each row is a request that GitHub would refuse, or an answer it would never give. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/support/forge_contract.h"

#define REPO "/repos/acme/site"

static char accept_name[] = "Accept", accept_value[] = "application/vnd.github+json",
            auth_name[] = "Authorization", auth_value[] = "Bearer x", agent_name[] = "User-Agent",
            agent_value[] = "pithy-jaunt", version_name[] = "X-GitHub-Api-Version",
            version_value[] = "2022-11-28", type_name[] = "Content-Type",
            type_value[] = "application/json";

struct row {
    const char *method, *path, *query, *body;
    const char *problem; /* a part of what is said; NULL: nothing is wrong */
};

static const struct row rows[] = {
    {"GET", REPO, NULL, NULL, NULL},
    {"GET", REPO "/pulls", "state=open&per_page=10&head=acme%3Apj%2Fx", NULL, NULL},
    {"GET", REPO "/pulls", "state=opened", NULL, "state: is none of the words"},
    {"GET", REPO "/pulls", "heads=x", NULL, "?heads: is no parameter"},
    {"GET", REPO "/pulls", "per_page=many", NULL, "per_page: is of the wrong type"},
    {"GET", REPO "/pull", NULL, NULL, "no such call"},
    {"PUT", REPO, NULL, NULL, "no such call"},
    {"GET", REPO "/issues/x/comments", NULL, NULL, "issue_number: is of the wrong type"},
    {"GET", REPO "//", NULL, NULL, "no such call"},
    {"GET", REPO, NULL, "{}", "takes none"},
    {"POST", REPO "/pulls", NULL, "{\"title\":\"t\",\"head\":\"h\",\"base\":\"b\"}", NULL},
    {"POST", REPO "/pulls", NULL, "{\"title\":\"t\",\"head\":\"h\"}", "body.base: is required"},
    {"POST", REPO "/pulls", NULL, "{\"head\":\"h\",\"base\":\"b\",\"draft\":\"no\"}",
     "body.draft: is of the wrong type"},
    {"POST", REPO "/pulls", NULL, "{\"head\":\"h\",\"base\":\"b\",\"labels\":[]}",
     "body.labels: is no member"},
    {"POST", REPO "/pulls", NULL, NULL, "body: is required"},
    {"POST", REPO "/pulls", NULL, "head=h", "body: is no JSON"},
    {"POST", REPO "/actions/workflows/w.yml/dispatches", NULL,
     "{\"ref\":\"main\",\"inputs\":{\"a\":\"b\"},\"return_run_details\":true}", NULL},
    {"POST", REPO "/actions/workflows/w.yml/dispatches", NULL, "{\"inputs\":{}}",
     "body.ref: is required"},
    {"POST", "/app/installations/7/access_tokens", NULL,
     "{\"repositories\":[\"r\"],\"permissions\":{\"contents\":\"write\"}}", NULL},
    {"POST", "/app/installations/7/access_tokens", NULL,
     "{\"permissions\":{\"contents\":\"everything\"}}", "contents: is none of the words"},
};

static struct stand_in_request request_of(const struct row *row)
{
    struct stand_in_request r = {
        .method = pj_strdup(row->method),
        .path = pj_strdup(row->path),
        .query = pj_strdup_or_null(row->query),
        .body = pj_strdup(row->body != NULL ? row->body : ""),
        .body_len = row->body != NULL ? strlen(row->body) : 0,
        .header_count = row->body != NULL ? 5 : 4,
        .headers = {{accept_name, accept_value},
                    {auth_name, auth_value},
                    {agent_name, agent_value},
                    {version_name, version_value},
                    {type_name, type_value}},
    };

    return r;
}

static void release(struct stand_in_request *r)
{
    free(r->method);
    free(r->path);
    free(r->query);
    free(r->body);
}

Test(contract, tells_what_github_takes_from_what_it_does_not)
{
    struct forge_contract *c = forge_contract_open();

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        struct stand_in_request r = request_of(&rows[i]);
        PJ_CLEANUP(pj_str_release) struct pj_str problems;

        pj_str_init(&problems, 65536);
        (void)forge_contract_request(c, &r, r.path, &problems);
        if (rows[i].problem == NULL)
            cr_expect_str_empty(pj_str_cstr(&problems), "row %zu: %s", i, pj_str_cstr(&problems));
        else
            cr_expect_not_null(strstr(pj_str_cstr(&problems), rows[i].problem), "row %zu: %s", i,
                               pj_str_cstr(&problems));
        release(&r);
    }
    forge_contract_free(c);
}

Test(contract, every_required_header_is_missed)
{
    struct forge_contract *c = forge_contract_open();

    for (size_t i = 0; i < 4; i++) {
        struct stand_in_request r = request_of(&rows[0]);
        PJ_CLEANUP(pj_str_release) struct pj_str problems;
        const char *name = r.headers[i].name;

        pj_str_init(&problems, 65536);
        r.headers[i] = r.headers[--r.header_count];
        (void)forge_contract_request(c, &r, r.path, &problems);
        cr_expect_not_null(strstr(pj_str_cstr(&problems), name), "%s", name);
        release(&r);
    }
    forge_contract_free(c);
}

Test(contract, an_answer_is_completed_and_judged)
{
    struct forge_contract *c = forge_contract_open();
    struct stand_in_request r = request_of(&rows[0]);
    PJ_CLEANUP(pj_str_release) struct pj_str problems;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = json_pack("{s:s}", "full_name", "acme/site");

    pj_str_init(&problems, 65536);
    const json_t *op = forge_contract_request(c, &r, r.path, &problems);
    forge_contract_answer(c, op, 200, doc, &problems);
    cr_expect_not_null(strstr(pj_str_cstr(&problems), "answer.default_branch: is required"));
    pj_str_clear(&problems);
    forge_contract_fill(c, op, 200, doc);
    forge_contract_answer(c, op, 200, doc, &problems);
    cr_expect_str_empty(pj_str_cstr(&problems), "%s", pj_str_cstr(&problems));
    json_object_set_new(doc, "created_at", json_string("yesterday"));
    forge_contract_answer(c, op, 200, doc, &problems);
    cr_expect_not_null(strstr(pj_str_cstr(&problems), "answer.created_at: is not of its format"));
    pj_str_clear(&problems);
    forge_contract_answer(c, op, 202, doc, &problems);
    cr_expect_not_null(strstr(pj_str_cstr(&problems), "never answers 202"));
    release(&r);
    forge_contract_free(c);
}
