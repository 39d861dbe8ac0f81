#include "runner/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/json/codec.h"

#define KEY_MAX 128
#define BODY_MAX ((size_t)512 * 1024)
#define REJECTS_MAX 50 /* a path and a reason each: far below BODY_MAX */

/* What of the kept patch did not apply, the first of it. */
static void put_rejects(json_t *doc, const json_t *rejects)
{
    json_t *list;

    if (json_array_size(rejects) == 0)
        return;
    list = json_array();
    for (size_t i = 0; i < json_array_size(rejects) && i < REJECTS_MAX; i++)
        (void)json_array_append(list, json_array_get(rejects, i));
    (void)json_object_set_new(doc, "rejects", list);
}

void notify_body(const struct pj_task *task, struct pj_str *out)
{
    char at[PJ_RFC3339_SIZE];
    PJ_CLEANUP(pj_json_decrefp)
    json_t *doc = json_pack(
        "{s:o, s:s, s:s, s:s, s:s, s:s?, s:I, s:s?, s:s?, s:s?}", "type",
        json_sprintf("task.%s", pj_task_status_word((enum pj_task_status)task->status)),
        "timestamp", pj_rfc3339(task->finished_ms, at), "taskId", task->id, "repositoryId",
        task->repository_id, "status", pj_task_status_word((enum pj_task_status)task->status),
        "title", task->title, "attempt", (json_int_t)task->attempt, "branchName", task->branch,
        "prUrl", task->pr_url, "question", task->question);

    if (task->error.code != NULL)
        (void)json_object_set_new(
            doc, "error",
            json_pack("{s:s, s:s?}", "code", task->error.code, "message", task->error.detail));
    put_rejects(doc, task->rejects);
    pj_str_init(out, BODY_MAX);
    if (pj_json_dump(doc, out) < 0)
        pj_str_clear(out); /* cannot be: every member has a bound of its own */
}

int notify_sign(const char *secret, const char *id, int64_t timestamp_s, struct pj_view body,
                struct pj_str *out, struct pj_err *err)
{
    uint8_t key[KEY_MAX], mac[PJ_SHA256_SIZE];
    size_t n = 0;
    struct pj_str text;

    if (strncmp(secret, "whsec_", 6) != 0 ||
        pj_base64_decode(pj_view_of(secret + 6), key, sizeof(key), &n) < 0 || n == 0) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_NOTIFY_SECRET is not whsec_ and base64");
        return pj_err_remedy(err, "make one with: echo whsec_$(head -c 24 /dev/urandom | base64)");
    }
    pj_str_init(&text, body.n + strlen(id) + 32);
    (void)pj_str_putf(&text, "%s.%lld.", id, (long long)timestamp_s);
    (void)pj_str_append(&text, body.p, body.n);
    pj_hmac_sha256(key, n, text.data, text.len, mac);
    (void)pj_str_puts(out, "v1,");
    (void)pj_base64_encode(out, mac, sizeof(mac));
    pj_wipe(key, sizeof(key));
    pj_str_release(&text);
    return 0;
}

static int judge(int status, const struct pj_str *answer, struct pj_err *err)
{
    if (status >= 200 && status < 300)
        return 0;
    return pj_fail(err, status == 410 ? PJ_E_INVALID : PJ_E_UNAVAILABLE, "answered %d: %.200s",
                   status, pj_str_cstr(answer));
}

int notify_send(struct pj_http *http, const char *url, const struct notify_way *way,
                const char *secret, const char *id, const struct pj_task *task, struct pj_err *err)
{
    int64_t now = pj_now_ms() / 1000;
    char stamp[24];
    struct pj_str body, signature;
    struct pj_http_response res;
    const struct pj_http_header headers[] = {
        {"Content-Type", "application/json"},
        {"webhook-id", id},
        {"webhook-timestamp", pj_i64_str(stamp, now)},
        {"webhook-signature", NULL},
    };
    struct pj_http_header filled[PJ_COUNT_OF(headers)];
    struct pj_http_request req = {
        .method = "POST",
        .url = url,
        .headers = filled,
        .header_count = PJ_COUNT_OF(filled),
        .allow_plain = way->plain,
        .may_dial = way->may_dial,
        .max_body = 16 * 1024,
        .timeout_ms = 20000,
    };
    int rc;

    memcpy(filled, headers, sizeof(headers));
    notify_body(task, &body);
    pj_str_init(&signature, 256);
    rc = notify_sign(secret, id, now, pj_view_n(body.data, body.len), &signature, err);
    if (rc == 0) {
        filled[3].value = pj_str_cstr(&signature);
        req.body = body.data;
        req.body_len = body.len;
        rc = pj_http_do(http, &req, &res, err);
        if (rc == 0)
            rc = judge(res.status, &res.body, err);
        pj_http_response_release(&res);
    }
    pj_str_release(&body);
    pj_str_release(&signature);
    return rc;
}
