#include "api/idempotency.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/routes.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/store/async.h"
#include "lib/store/idem.h"

#define KEY_TEXT_MAX 200
#define KEPT_MAX (256 * 1024)

/* What the store keeps: "<status>\n<type>\n<body>". */
static void replay(struct request *req, const char *kept, size_t n)
{
    struct pj_view rest = pj_view_n(kept, n), status_text, type;
    int64_t status = 0;

    (void)pj_view_cut(&rest, '\n', &status_text);
    (void)pj_view_cut(&rest, '\n', &type);
    if (pj_parse_i64(status_text, &status) < 0 || status < 200 || status > 499) {
        reply_problem(req, 500, "internal", NULL, "the kept answer of this Idempotency-Key cannot be read");
        return;
    }
    char type_text[80];
    snprintf(type_text, sizeof type_text, "%.*s", (int)(type.n < 70 ? type.n : 70), type.p != NULL ? type.p : "");
    reply_header(req, "Idempotency-Replayed", "true");
    reply_bytes(req, (int)status, type_text[0] == 'a' ? strcmp(type_text, "application/json") == 0 ? "application/json" : "application/problem+json" : NULL,
                rest.n > 0 ? pj_strndup(rest.p, rest.n) : NULL, rest.n);
}

struct waiting { /* the handler's context does not exist yet */
    char *key;
    void (*go)(struct request *req);
};

static void waiting_free(void *ctx)
{
    struct waiting *w = ctx;

    free(w->key);
}

static void on_begin(struct request *req, const struct redisReply *reply)
{
    struct waiting *w = req->ctx;
    enum pj_idem state;
    PJ_CLEANUP(pj_freep) char *kept = NULL;
    size_t kept_n = 0;
    struct pj_err err;

    if (pj_idem_begin_reply(reply, &state, &kept, &kept_n, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    switch (state) {
    case PJ_IDEM_FRESH: {
        void (*go)(struct request *) = w->go;
        req->idempotency = w->key;
        w->key = NULL;
        free(req->ctx);
        req->ctx = NULL;
        req->ctx_free = NULL;
        go(req);
        return;
    }
    case PJ_IDEM_DONE:
        replay(req, kept, kept_n);
        return;
    case PJ_IDEM_RUNNING:
        reply_header(req, "Retry-After", "1");
        reply_problem(req, 409, "idempotency_in_progress", "wait, then send the same request again",
                      "the first request with this Idempotency-Key is still being answered");
        return;
    case PJ_IDEM_OTHER_BODY:
        reply_problem(req, 422, "idempotency_key_reused", "use a new key for a new request",
                      "this Idempotency-Key was used with another request");
        return;
    }
}

void idempotency_begin(struct request *req, void (*go)(struct request *req))
{
    struct pj_view given = http_header(&req->head, "idempotency-key");
    char scope[64], text[KEY_TEXT_MAX + 1], key[PJ_KEY_SIZE], fingerprint[65];
    struct pj_cmd cmd = {0};

    if (given.p == NULL) {
        go(req);
        return;
    }
    if (given.n == 0 || given.n > KEY_TEXT_MAX) {
        reply_fault(req, "Idempotency-Key", "has 1 to %d characters", KEY_TEXT_MAX);
        return;
    }
    memcpy(text, given.p, given.n);
    text[given.n] = '\0';
    snprintf(scope, sizeof scope, "u:%s", req->who.user_id);
    pj_idem_key(key, pj_partition_of_user(req->who.user_id, req->api->partitions), scope, text);
    struct pj_str whole;
    pj_str_init(&whole, HTTP_TARGET_MAX + req->body.len + 64);
    pj_str_append(&whole, req->head.method.p, req->head.method.n);
    pj_str_putc(&whole, ' ');
    pj_str_append(&whole, req->head.path.p, req->head.path.n);
    pj_str_putc(&whole, '\n');
    pj_str_append(&whole, req->body.data != NULL ? req->body.data : "", req->body.len);
    pj_sha256_hex(whole.data, whole.len, fingerprint);
    pj_str_release(&whole);
    struct waiting *w = request_ctx(req, sizeof *w, waiting_free);
    w->key = pj_strdup(key);
    w->go = go;
    pj_idem_begin_cmd(&cmd, key, fingerprint);
    request_redis(req, &cmd, on_begin);
}

static void on_kept(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    (void)arg;
    if (reply == NULL)
        pj_log_err(PJ_LOG_WARN, "idempotency_not_kept", err, NULL, NULL);
}

void idempotency_finish(struct request *req, int status, const char *type, const char *bytes, size_t n)
{
    struct pj_cmd cmd = {0};

    if (status >= 500 || status == 429 || n > KEPT_MAX) {
        pj_idem_abandon_cmd(&cmd, req->idempotency);
    } else {
        struct pj_str kept;
        pj_str_init(&kept, KEPT_MAX + 256);
        pj_str_putf(&kept, "%d\n%s\n", status, type != NULL ? type : "");
        if (n > 0)
            pj_str_append(&kept, bytes, n);
        pj_idem_complete_cmd(&cmd, req->idempotency, pj_view_n(kept.data, kept.len));
        pj_wipe(kept.data, kept.len);
        pj_str_release(&kept);
    }
    pj_aredis_submit(req->api->redis, &cmd, on_kept, NULL);
}
