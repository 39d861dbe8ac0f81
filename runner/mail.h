/* mail.h - the words of a mail: one template a case (mail/<case>.txt), plain text and HTML made from the same lines.
 *
 * The first line of a template is the subject. {{name}} is a hole; a line with a hole that has nothing to show is left out. In
 * the HTML part every value is escaped and addresses of ours become links. */
#ifndef RUNNER_MAIL_H
#define RUNNER_MAIL_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/task/task.h"

struct mail_facts {
    const char *template_name; /* "completed", "failed", "needs_review", "needs_clarification" */
    const struct pj_task *task;
    const char *repository; /* its name; may be NULL */
    const char *public_url; /* NULL: no links to the task */
    const char *message_id; /* stable: the outbox record's id */
    const char *from, *to;  /* as in PJ_MAIL_FROM; an address */
    int64_t date_ms;
};

#define MAIL_MAX ((size_t)256 * 1024)

/* The whole message, ready for pj_smtp_send(). *out is initialised here. INVALID when there is no such template. */
int mail_compose(const struct mail_facts *facts, struct pj_str *out,
                 struct pj_err *err) PJ_MUST_CHECK;
/* "Name <a@b>" -> "a@b"; owned by the caller. */
char *mail_bare_address(const char *text);

#endif
