/* hooks.h - webhooks that come in: signature, duplicate, order (CONTRACT.md section 5). */
#ifndef API_HOOKS_H
#define API_HOOKS_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/view.h"

struct request;

void hook_execution(struct request *req);
void hook_github(struct request *req);

/* Log `webhook_rejected` and answer 401. */
void hook_reject(struct request *req, const char *sender, const char *why);

#define HOOK_TOLERANCE_S 300

/* Standard Webhooks: is one of the "v1,<base64>" signatures in `header` that of "id.timestamp.body" under `secret`
 * ("whsec_<base64>")? Compares in constant time. */
bool hook_signed(const char *secret, struct pj_view id, struct pj_view timestamp,
                 struct pj_view body, struct pj_view header);
/* GitHub: "sha256=<hex>" of the body under the secret's text. */
bool hook_signed_github(const char *secret, struct pj_view body, struct pj_view header);
/* Unix seconds within five minutes of `now_ms`. */
bool hook_is_fresh(struct pj_view timestamp, int64_t now_ms);

#endif
