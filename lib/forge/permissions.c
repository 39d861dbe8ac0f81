#include "lib/forge/permissions.h"

#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "lib/crypto/hmac.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"

#define MISSING_MAX 300
#define OFFER_MAX (4u << 20) /* the refs of a large repository */

static bool refused(int status)
{
    return status == 403 || status == 404;
}

static int ask(const struct pj_rest *rest, const struct pj_repo_address *address,
               const char *suffix, struct pj_rest_answer *answer)
{
    struct pj_str path;
    struct pj_err ignored;

    pj_str_init(&path, 2048);
    (void)pj_str_puts(&path, "/repos/");
    pj_url_escape(&path, address->owner);
    (void)pj_str_putc(&path, '/');
    pj_url_escape(&path, address->name);
    (void)pj_str_puts(&path, suffix);
    int rc = pj_rest_call(rest, "GET", pj_str_cstr(&path), NULL, answer, &ignored);
    pj_str_release(&path);
    return rc < 0 ? 0 : answer->rate_limited ? 0 : answer->status;
}

/* The status of a list that only somebody with the permission may read; 0: no answer. */
static int ask_status(const struct pj_rest *rest, const struct pj_repo_address *address,
                      const char *suffix)
{
    struct pj_rest_answer answer;
    int status = ask(rest, address, suffix, &answer);

    pj_rest_answer_release(&answer);
    return status;
}

/* What git is told before a push; the answer's refs are not looked at. */
static int offer_status(const struct pj_rest *rest, const struct pj_repo_address *address)
{
    PJ_CLEANUP(pj_freep) char *pair = pj_asprintf("x-access-token:%s", rest->token);
    PJ_CLEANUP(pj_freep)
    char *url = pj_asprintf("%s.git/info/refs?service=git-receive-pack", address->url);
    PJ_CLEANUP(pj_http_response_release) struct pj_http_response res = {0};
    PJ_CLEANUP(pj_str_release) struct pj_str value;
    struct pj_err ignored;

    pj_str_init(&value, 65536);
    (void)pj_str_puts(&value, "Basic ");
    int rc = pj_base64_encode(&value, pair, strlen(pair));
    const struct pj_http_header headers[] = {{"Authorization", pj_str_cstr(&value)}};
    const struct pj_http_request request = {
        .url = url,
        .headers = headers,
        .header_count = PJ_COUNT_OF(headers),
        .allow_plain = address->forge->insecure,
        .max_body = OFFER_MAX,
        .timeout_ms = rest->timeout_ms,
        .pump = rest->pump,
    };

    if (rc == 0)
        rc = pj_http_do(rest->http, &request, &res, &ignored);
    pj_wipe(pair, strlen(pair));
    if (value.data)
        pj_wipe(value.data, value.len);
    return rc < 0 ? 0 : res.status;
}

static void add(char *missing, const char *what)
{
    size_t n = strlen(missing);

    (void)snprintf(missing + n, MISSING_MAX - n, "%s%s", n > 0 ? ", " : "", what);
}

int pj_forge_permissions(const struct pj_rest *rest, const struct pj_repo_address *address,
                         bool actions, struct pj_err *err)
{
    bool github = address->forge->kind == PJ_FORGE_GITHUB;
    char missing[MISSING_MAX] = "";
    struct pj_rest_answer answer;
    int status = ask(rest, address, "", &answer);
    bool no_push =
        answer.doc &&
        json_is_false(json_object_get(json_object_get(answer.doc, "permissions"), "push"));

    if (status == 401) {
        int rc = pj_rest_fail(&answer, "look at the repository", err);

        pj_rest_answer_release(&answer);
        return rc;
    }
    pj_rest_answer_release(&answer);
    if (status != 200) /* the git side has more to say about it */
        return 0;
    int offer = no_push ? 403 : offer_status(rest, address);
    if (refused(offer) || offer == 401)
        add(missing, github ? "Contents: read and write" : "write:repository");
    if (github && refused(ask_status(rest, address, "/pulls?per_page=1")))
        add(missing, "Pull requests: read and write");
    if (github && actions && refused(ask_status(rest, address, "/actions/runs?per_page=1")))
        add(missing, "Actions: read and write");
    if (!*missing)
        return 0;
    (void)pj_fail(err, PJ_E_FORBIDDEN, "the token lacks permissions for %s/%s: %s", address->owner,
                  address->name, missing);
    (void)pj_err_remedy(err, "give the token these permissions for this repository: docs/github.md "
                             "shows where");
    return pj_err_code(err, "github_permission");
}
