/* hook_coderabbit.c - CodeRabbit's review comments become findings of the repository's analysis (R2.2).
 *
 * Who speaks is decided by login and type together: anybody may register a similar name, nobody a bot's. Comments look like
 * "_severity line_\n\n**Title**\n\ntext …" (docs.coderabbit.ai, seen in public pull requests of 2026). The walkthrough, a comment on
 * the pull request that begins with a mark of theirs, is the summary. A review brings many comments at once: what was read is
 * written back only where nobody else wrote meanwhile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/hook_github.h"
#include "api/reply.h"
#include "lib/base/mem.h"
#include "lib/task/state.h"

#define FINDINGS_MAX 500
#define DETAIL_MAX 16000
#define TRIES_MAX 50 /* of writing it back */

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

    if (pj_repo_analysis_swap_reply(reply, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND || (err.cls == PJ_E_CONFLICT && ++h->tries < TRIES_MAX))
            h->at += err.cls == PJ_E_NOT_FOUND; /* taken away meanwhile; else read it again */
        else {
            reply_err(req, &err);
            return;
        }
    } else {
        h->at++;
        h->tries = 0;
    }
    next(req);
}

/* The walkthrough; a comment of theirs of another kind (an answer in a chat, "Review skipped") is none. */
static bool is_walkthrough(const char *body)
{
    return strstr(body, "<!-- walkthrough_start -->") != NULL ||
           strstr(body, "\n## Walkthrough") != NULL;
}

static void set_summary(json_t *analysis, const char *text)
{
    if (text[0] != '\0')
        json_object_set_new(analysis, "summary", cut(text, strlen(text), DETAIL_MAX));
}

static void add_finding(json_t *analysis, const json_t *comment)
{
    json_t *findings = json_object_get(analysis, "findings"), *finding = finding_of(comment);

    if (!is_known(findings, finding)) {
        json_array_append(findings, finding);
        if (json_array_size(findings) > FINDINGS_MAX)
            json_array_remove(findings, 0);
    }
    json_decref(finding);
}

static void put(struct request *req, json_t *analysis, struct pj_view before)
{
    const struct github_hook *h = req->ctx;
    const json_t *comment = json_object_get(h->doc, "comment"),
                 *review = json_object_get(h->doc, "review");
    struct pj_cmd cmd = {0};

    if (json_object_get(h->doc, "issue") != NULL)
        set_summary(analysis, pj_json_str(comment, "body", ""));
    else if (comment != NULL)
        add_finding(analysis, comment);
    else if (json_object_get(analysis, "summary") == NULL)
        set_summary(analysis, pj_json_str(review, "body", ""));
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(analysis);
    pj_repo_analysis_swap_cmd(&cmd, h->repos.items[h->at]->id, before, pj_view_of(text));
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
    put(req, analysis, text != NULL ? pj_view_of(text) : (struct pj_view){0});
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

bool hook_by_coderabbit(const json_t *said)
{
    const json_t *user = json_object_get(said, "user");

    return strcmp(pj_json_str(user, "login", ""), "coderabbitai[bot]") == 0 &&
           strcmp(pj_json_str(user, "type", ""), "Bot") == 0;
}

void hook_coderabbit(struct request *req)
{
    static const char *const actions[] = {"created", "edited", "submitted", NULL};
    const struct github_hook *h = req->ctx;
    const json_t *comment = json_object_get(h->doc, "comment"),
                 *review = json_object_get(h->doc, "review");
    bool on_pull = json_object_get(h->doc, "issue") != NULL;

    if (!hook_by_coderabbit(comment != NULL ? comment : review) ||
        pj_word_index(actions, pj_json_str(h->doc, "action", "")) < 0 ||
        (on_pull && !is_walkthrough(pj_json_str(comment, "body", "")))) {
        hook_github_nothing(req, "review");
        return;
    }
    hook_github_repositories(req, next);
}
