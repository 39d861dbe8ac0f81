/* err.h - the one way to signal failure.
 *
 * The caller owns a struct pj_err, passes it last, and reads it only after a negative result. 0 is done; a positive value is
 * a documented condition (PJ_NONE) that its caller handles and never passes on. Set once at the source by pj_fail(), then
 * only wrapped: the user reads the whole chain. Classes decide behaviour (stored word, HTTP status, exit code, retry);
 * `code` is the finer word of CONTRACT.md section 9 or of a problem document, empty when the class says enough. */
#ifndef PJ_BASE_ERR_H
#define PJ_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include "lib/base/cleanup.h"

#define PJ_NONE 1

enum pj_err_class {
    PJ_E_OK = 0,
    PJ_E_INVALID,   /* the caller's input is wrong */
    PJ_E_AUTH,      /* who are you */
    PJ_E_FORBIDDEN, /* you may not */
    PJ_E_NOT_FOUND,
    PJ_E_CONFLICT, /* not in this state */
    PJ_E_LIMIT,    /* a maximum of ours */
    PJ_E_RATE,     /* slow down */
    PJ_E_TIMEOUT,
    PJ_E_UNAVAILABLE, /* a peer is away; safe to repeat */
    PJ_E_PROTOCOL,    /* a peer said what it must not */
    PJ_E_CANCELLED,
    PJ_E_INTERNAL, /* our defect or a broken host */
};

struct pj_err {
    enum pj_err_class cls;
    int sys_errno;      /* 0 when no system call is to blame */
    char code[40];      /* snake_case, "" = the class's word */
    char message[1000]; /* the chain, outermost first */
    char remedy[400];   /* what to do, "" = nothing to add */
};

/* Fill *err and return -1. */
int pj_fail(struct pj_err *err, enum pj_err_class cls, const char *fmt, ...) PJ_PRINTF(3, 4);
/* The same for a failed system call: appends strerror; the class follows the errno (ENOENT: NOT_FOUND, EACCES and EPERM:
 * FORBIDDEN, ETIMEDOUT: TIMEOUT, ECONNREFUSED and kin: UNAVAILABLE, else INTERNAL). */
int pj_fail_errno(struct pj_err *err, int sys_errno, const char *fmt, ...) PJ_PRINTF(3, 4);
/* Put "text: " before the message; returns -1. */
int pj_err_wrap(struct pj_err *err, const char *fmt, ...) PJ_PRINTF(2, 3);
/* Set the finer code or the remedy; both return -1, so that `return pj_err_code(...)` reads well. */
int pj_err_code(struct pj_err *err, const char *code);
int pj_err_remedy(struct pj_err *err, const char *fmt, ...) PJ_PRINTF(2, 3);
void pj_err_clear(struct pj_err *err);

/* The class's stored word ("invalid", "auth", …), never NULL. */
const char *pj_err_word(enum pj_err_class cls);
/* err->code, or the class's word when it has none. */
const char *pj_err_code_of(const struct pj_err *err);
int pj_err_http_status(enum pj_err_class cls);
/* Exit code of `pj` (CONTRACT.md section 7). */
int pj_err_exit_code(enum pj_err_class cls);
bool pj_err_retryable(enum pj_err_class cls);
/* EX_CONFIG: a mistake in configuration, every program. */
#define PJ_EXIT_CONFIG 78

#endif
