/* What is put on a pull request that is there: comment, labels, requests for a review. Each may be repeated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/pull_impl.h"

#define COMMENTS_LOOKED_AT 100

/* PJ_NONE: no comment with this text yet. */
static int find_comment(struct pull_op *op, const char *path, const char *text, struct pj_err *err)
{
    char since[PJ_RFC3339_SIZE] = "";
    if (op->spec->comments_since_ms > 0)
        (void)pj_rfc3339(op->spec->comments_since_ms, since);
    PJ_CLEANUP(pj_freep)
    char *list = pj_asprintf("%s?per_page=%d%s%s", path, COMMENTS_LOOKED_AT,
                             since[0] != '\0' ? "&since=" : "", since);
    const json_t *item = NULL;
    size_t i = 0;

    if (pull_op_call(op, "GET", list, NULL, err) < 0)
        return -1;
    if (op->answer.rate_limited || op->answer.status >= 500)
        return pj_rest_fail(&op->answer, "read the comments", err);
    /* A token that may write but not read them: the comment itself tells. */
    json_array_foreach(op->answer.doc, i, item)
    {
        if (strcmp(pj_json_str(item, "body", ""), text) == 0)
            return 0;
    }
    return PJ_NONE;
}

static int add_comment(struct pull_op *op, const char *path, const char *text, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *body = json_pack("{s:s}", "body", text);

    if (body == NULL)
        return pj_fail(err, PJ_E_INTERNAL, "the comment is not valid UTF-8");
    if (pull_op_call(op, "POST", path, body, err) < 0)
        return -1;
    return op->answer.status == 201 ? 0
                                    : pj_rest_fail(&op->answer, "comment on the pull request", err);
}

int pull_comment(const struct pull_forge *forge, const struct pull_spec *spec, int64_t number,
                 const char *text, struct pull_upstream *upstream, struct pj_err *err)
{
    struct pull_op op = {.forge = forge, .spec = spec, .upstream = upstream};
    char rest[64];
    int rc = 0;
    int more = 1;

    memset(upstream, 0, sizeof(*upstream));
    if (pull_check_forge(forge, err) < 0)
        return -1;
    (void)snprintf(rest, sizeof(rest), "/issues/%lld/comments", (long long)number);
    PJ_CLEANUP(pj_freep) char *path = pull_op_path(&op, rest);
    pull_op_begin(&op);
    do {
        rc = find_comment(&op, path, text, err);
        if (rc == PJ_NONE)
            rc = add_comment(&op, path, text, err);
        if (rc < 0)
            more = pull_op_again(&op, err);
    } while (rc < 0 && more > 0);
    pull_op_end(&op);
    return rc;
}

/* One call that may be repeated, with all tries. */
static int tried(const struct pull_forge *forge, const struct pull_spec *spec, const char *method,
                 const char *rest, const json_t *body, const char *what, json_t **doc,
                 struct pull_upstream *upstream, struct pj_err *err)
{
    struct pull_op op = {.forge = forge, .spec = spec, .upstream = upstream};
    PJ_CLEANUP(pj_freep) char *path = pull_op_path(&op, rest);
    int more = 1;
    int rc = 0;

    memset(upstream, 0, sizeof(*upstream));
    if (pull_check_forge(forge, err) < 0)
        return -1;
    pull_op_begin(&op);
    do {
        rc = pull_op_call(&op, method, path, body, err);
        if (rc == 0 && (op.answer.status < 200 || op.answer.status > 299))
            rc = pj_rest_fail(&op.answer, what, err);
        if (rc < 0)
            more = pull_op_again(&op, err);
    } while (rc < 0 && more > 0);
    if (rc == 0 && doc != NULL)
        *doc = json_incref(op.answer.doc);
    pull_op_end(&op);
    return rc;
}

static json_t *texts(char *const *list)
{
    json_t *out = json_array();

    for (; *list != NULL; list++)
        (void)json_array_append_new(out, json_string(*list));
    return out;
}

int pull_label(const struct pull_forge *forge, const struct pull_spec *spec, int64_t number,
               char *const *labels, struct pull_upstream *upstream, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *body = json_pack("{s:o}", "labels", texts(labels));
    PJ_CLEANUP(pj_freep) char *rest = pj_asprintf("/issues/%lld/labels", (long long)number);

    return tried(forge, spec, "POST", rest, body, "label the pull request", NULL, upstream, err);
}

int pull_request_review(const struct pull_forge *forge, const struct pull_spec *spec,
                        int64_t number, char *const *reviewers, struct pull_upstream *upstream,
                        struct pj_err *err)
{
    PJ_CLEANUP(pj_freep)
    char *rest = pj_asprintf("/pulls/%lld/requested_reviewers", (long long)number);
    json_t *people = json_array();
    json_t *teams = json_array();

    for (; *reviewers != NULL; reviewers++) {
        const char *slash = strchr(*reviewers, '/');
        (void)json_array_append_new(slash != NULL ? teams : people,
                                    json_string(slash != NULL ? slash + 1 : *reviewers));
    }
    PJ_CLEANUP(pj_json_decrefp)
    json_t *body = json_pack("{s:o, s:o}", "reviewers", people, "team_reviewers", teams);
    return tried(forge, spec, "POST", rest, body, "ask for a review", NULL, upstream, err);
}

int pull_repository_id(const struct pull_forge *forge, const struct pull_spec *spec, int64_t *id,
                       struct pull_upstream *upstream, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    if (tried(forge, spec, "GET", "", NULL, "look at the repository", &doc, upstream, err) < 0)
        return -1;
    *id = pj_json_i64(doc, "id", 0);
    return *id > 0 ? 0 : pj_fail(err, PJ_E_PROTOCOL, "the forge does not say the repository's id");
}

int pull_state(const struct pull_forge *forge, const struct pull_spec *spec, int64_t number,
               const char **state, struct pull_upstream *upstream, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    PJ_CLEANUP(pj_freep) char *rest = pj_asprintf("/pulls/%lld", (long long)number);

    if (tried(forge, spec, "GET", rest, NULL, "look at the pull request", &doc, upstream, err) < 0)
        return -1;
    if (pj_json_bool(doc, "merged", false))
        *state = "merged";
    else
        *state = strcmp(pj_json_str(doc, "state", ""), "open") == 0 ? "open" : "closed";
    return 0;
}
