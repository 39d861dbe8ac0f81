/* hook_coderabbit.c - CodeRabbit's review comments become findings of the repository's analysis (R2.2).
 *
 * Who speaks is decided by login and type together: anybody may register a similar name, nobody a bot's. Comments look like
 * "_severity line_\n\n**Title**\n\ntext …" (docs.coderabbit.ai, seen in public pull requests of 2026). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/hook_github.h"
#include "api/reply.h"
#include "lib/base/mem.h"

#define FINDINGS_MAX 500
#define DETAIL_MAX 16000

static const struct severity {
    const char *sign, *word;
} severities[] = {
    {"Critical", "critical"}, {"Major", "high"},      {"Potential issue", "high"},
    {"Minor", "medium"},      {"Refactor", "medium"},
};

static const char *severity_of(const char *body)
{
    size_t n = strcspn(body, "\n");
    char line[256];

    snprintf(line, sizeof line, "%.*s", (int)(n < 250 ? n : 250), body);
    for (size_t i = 0; i < PJ_COUNT_OF(severities); i++)
        if (strstr(line, severities[i].sign) != NULL)
            return severities[i].word;
    return "low";
}

static json_t *cut(const char *text, size_t n, size_t max)
{
    struct pj_str clean;

    pj_str_init(&clean, 3 * max + 8);
    pj_utf8_append_clean(&clean, pj_view_n(text, n < max ? n : max));
    json_t *out = json_stringn(pj_str_cstr(&clean), clean.len);
    pj_str_release(&clean);
    return out;
}

/* The first bold text, else the first line. */
static json_t *title_of(const char *body)
{
    const char *bold = strstr(body, "**"), *end = bold != NULL ? strstr(bold + 2, "**") : NULL;

    if (end != NULL && end > bold + 2)
        return cut(bold + 2, (size_t)(end - bold) - 2, 160);
    return cut(body, strcspn(body, "\n"), 160);
}

static json_t *finding_of(const json_t *comment)
{
    const char *body = pj_json_str(comment, "body", ""), *path = pj_json_str(comment, "path", NULL);
    int64_t line = pj_json_i64(comment, "line", pj_json_i64(comment, "original_line", 0));

    return json_pack("{s:s?, s:o, s:s, s:o, s:o}", "path", path, "line",
                     line > 0 ? json_integer(line) : json_null(), "severity", severity_of(body),
                     "title", title_of(body), "detail", cut(body, strlen(body), DETAIL_MAX));
}

static bool is_known(const json_t *findings, const json_t *finding)
{
    size_t i;
    json_t *one;

    json_array_foreach(
        findings, i,
        one) if (json_equal(json_object_get(one, "path"), json_object_get(finding, "path")) &&
                 json_equal(json_object_get(one, "title"),
                            json_object_get(finding, "title"))) return true;
    return false;
}

static void next(struct request *req);

static void on_put(struct request *req, const struct redisReply *reply)
{
    struct github_hook *h = req->ctx;
    struct pj_err err;

    if (pj_reply_error(reply, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    h->at++;
    next(req);
}

static void put(struct request *req, json_t *analysis)
{
    const struct github_hook *h = req->ctx;
    const json_t *comment = json_object_get(h->doc, "comment");
    struct pj_cmd cmd = {0};

    if (comment != NULL) {
        json_t *findings = json_object_get(analysis, "findings"), *finding = finding_of(comment);
        if (!is_known(findings, finding)) {
            json_array_append(findings, finding);
            if (json_array_size(findings) > FINDINGS_MAX)
                json_array_remove(findings, 0);
        }
        json_decref(finding);
    } else {
        const char *summary = pj_json_str(json_object_get(h->doc, "review"), "body", "");
        if (summary[0] != '\0')
            json_object_set_new(analysis, "summary", cut(summary, strlen(summary), DETAIL_MAX));
    }
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(analysis);
    pj_repo_analysis_put_cmd(&cmd, h->repos.items[h->at]->id, pj_view_of(text));
    request_redis(req, &cmd, on_put);
}

static void on_analysis(struct request *req, const struct redisReply *reply)
{
    PJ_CLEANUP(pj_freep) char *text = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *analysis = NULL;
    struct pj_err err;

    if (pj_repo_analysis_get_reply(reply, &text, &err) < 0 && err.cls != PJ_E_NOT_FOUND) {
        reply_err(req, &err);
        return;
    }
    if (text == NULL || pj_json_parse(pj_view_of(text), &analysis, &err) < 0 ||
        !json_is_array(json_object_get(analysis, "findings"))) {
        json_decref(analysis);
        analysis = json_pack("{s:s, s:[]}", "source", "coderabbit", "findings");
    }
    put(req, analysis);
}

static void next(struct request *req)
{
    const struct github_hook *h = req->ctx;
    struct pj_cmd cmd = {0};

    if (h->at == h->repos.count) {
        reply_json(req, 200,
                   json_pack("{s:s, s:b}", "event", "review", "handled", h->repos.count > 0));
        return;
    }
    pj_repo_analysis_get_cmd(&cmd, h->repos.items[h->at]->id);
    request_redis(req, &cmd, on_analysis);
}

static bool is_coderabbit(const json_t *said)
{
    const json_t *user = json_object_get(said, "user");

    return strcmp(pj_json_str(user, "login", ""), "coderabbitai[bot]") == 0 &&
           strcmp(pj_json_str(user, "type", ""), "Bot") == 0;
}

void hook_coderabbit(struct request *req)
{
    const struct github_hook *h = req->ctx;
    const json_t *comment = json_object_get(h->doc, "comment"),
                 *review = json_object_get(h->doc, "review");
    const char *action = pj_json_str(h->doc, "action", "");

    if (!is_coderabbit(comment != NULL ? comment : review) ||
        (strcmp(action, "created") != 0 && strcmp(action, "submitted") != 0)) {
        hook_github_nothing(req, "review");
        return;
    }
    hook_github_repositories(req, next);
}
