/* helpers.h - blocking work off the loop and out of this process: a program of ours, started for one question at a time.
 *
 * It reads the question on its standard input, writes the answer to its standard output and leaves. What it links (libgit2,
 * libcurl and all that these bring) costs memory only while it runs, and what a hostile peer does to it ends with it. Few
 * run at once, few wait, each has a deadline; all of them end with us. */
#ifndef API_HELPERS_H
#define API_HELPERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

#define HELPERS_RUNNING_MAX 4
#define HELPERS_WAITING_MAX 64

struct event_base;
struct helpers;

struct helpers_options {
    const char *program;          /* its name; it lies beside ours */
    const char *proxy, *no_proxy; /* for its HTTPS_PROXY and NO_PROXY; NULL: none */
    size_t answer_max;            /* bytes */
    int64_t wait_ms, run_ms;      /* longest in the queue, and at work */
};

/* NOT_FOUND when the program is not there. */
int helpers_new(struct event_base *base, const struct helpers_options *options,
                struct helpers **out, struct pj_err *err) PJ_MUST_CHECK;
/* Ends what runs; every `then` that is owed is called, with CANCELLED. */
void helpers_free(struct helpers *helpers);

/* What it said, or with err: TIMEOUT, CANCELLED, UNAVAILABLE (it died, or said too much). The view is borrowed. */
typedef void helpers_then(void *arg, struct pj_view answer, const struct pj_err *err);
/* Ask. The question's content is taken (and wiped once it was handed over). False when too many wait: nothing was taken. */
bool helpers_ask(struct helpers *helpers, struct pj_str *question, helpers_then *then,
                 void *arg) PJ_MUST_CHECK;

#endif
