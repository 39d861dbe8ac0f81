#include "sandbox/step.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int step_fail(struct pj_err *err, const char *step, int sys_errno, const char *remedy,
              const char *fmt, ...)
{
    char what[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (sys_errno)
        pj_fail_errno(err, sys_errno, "%s", what);
    else
        pj_fail(err, PJ_E_INVALID, "%s", what);
    err->sys_errno = sys_errno;
    snprintf(err->code, sizeof err->code, "%s", step);
    if (remedy)
        snprintf(err->remedy, sizeof err->remedy, "%s", remedy);
    return -1;
}
