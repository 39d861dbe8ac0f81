/* CodeRabbit: the configuration file against its published schema, a review asked for by its API. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "runner/coderabbit.h"
#include "tests/support/stand_in.h"

/* What schema v2 (https://coderabbit.ai/integrations/schema.v2.json, JSON Schema draft 7) says of the names that the file uses. All
 * of its objects have additionalProperties false, so a name that is not here would be refused. */
enum kind { OBJECT, BOOLEAN, WORD };
static const struct {
    const char *path;
    enum kind kind;
    const char *words; /* of the enumeration, blanks around each */
} schema[] = {
    {"chat", OBJECT, NULL},
    {"chat.auto_reply", BOOLEAN, NULL},
    {"language", WORD, " en-US en-GB de de-DE fr es ja ko-KR "},
    {"reviews", OBJECT, NULL},
    {"reviews.auto_review", OBJECT, NULL},
    {"reviews.auto_review.auto_incremental_review", BOOLEAN, NULL},
    {"reviews.auto_review.drafts", BOOLEAN, NULL},
    {"reviews.auto_review.enabled", BOOLEAN, NULL},
    {"reviews.high_level_summary", BOOLEAN, NULL},
    {"reviews.poem", BOOLEAN, NULL},
    {"reviews.profile", WORD, " chill assertive "},
    {"reviews.request_changes_workflow", BOOLEAN, NULL},
    {"reviews.review_status", BOOLEAN, NULL},
};

static void assert_valid(const char *path, const char *value)
{
    for (size_t i = 0; i < PJ_COUNT_OF(schema); i++) {
        PJ_CLEANUP(pj_freep) char *word = pj_asprintf(" %s ", value);
        if (strcmp(schema[i].path, path) != 0)
            continue;
        if (schema[i].kind == OBJECT)
            cr_expect_str_empty(value, "%s is an object", path);
        else if (schema[i].kind == BOOLEAN)
            cr_expect(strcmp(value, "true") == 0 || strcmp(value, "false") == 0, "%s: %s", path,
                      value);
        else
            cr_expect_not_null(strstr(schema[i].words, word), "%s: %s", path, value);
        return;
    }
    cr_expect_fail("the schema has no %s", path);
}

/* Block mappings of scalars, two blanks a level: all that the file uses of YAML. */
Test(coderabbit, r4_3_the_file_is_valid_by_the_published_schema)
{
    struct pj_view rest = pj_view_of(coderabbit_yaml()), line;
    char path[4][64] = {{0}};
    size_t values = 0;

    cr_expect(pj_view_starts(rest, "# yaml-language-server: $schema=https://coderabbit.ai/"
                                   "integrations/schema.v2.json\n"));
    while (pj_view_cut(&rest, '\n', &line)) {
        size_t blanks = 0;
        char value[64] = "";
        char full[300] = "";
        if (line.n == 0 || line.p[0] == '#')
            continue;
        while (blanks < line.n && line.p[blanks] == ' ')
            blanks++;
        size_t level = blanks / 2;
        cr_assert(blanks % 2 == 0 && level < PJ_COUNT_OF(path), "%.*s", (int)line.n, line.p);
        cr_assert_geq(sscanf(line.p + blanks, "%63[a-z_]:%63[^\n]", path[level], value), 1);
        for (size_t i = 0; i <= level; i++)
            (void)snprintf(full + strlen(full), sizeof(full) - strlen(full), "%s%s",
                           i > 0 ? "." : "", path[i]);
        assert_valid(full, value[0] == ' ' ? value + 1 : value);
        values += value[0] != '\0';
    }
    cr_expect_gt(values, 5U);
}

/* ---- the API ---- */

struct peer {
    int status[8]; /* of the answers, in order; the last one goes on */
    unsigned asked;
    const char *wait; /* Retry-After */
};

static void answer(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    struct peer *peer = ctx;
    int status = peer->status[peer->asked];

    (void)r;
    if (peer->status[peer->asked + 1] != 0)
        peer->asked++;
    if (peer->wait != NULL && status != 202)
        stand_in_add_header(x, "Retry-After", peer->wait);
    stand_in_reply_text(
        x, status, "application/json",
        status == 202 ? "{\"accepted\":true,\"message\":\"queued\",\"observed_head_sha\":\"x\"}"
                      : "{\"error\":{\"code\":\"c\",\"message\":\"the words of the peer\"}}");
}

static int ask(struct peer *peer, size_t *calls, struct pj_err *err)
{
    struct stand_in *s = stand_in_start(0, answer, peer);
    const struct coderabbit_api api = {
        .base_url = stand_in_url(s), .key = "cr-key", .retry_base_ms = 1};
    int rc = coderabbit_ask(&api, 4711, 12, err);
    const struct stand_in_request *r = stand_in_request_at(s, 0);

    cr_expect_str_eq(r->method, "POST");
    cr_expect_str_eq(r->path, "/repositories/4711/pull-requests/12/review");
    cr_expect_str_eq(stand_in_header(r, "x-coderabbitai-api-key"), "cr-key");
    *calls = stand_in_count(s);
    stand_in_stop(s);
    return rc;
}

Test(coderabbit, r4_3_a_review_is_asked_for_by_its_api)
{
    struct peer peer = {.status = {202}};
    struct pj_err err;
    size_t calls;

    cr_assert_eq(ask(&peer, &calls, &err), 0, "%s", err.message);
    cr_expect_eq(calls, 1U);
}

Test(coderabbit, r4_3_transient_refusals_are_tried_again)
{
    struct peer peer = {.status = {429, 503, 202}, .wait = "0"};
    struct pj_err err;
    size_t calls;

    cr_assert_eq(ask(&peer, &calls, &err), 0, "%s", err.message);
    cr_expect_eq(calls, 3U);
}

Test(coderabbit, r4_3_what_stays_refused_is_told_in_its_own_words)
{
    static const struct {
        int status;
        size_t calls;
        enum pj_err_class cls;
    } rows[] = {{401, 1, PJ_E_AUTH},
                {404, 1, PJ_E_INVALID},
                {503, 4, PJ_E_UNAVAILABLE},
                {429, 4, PJ_E_RATE}};

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        struct peer peer = {.status = {rows[i].status}};
        struct pj_err err;
        size_t calls;

        cr_assert_lt(ask(&peer, &calls, &err), 0);
        cr_expect_eq(calls, rows[i].calls, "%d: %zu calls", rows[i].status, calls);
        cr_expect_eq(err.cls, rows[i].cls);
        cr_expect_not_null(strstr(err.message, "the words of the peer"), "%s", err.message);
        cr_expect(rows[i].status != 401 || strstr(err.remedy, "CODERABBIT_API_KEY") != NULL);
    }
}
