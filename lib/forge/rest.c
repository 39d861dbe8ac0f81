#include "lib/forge/rest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/http/backoff.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"

#define ANSWER_MAX ((size_t)8 << 20)

void pj_url_escape(struct pj_str *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (isalnum(c) || strchr("-_.~", c) != NULL)
            (void)pj_str_putc(out, *p);
        else
            (void)pj_str_putf(out, "%%%02X", c);
    }
}

void pj_rest_answer_release(struct pj_rest_answer *answer)
{
    json_decref(answer->doc);
    answer->doc = NULL;
}

/* {"message":…,"errors":[{"message"|"field","code"}|"text"]}: GitHub's and Gitea's error document. */
static void read_message(struct pj_rest_answer *out)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    const json_t *errors = json_object_get(out->doc, "errors");
    const json_t *item = NULL;
    size_t i = 0;

    pj_str_init(&text, sizeof(out->message) - 1);
    (void)pj_str_puts(&text, pj_json_str(out->doc, "message", ""));
    json_array_foreach(errors, i, item)
    {
        const char *message =
            json_is_string(item) ? json_string_value(item) : pj_json_str(item, "message", NULL);
        if (message != NULL)
            (void)pj_str_putf(&text, "%s%s", text.len > 0 ? "; " : "", message);
        else
            (void)pj_str_putf(&text, "%s%s %s", text.len > 0 ? "; " : "",
                              pj_json_str(item, "field", "?"), pj_json_str(item, "code", "?"));
    }
    (void)snprintf(out->message, sizeof(out->message), "%s", pj_str_cstr(&text));
}

static bool is_rate_limit(const struct pj_http_response *res, const struct pj_rest_answer *out)
{
    char left[16];

    if (out->status == 429)
        return true;
    if (out->status != 403)
        return false;
    /* GitHub, "Rate limits for the REST API": 403 with remaining 0, with retry-after, or with words about a secondary limit. */
    return out->retry_after_ms >= 0 ||
           (pj_http_header_get(res, "x-ratelimit-remaining", left, sizeof(left)) &&
            strcmp(left, "0") == 0) ||
           strcasestr(out->message, "rate limit") != NULL ||
           strcasestr(out->message, "abuse detection") != NULL;
}

static void read_answer(const struct pj_http_response *res, struct pj_rest_answer *out)
{
    struct pj_err ignored;

    out->status = res->status;
    if (res->body.len > 0 &&
        pj_json_parse(pj_view_n(pj_str_cstr(&res->body), res->body.len), &out->doc, &ignored) < 0)
        out->doc = NULL;
    if (out->status >= 300)
        read_message(out);
    (void)pj_http_header_get(res, "x-github-request-id", out->request_id, sizeof(out->request_id));
    out->retry_after_ms = pj_retry_after_ms(res);
    out->rate_limited = is_rate_limit(res, out);
}

int pj_rest_call(const struct pj_rest *rest, const char *method, const char *path,
                 const json_t *body, struct pj_rest_answer *out, struct pj_err *err)
{
    bool github = rest->forge->kind == PJ_FORGE_GITHUB;
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("%s%s", rest->forge->api_url, path);
    PJ_CLEANUP(pj_freep)
    char *auth =
        rest->token != NULL ? pj_asprintf(github ? "Bearer %s" : "token %s", rest->token) : NULL;
    PJ_CLEANUP(pj_freep) char *text = body != NULL ? pj_json_text(body) : NULL;
    const struct pj_http_header headers[] = {
        {"Accept", github ? "application/vnd.github+json" : "application/json"},
        {"Authorization", auth},
        {"Content-Type", body != NULL ? "application/json" : NULL},
        {"X-GitHub-Api-Version", github ? "2022-11-28" : NULL},
    };
    struct pj_http_request request = {
        .method = method,
        .url = url,
        .headers = headers,
        .header_count = PJ_COUNT_OF(headers),
        .body = text,
        .body_len = text != NULL ? strlen(text) : 0,
        .once = strcmp(method, "GET") != 0,
        .allow_plain = strncmp(url, "http://", 7) == 0,
        .max_body = ANSWER_MAX,
        .timeout_ms = rest->timeout_ms > 0 ? rest->timeout_ms : 30000,
        .pump = rest->pump,
    };
    struct pj_http_response response;

    memset(out, 0, sizeof(*out));
    out->retry_after_ms = -1;
    int rc = pj_http_do(rest->http, &request, &response, err);
    if (rc == 0)
        read_answer(&response, out);
    pj_http_response_release(&response);
    if (auth != NULL)
        pj_wipe(auth, strlen(auth));
    return rc < 0 ? pj_err_wrap(err, "%s %s", method, url) : 0;
}

int pj_rest_fail(const struct pj_rest_answer *answer, const char *what, struct pj_err *err)
{
    const char *words = answer->message[0] != '\0' ? answer->message : "no reason given";
    int status = answer->status;
    enum pj_err_class cls = PJ_E_INVALID;
    const char *code = "pr_failed";
    const char *remedy = "";

    if (answer->rate_limited) {
        cls = PJ_E_RATE;
        code = "github_rate_limited";
        remedy = "wait until the forge's limit resets, then retry the task";
    } else if (status == 401) {
        cls = PJ_E_AUTH;
        code = "github_auth";
        remedy = "the forge refused the token: it may be expired or revoked; set a new one";
    } else if (status == 403 || status == 404) {
        cls = PJ_E_FORBIDDEN;
        code = "github_permission";
        remedy = "the token needs read and write access to contents and pull requests of this "
                 "repository";
    } else if (status >= 500) {
        cls = PJ_E_UNAVAILABLE;
        code = "github_service";
        remedy = "the forge has a problem: retry the task later";
    }
    (void)pj_fail(err, cls, "%s: the forge answered %d: %s", what, status, words);
    if (remedy[0] != '\0')
        (void)pj_err_remedy(err, "%s", remedy);
    return pj_err_code(err, code);
}
