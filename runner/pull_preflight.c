/* What a forge can say before money is spent. Only a clear no is one: a forge that does not answer, or does not tell, is no
 * reason to refuse a task whose repository could be fetched. */
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/forge/rest.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"
#include "runner/pull.h"

static int no(struct pj_err *err, const char *what, const char *remedy)
{
    (void)pj_fail(err, PJ_E_FORBIDDEN, "%s", what);
    (void)pj_err_remedy(err, "%s", remedy);
    return pj_err_code(err, "github_permission");
}

static int judge(const struct pj_rest_answer *answer, const struct pull_spec *spec,
                 struct pj_err *err)
{
    const json_t *push = json_object_get(json_object_get(answer->doc, "permissions"), "push");

    if (answer->status == 401)
        return pj_rest_fail(answer, "look at the repository", err);
    if (answer->status != 200)
        return 0;
    if (pj_json_bool(answer->doc, "archived", false)) {
        (void)pj_fail(err, PJ_E_FORBIDDEN, "%s/%s is archived", spec->owner, spec->name);
        (void)pj_err_remedy(
            err, "an archived repository takes no changes: unarchive it, or connect another one");
        return pj_err_code(err, "github_permission");
    }
    if (json_is_false(push))
        return no(err, "the token may read this repository but not push to it",
                  "give it read and write access to contents and pull requests of this repository");
    return 0;
}

/* GET of the repository's own address and what follows it; `branch` (may be NULL) is added escaped. 1 when an answer came, 0 when
 * the forge is away (which the publishing step will wait for), -1 when the pump ended it. */
static int ask(const struct pj_rest *rest, const struct pull_spec *spec, const char *suffix,
               const char *branch, struct pj_rest_answer *answer, struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str path;

    pj_str_init(&path, 4096);
    (void)pj_str_puts(&path, "/repos/");
    pj_url_escape(&path, spec->owner);
    (void)pj_str_putc(&path, '/');
    pj_url_escape(&path, spec->name);
    (void)pj_str_puts(&path, suffix);
    if (branch != NULL)
        pj_url_escape(&path, branch);
    if (pj_rest_call(rest, "GET", pj_str_cstr(&path), NULL, answer, err) == 0)
        return 1;
    return strncmp(err->code, "http_", 5) == 0 ? 0 : -1;
}

/* ---- rules about our branch ---- */

static const struct {
    const char *type;
    const char *what;
} stopping[] = {
    {"creation", "lets this token make no branch"},
    {"required_signatures", "takes only signed commits on"},
};

/* Is this token bound by the ruleset? Only GitHub's clear word counts. *name is owned by the caller. */
static int is_bound(const struct pj_rest *rest, const struct pull_spec *spec, int64_t ruleset,
                    char **name, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep)
    char *suffix = pj_asprintf("/rulesets/%lld", (long long)ruleset);
    struct pj_rest_answer answer = {0};
    int rc = ask(rest, spec, suffix, NULL, &answer, err);

    if (rc > 0) {
        rc = answer.status == 200 &&
             strcmp(pj_json_str(answer.doc, "current_user_can_bypass", ""), "never") == 0;
        *name = pj_strdup(pj_json_str(answer.doc, "name", "?"));
    }
    pj_rest_answer_release(&answer);
    return rc;
}

static int judge_rule(const struct pj_rest *rest, const struct pull_spec *spec, const json_t *rule,
                      struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *name = NULL;
    const char *what = NULL;

    for (size_t i = 0; i < PJ_COUNT_OF(stopping); i++)
        if (strcmp(pj_json_str(rule, "type", ""), stopping[i].type) == 0)
            what = stopping[i].what;
    if (what == NULL)
        return 0;
    int rc = is_bound(rest, spec, pj_json_i64(rule, "ruleset_id", 0), &name, err);
    if (rc <= 0)
        return rc;
    (void)pj_fail(err, PJ_E_FORBIDDEN, "ruleset \"%.100s\" of %s/%s %s %s", name, spec->owner,
                  spec->name, what, spec->head);
    (void)pj_err_remedy(err,
                        "take pj/** out of that ruleset, or add the token's owner to those who "
                        "may bypass it");
    return pj_err_code(err, "github_permission");
}

/* GitHub tells what applies to a branch also before it exists. */
static int judge_rules(const struct pj_rest *rest, const struct pull_spec *spec, struct pj_err *err)
{
    struct pj_rest_answer answer = {0};
    const json_t *rule = NULL;
    size_t i = 0;

    if (rest->forge->kind != PJ_FORGE_GITHUB || spec->head == NULL)
        return 0;
    int rc = ask(rest, spec, "/rules/branches/", spec->head, &answer, err);
    if (rc > 0) {
        rc = 0;
        json_array_foreach(answer.doc, i, rule)
        {
            if (rc == 0)
                rc = judge_rule(rest, spec, rule, err);
        }
    }
    pj_rest_answer_release(&answer);
    return rc;
}

int pull_preflight(const struct pull_forge *forge, const struct pull_spec *spec,
                   struct pull_upstream *upstream, struct pj_err *err)
{
    PJ_CLEANUP(pj_http_freep) struct pj_http *http = pj_http_new(forge->ca_file);
    const struct pj_rest rest = {
        .http = http,
        .forge = forge->forge,
        .token = forge->token,
        .timeout_ms = forge->timeout_ms,
        .pump = forge->pump,
    };
    struct pj_rest_answer answer = {0};
    bool readable = false;

    memset(upstream, 0, sizeof(*upstream));
    if (forge->token == NULL || forge->token[0] == '\0') {
        (void)pj_fail(err, PJ_E_AUTH, "there is no token for %s, so no pull request can be opened",
                      forge->forge->host);
        (void)pj_err_remedy(
            err,
            "set GITHUB_TOKEN, a token for the forge in PJ_FORGES, or the repository's credential");
        return pj_err_code(err, "github_auth");
    }
    int rc = ask(&rest, spec, "", NULL, &answer, err);
    if (rc > 0) {
        upstream->status = answer.status;
        (void)snprintf(upstream->message, sizeof(upstream->message), "%s", answer.message);
        (void)snprintf(upstream->request_id, sizeof(upstream->request_id), "%s", answer.request_id);
        readable = answer.status == 200;
        rc = judge(&answer, spec, err);
    }
    pj_rest_answer_release(&answer);
    return rc == 0 && readable ? judge_rules(&rest, spec, err) : rc;
}
