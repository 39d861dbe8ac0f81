#include "runner/coderabbit.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/http/backoff.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"
#include "runner/publish.h"
#include "runner/retry.h"
#include "runner/workspace_impl.h"

#define ANSWER_MAX ((size_t)256 << 10)
#define CALL_TIMEOUT_MS 30000

const char *coderabbit_yaml(void)
{
    /* Keys of https://coderabbit.ai/integrations/schema.v2.json. */
    static const char text[] =
        "# yaml-language-server: $schema=https://coderabbit.ai/integrations/schema.v2.json\n"
        "# Added by Pithy Jaunt. CodeRabbit reads it once it is on the base branch.\n"
        "language: en-US\n"
        "reviews:\n"
        "  profile: chill\n"
        "  request_changes_workflow: false\n"
        "  high_level_summary: true\n"
        "  poem: false\n"
        "  review_status: true\n"
        "  auto_review:\n"
        "    enabled: true\n"
        "    drafts: false\n"
        "chat:\n"
        "  auto_reply: true\n";

    return text;
}

int coderabbit_add(struct workspace *ws, char tree_sha[PJ_SHA_SIZE], bool *added,
                   struct pj_err *err)
{
    static const char *const names[] = {CODERABBIT_FILE, ".coderabbit.yml"};
    struct pj_tree_entry entry;

    *added = false;
    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        int rc = pj_git_tree_find(ws->repo, tree_sha, names[i], &entry, err);
        if (rc <= 0)
            return rc;
    }
    if (publish_add_file(ws, CODERABBIT_FILE, pj_view_of(coderabbit_yaml()), tree_sha, err) < 0)
        return -1;
    *added = true;
    return 0;
}

/* ---- the API ---- */

/* {"error":{"code","message"}} */
static int refused(const struct pj_http_response *res, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_err ignored;
    enum pj_err_class cls = PJ_E_INVALID;

    if (pj_json_parse(pj_view_n(pj_str_cstr(&res->body), res->body.len), &doc, &ignored) < 0)
        doc = NULL;
    if (res->status == 401 || res->status == 403)
        cls = PJ_E_AUTH;
    else if (res->status == 429)
        cls = PJ_E_RATE;
    else if (res->status >= 500)
        cls = PJ_E_UNAVAILABLE;
    (void)pj_fail(err, cls, "CodeRabbit answered %d: %s", res->status,
                  pj_json_str(json_object_get(doc, "error"), "message", "no reason given"));
    return cls == PJ_E_AUTH ? pj_err_remedy(err, "CODERABBIT_API_KEY must be a key of the "
                                                 "organisation that owns the repository")
                            : -1;
}

static int ask_once(const struct coderabbit_api *api, struct pj_http *http, const char *url,
                    int64_t *wait_ms, struct pj_err *err)
{
    const struct pj_http_header headers[] = {
        {"Accept", "application/json"},
        {"Content-Type", "application/json"},
        {"x-coderabbitai-api-key", api->key},
    };
    const struct pj_http_request request = {
        .method = "POST",
        .url = url,
        .headers = headers,
        .header_count = PJ_COUNT_OF(headers),
        .body = "{}",
        .body_len = 2,
        .allow_plain = strncmp(url, "http://", 7) == 0,
        .max_body = ANSWER_MAX,
        .timeout_ms = CALL_TIMEOUT_MS,
        .pump = api->pump,
    };
    struct pj_http_response response;
    int rc = pj_http_do(http, &request, &response, err);

    *wait_ms = 0;
    if (rc == 0 && (response.status < 200 || response.status > 299)) {
        int64_t asked = pj_retry_after_ms(&response);
        *wait_ms = asked > 0 ? asked : 0;
        rc = refused(&response, err);
    }
    pj_http_response_release(&response);
    return rc;
}

static bool may_pass(const struct pj_err *err)
{
    bool ours = err->code[0] == '\0' || strncmp(err->code, "http_", 5) == 0;

    return ours &&
           (err->cls == PJ_E_RATE || err->cls == PJ_E_UNAVAILABLE || err->cls == PJ_E_TIMEOUT);
}

int coderabbit_ask(const struct coderabbit_api *api, int64_t repository, int64_t number,
                   struct pj_err *err)
{
    PJ_CLEANUP(pj_freep)
    char *url = pj_asprintf("%s/repositories/%lld/pull-requests/%lld/review", api->base_url,
                            (long long)repository, (long long)number);
    PJ_CLEANUP(pj_http_freep) struct pj_http *http = pj_http_new(api->ca_file);
    struct retry retry = {
        .base_ms = api->retry_base_ms, .deadline_ms = api->deadline_ms, .pump = api->pump};
    int64_t wait_ms = 0;

    while (ask_once(api, http, url, &wait_ms, err) < 0) {
        if (!may_pass(err) || retry_wait(&retry, wait_ms, err) <= 0)
            return -1;
    }
    return 0;
}
