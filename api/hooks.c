#include "api/hooks.h"

#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"

void hook_reject(struct request *req, const char *sender, const char *why)
{
    req->api->metrics.webhooks_rejected++;
    pj_log(PJ_LOG_WARN, "webhook_rejected", "sender", sender, "repositoryId",
           req->param[0][0] != '\0' ? req->param[0] : NULL, "detail", why, "client", req->client,
           "requestId", req->id, NULL);
    reply_problem(req, 401, "invalid_signature",
                  "sign the body with the repository's webhook secret",
                  "the webhook is not accepted");
}

bool hook_signed(const char *secret, struct pj_view id, struct pj_view timestamp,
                 struct pj_view body, struct pj_view header)
{
    uint8_t key[128], mac[PJ_SHA256_SIZE], given[PJ_SHA256_SIZE + 1];
    size_t key_n = 0, given_n = 0;
    struct pj_view item;
    bool found = false;

    if (strncmp(secret, "whsec_", 6) != 0 ||
        pj_base64_decode(pj_view_of(secret + 6), key, sizeof key, &key_n) < 0)
        return false;
    struct pj_str text;
    pj_str_init(&text, id.n + timestamp.n + body.n + 2);
    pj_str_append(&text, id.p, id.n);
    pj_str_putc(&text, '.');
    pj_str_append(&text, timestamp.p, timestamp.n);
    pj_str_putc(&text, '.');
    pj_str_append(&text, body.n > 0 ? body.p : "", body.n);
    pj_hmac_sha256(key, key_n, text.data, text.len, mac);
    pj_str_release(&text);
    pj_wipe(key, sizeof key);
    while (header.p != NULL && pj_view_cut(&header, ' ', &item))
        if (pj_view_starts(item, "v1,") &&
            pj_base64_decode(pj_view_n(item.p + 3, item.n - 3), given, sizeof given, &given_n) == 0)
            found |= pj_const_eq(given, given_n, mac, sizeof mac);
    return found;
}

bool hook_signed_github(const char *secret, struct pj_view body, struct pj_view header)
{
    uint8_t mac[PJ_SHA256_SIZE];
    char hex[2 * PJ_SHA256_SIZE + 1];

    if (!pj_view_starts(header, "sha256="))
        return false;
    pj_hmac_sha256(secret, strlen(secret), body.n > 0 ? body.p : "", body.n, mac);
    pj_hex(mac, sizeof mac, hex);
    return pj_const_eq(header.p + 7, header.n - 7, hex, 2 * PJ_SHA256_SIZE);
}

bool hook_is_fresh(struct pj_view timestamp, int64_t now_ms)
{
    int64_t at;

    if (pj_parse_i64(timestamp, &at) < 0 || at < 0 || at > 1000000000000)
        return false;
    int64_t away = now_ms / 1000 - at;
    return away <= HOOK_TOLERANCE_S && away >= -HOOK_TOLERANCE_S;
}
