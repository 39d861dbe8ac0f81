#include "lib/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One row a class: what is stored, what HTTP says (RFC 9110), how `pj` exits, whether repeating may help. */
static const struct class_row {
    const char *word;
    int http_status;
    int exit_code;
    bool retryable;
} class_rows[] = {
    [PJ_E_OK] = {"ok", 200, 0, false},
    [PJ_E_INVALID] = {"invalid", 400, 2, false},
    [PJ_E_AUTH] = {"unauthorized", 401, 4, false},
    [PJ_E_FORBIDDEN] = {"forbidden", 403, 4, false},
    [PJ_E_NOT_FOUND] = {"not_found", 404, 3, false},
    [PJ_E_CONFLICT] = {"conflict", 409, 5, false},
    [PJ_E_LIMIT] = {"too_large", 413, 1, false},
    [PJ_E_RATE] = {"rate_limited", 429, 1, true},
    [PJ_E_TIMEOUT] = {"timeout", 504, 1, true},
    [PJ_E_UNAVAILABLE] = {"unavailable", 503, 1, true},
    [PJ_E_PROTOCOL] = {"bad_peer", 502, 1, false},
    [PJ_E_CANCELLED] = {"cancelled", 499, 130, false},
    [PJ_E_INTERNAL] = {"internal", 500, 1, false},
};

static const struct class_row *row_of(enum pj_err_class cls)
{
    size_t i = (size_t)cls;

    return &class_rows[i < PJ_COUNT_OF(class_rows) ? i : (size_t)PJ_E_INTERNAL];
}

static void start(struct pj_err *err, enum pj_err_class cls, const char *fmt, va_list ap)
{
    err->cls = cls;
    err->sys_errno = 0;
    err->code[0] = '\0';
    err->remedy[0] = '\0';
    (void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
}

int pj_fail(struct pj_err *err, enum pj_err_class cls, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    start(err, cls, fmt, ap);
    va_end(ap);
    return -1;
}

static enum pj_err_class class_of_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOENT:
    case ENOTDIR:
        return PJ_E_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return PJ_E_FORBIDDEN;
    case ETIMEDOUT:
        return PJ_E_TIMEOUT;
    case EEXIST:
        return PJ_E_CONFLICT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRINUSE:
        return PJ_E_UNAVAILABLE;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
        return PJ_E_LIMIT;
    default:
        return PJ_E_INTERNAL;
    }
}

int pj_fail_errno(struct pj_err *err, int sys_errno, const char *fmt, ...)
{
    size_t n;
    va_list ap;

    va_start(ap, fmt);
    start(err, class_of_errno(sys_errno), fmt, ap);
    va_end(ap);
    err->sys_errno = sys_errno;
    n = strlen(err->message);
    /* Of strerror_r() there are two kinds; strerror() is as safe with threads in glibc (from 2.32 on) and in musl. */
    (void)snprintf(err->message + n, sizeof(err->message) - n, ": %s", strerror(sys_errno));
    return -1;
}

int pj_err_wrap(struct pj_err *err, const char *fmt, ...)
{
    char inner[sizeof(err->message)];
    size_t n;
    va_list ap;

    memcpy(inner, err->message, sizeof(inner));
    va_start(ap, fmt);
    (void)vsnprintf(err->message, sizeof(err->message), fmt, ap);
    va_end(ap);
    n = strlen(err->message);
    (void)snprintf(err->message + n, sizeof(err->message) - n, ": %s", inner);
    return -1;
}

int pj_err_code(struct pj_err *err, const char *code)
{
    (void)snprintf(err->code, sizeof(err->code), "%s", code);
    return -1;
}

int pj_err_remedy(struct pj_err *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(err->remedy, sizeof(err->remedy), fmt, ap);
    va_end(ap);
    return -1;
}

void pj_err_clear(struct pj_err *err)
{
    memset(err, 0, sizeof(*err));
}

const char *pj_err_word(enum pj_err_class cls)
{
    return row_of(cls)->word;
}

const char *pj_err_code_of(const struct pj_err *err)
{
    return err->code[0] ? err->code : pj_err_word(err->cls);
}

int pj_err_http_status(enum pj_err_class cls)
{
    return row_of(cls)->http_status;
}

int pj_err_exit_code(enum pj_err_class cls)
{
    return row_of(cls)->exit_code;
}

bool pj_err_retryable(enum pj_err_class cls)
{
    return row_of(cls)->retryable;
}
