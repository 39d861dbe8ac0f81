/* smtp.h - hand one mail to a mail server (libcurl). Blocking, for a process that does nothing else meanwhile. */
#ifndef PJ_HTTP_SMTP_H
#define PJ_HTTP_SMTP_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/view.h"

struct pj_smtp {
    const char *url;             /* smtp://host[:port] or smtps://… */
    const char *user, *password; /* NULL: no AUTH */
    bool
        tls_required; /* smtp:// only: fail rather than speak in the clear; else STARTTLS when offered */
    const char *ca_file; /* NULL: the system's */
    int64_t timeout_ms;  /* 0: 30 s */
};

/* Send `message` (headers, empty line, body, CRLF lines) from the envelope address `from` to `to`, both bare addresses. Fails with
 * INVALID when the server refused the mail for good (5xx), UNAVAILABLE when another try may help, also with another login; the message holds its words. */
int pj_smtp_send(const struct pj_smtp *server, const char *from, const char *to,
                 struct pj_view message, struct pj_err *err) PJ_MUST_CHECK;

#endif
