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
#include "lib/crypto/secret.h"
#include "lib/store/async.h"
#include "lib/store/idem.h"

#define KEY_TEXT_MAX 200
#define KEPT_MAX (256 * 1024)

static void send_again(struct request *req, const char *kept, size_t n)
{
    struct pj_view rest = pj_view_n(kept, n), status_text, type, location;
    int64_t status = 0;

    (void)pj_view_cut(&rest, '\n', &status_text);
    (void)pj_view_cut(&rest, '\n', &type);
    (void)pj_view_cut(&rest, '\n', &location);
    if (pj_parse_i64(status_text, &status) < 0 || status < 200 || status > 499) {
        reply_problem(req, 500, "internal", NULL,
                      "the kept answer of this Idempotency-Key cannot be read");
        return;
    }
    char type_text[80];
    snprintf(type_text, sizeof type_text, "%.*s", (int)(type.n < 70 ? type.n : 70),
             type.p != NULL ? type.p : "");
    reply_header(req, "Idempotency-Replayed", "true");
    if (location.n > 0)
        reply_header(req, "Location", "%.*s", (int)location.n, location.p);
    reply_bytes(req, (int)status, type_text[0] != '\0' ? type_text : NULL,
                rest.n > 0 ? pj_strndup(rest.p, rest.n) : NULL, rest.n);
}

/* What the store keeps: "<status>\n<type>\n<location>\n<body>", sealed, since an answer may show a token that is shown once. */
static void replay(struct request *req, const char *key, const char *sealed, size_t sealed_n)
{
    PJ_CLEANUP(pj_str_release) struct pj_str kept;
    struct pj_err err;

    pj_str_init(&kept, KEPT_MAX + 256);
    if (pj_unseal(req->api->keyring, key, pj_view_n(sealed, sealed_n), &kept, &err) < 0)
        reply_problem(req, 500, "internal", NULL,
                      "the kept answer of this Idempotency-Key cannot be opened");
    else
        send_again(req, kept.data, kept.len);
}

struct waiting {
    char *key;
    void (*go)(struct request *req);
    void *ctx; /* the handler's, kept meanwhile */
    void (*ctx_free)(void *ctx);
};

static void waiting_free(void *ctx)
{
    struct waiting *w = ctx;

    free(w->key);
    if (w->ctx != NULL && w->ctx_free != NULL)
        w->ctx_free(w->ctx);
    free(w->ctx);
}

static void on_begin(struct request *req, const struct redisReply *reply)
{
    struct waiting *w = req->ctx;
    struct pj_idem_begun begun;
    struct pj_err err;

    if (pj_idem_begin_reply(reply, &begun, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    switch (begun.state) {
    case PJ_IDEM_FRESH: {
        void (*go)(struct request *) = w->go;
        req->idempotency = w->key;
        req->idempotency_since = begun.since;
        req->ctx = w->ctx;
        req->ctx_free = w->ctx_free;
        free(w);
        go(req);
        return;
    }
    case PJ_IDEM_DONE:
        replay(req, w->key, begun.answer, begun.answer_len);
        free(begun.answer);
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

void idempotency_with(struct request *req, const char *scope, const char *text, unsigned partition,
                      const char *fingerprint, void (*go)(struct request *req))
{
    struct waiting *w = pj_alloc(1, sizeof *w);
    char key[PJ_KEY_SIZE];
    struct pj_cmd cmd = {0};

    w->ctx = req->ctx;
    w->ctx_free = req->ctx_free;
    req->ctx = w;
    req->ctx_free = waiting_free;
    pj_idem_key(key, partition, scope, text);
    w->key = pj_strdup(key);
    w->go = go;
    pj_idem_begin_cmd(&cmd, key, fingerprint);
    request_redis(req, &cmd, on_begin);
}

void idempotency_begin(struct request *req, void (*go)(struct request *req))
{
    struct pj_view given = http_header(&req->head, "idempotency-key");
    char scope[64], text[KEY_TEXT_MAX + 1], fingerprint[65];

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
    struct pj_str whole;
    pj_str_init(&whole, HTTP_TARGET_MAX + req->body.len + 64);
    pj_str_append(&whole, req->head.method.p, req->head.method.n);
    pj_str_putc(&whole, ' ');
    pj_str_append(&whole, req->head.path.p, req->head.path.n);
    pj_str_putc(&whole, '\n');
    pj_str_append(&whole, req->body.data != NULL ? req->body.data : "", req->body.len);
    pj_sha256_hex(whole.data, whole.len, fingerprint);
    pj_str_release(&whole);
    idempotency_with(req, scope, text, pj_partition_of_user(req->who.user_id, req->api->partitions),
                     fingerprint, go);
}

struct finishing {
    void (*then)(void *arg);
    void *arg;
};

static void on_kept(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    const struct finishing f = *(struct finishing *)arg;

    if (reply == NULL)
        pj_log_err(PJ_LOG_WARN, "idempotency_not_kept", err, NULL, NULL);
    free(arg);
    f.then(f.arg);
}

static void keep(struct request *req, struct pj_cmd *cmd, struct pj_view answer)
{
    PJ_CLEANUP(pj_str_release) struct pj_str sealed;
    struct pj_err err;

    pj_str_init(&sealed, 2 * KEPT_MAX);
    if (pj_seal(req->api->keyring, req->idempotency, answer, &sealed, &err) == 0) {
        pj_idem_complete_cmd(cmd, req->idempotency, req->idempotency_since,
                             pj_view_n(sealed.data, sealed.len));
        return;
    }
    pj_log_err(PJ_LOG_WARN, "idempotency_not_kept", &err, "requestId", req->id);
    pj_idem_abandon_cmd(cmd, req->idempotency, req->idempotency_since);
}

/* The Location among the headers of the answer that is about to leave, or nothing. */
static struct pj_view location_of(struct request *req)
{
    static const char name[] = "Location: ";
    const char *at = strstr(pj_str_cstr(&req->headers), name);

    if (at == NULL)
        return pj_view_n("", 0);
    at += sizeof name - 1;
    return pj_view_n(at, strcspn(at, "\r"));
}

void idempotency_finish(struct request *req, int status, const char *type, const char *bytes,
                        size_t n, void (*then)(void *arg), void *arg)
{
    struct finishing *f = pj_alloc(1, sizeof *f);
    struct pj_cmd cmd = {0};

    f->then = then;
    f->arg = arg;

    if (status >= 500 || status == 429 || n > KEPT_MAX) {
        pj_idem_abandon_cmd(&cmd, req->idempotency, req->idempotency_since);
    } else {
        struct pj_str kept;
        pj_str_init(&kept, KEPT_MAX + 256);
        struct pj_view location = location_of(req);
        pj_str_putf(&kept, "%d\n%s\n%.*s\n", status, type != NULL ? type : "", (int)location.n,
                    location.p);
        if (n > 0)
            pj_str_append(&kept, bytes, n);
        keep(req, &cmd, pj_view_n(kept.data, kept.len));
        pj_wipe(kept.data, kept.len);
        pj_str_release(&kept);
    }
    pj_aredis_submit(req->api->redis, &cmd, on_kept, f);
}
