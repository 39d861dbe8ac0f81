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

int pull_preflight(const struct pull_forge *forge, const struct pull_spec *spec,
                   struct pull_upstream *upstream, struct pj_err *err)
{
    struct pj_rest rest = {
        .http = pj_http_new(forge->ca_file),
        .forge = forge->forge,
        .token = forge->token,
        .timeout_ms = forge->timeout_ms,
        .pump = forge->pump,
    };
    struct pj_rest_answer answer;
    struct pj_str path;

    memset(upstream, 0, sizeof(*upstream));
    if (forge->token == NULL || forge->token[0] == '\0') {
        pj_http_free(rest.http);
        (void)pj_fail(err, PJ_E_AUTH, "there is no token for %s, so no pull request can be opened",
                      forge->forge->host);
        (void)pj_err_remedy(
            err,
            "set GITHUB_TOKEN, a token for the forge in PJ_FORGES, or the repository's credential");
        return pj_err_code(err, "github_auth");
    }
    pj_str_init(&path, 1024);
    (void)pj_str_puts(&path, "/repos/");
    pj_url_escape(&path, spec->owner);
    (void)pj_str_putc(&path, '/');
    pj_url_escape(&path, spec->name);
    int rc = pj_rest_call(&rest, "GET", pj_str_cstr(&path), NULL, &answer, err);
    if (rc == 0) {
        upstream->status = answer.status;
        (void)snprintf(upstream->message, sizeof(upstream->message), "%s", answer.message);
        (void)snprintf(upstream->request_id, sizeof(upstream->request_id), "%s", answer.request_id);
        rc = judge(&answer, spec, err);
    } else if (strncmp(err->code, "http_", 5) == 0) {
        rc = 0; /* not the pump's: the forge is away, which the publishing step will wait for */
    }
    pj_rest_answer_release(&answer);
    pj_str_release(&path);
    pj_http_free(rest.http);
    return rc;
}
