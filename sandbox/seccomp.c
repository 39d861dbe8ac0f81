#include "sandbox/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sandbox/step.h"
#include "sandbox/weaken.h"

/* Compiling 380 rules takes libseccomp more than a millisecond, longer than all the rest of a
 * start; seccomp_gen.c does it once, at build time, and writes the programs as numbers. */
#include "seccomp_filters.h"

static int load(const struct sock_filter *filter, size_t count, struct pj_err *err)
{
    /* The kernel only reads it. */
    struct sock_filter *program =
        (struct sock_filter *)(uintptr_t)filter; /* NOLINT(performance-no-int-to-ptr) */
    struct sock_fprog prog = {.len = (unsigned short)count, .filter = program};

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
        return step_fail(err, "seccomp", errno, "use a kernel with CONFIG_SECCOMP_FILTER",
                         "cannot load the filter");
    return 0;
}

#ifdef SANDBOX_WEAKEN
static int apply_half(struct pj_err *err)
{
    return weakened("seccomp-calls") ? load(argument_filter, PJ_COUNT_OF(argument_filter), err)
                                     : load(call_filter, PJ_COUNT_OF(call_filter), err);
}
#endif

int seccomp_apply(struct pj_err *err)
{
#ifdef SANDBOX_WEAKEN
    if (weakened("seccomp-calls") || weakened("seccomp-arguments"))
        return apply_half(err);
#endif
    return load(whole_filter, PJ_COUNT_OF(whole_filter), err);
}
