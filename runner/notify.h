/* notify.h - the outgoing webhook for the end of a task, in the form of Standard Webhooks (CONTRACT.md section 5). */
#ifndef RUNNER_NOTIFY_H
#define RUNNER_NOTIFY_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/forge/hosts.h"
#include "lib/http/client.h"
#include "lib/task/task.h"

/* {"type":"task.<status>","timestamp",…}; *out is initialised here. */
void notify_body(const struct pj_task *task, struct pj_str *out);
/* "v1,<base64>" of HMAC-SHA256 over "id.timestamp.body" under a `whsec_…` secret. INVALID when the secret is none. */
int notify_sign(const char *secret, const char *id, int64_t timestamp_s, struct pj_view body,
                struct pj_str *out, struct pj_err *err) PJ_MUST_CHECK;
/* How an address may be posted to. All zero: https, at any address. */
struct notify_way {
    bool plain;                                       /* http, too */
    bool (*may_dial)(const struct sockaddr *address); /* NULL: any */
};

/* May a user's address be posted to? https at a public address, which is judged again when it is dialled: its name may stand for another by
 * then; anything at a host that the operator lists as a forge. INVALID otherwise; UNAVAILABLE when the name is not known. */
int notify_guard(const struct pj_forges *forges, const char *url, struct notify_way *way,
                 struct pj_err *err) PJ_MUST_CHECK;

/* POST it. Any 2xx is delivered. INVALID: it will never be taken (410 Gone, a malformed URL); UNAVAILABLE: try again. */
int notify_send(struct pj_http *http, const char *url, const struct notify_way *way,
                const char *secret, const char *id, const struct pj_task *task,
                struct pj_err *err) PJ_MUST_CHECK;

#endif
