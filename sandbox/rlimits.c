#include "sandbox/rlimits.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sandbox/step.h"
#include "sandbox/weaken.h"

#define PIDS_DEFAULT 8192

struct row {
    int resource;
    rlim_t soft, hard;
    const char *name, *why;
};

static int lower(const struct row *row, struct pj_err *err)
{
    struct rlimit now, wanted = {row->soft, row->hard};

    /* By its number: glibc and musl disagree on the type that getrlimit() takes. */
    if (syscall(SYS_prlimit64, 0, row->resource, NULL, &now) < 0)
        return step_fail(err, "rlimits", errno, NULL, "cannot read %s", row->name);
    if (now.rlim_max < wanted.rlim_max)
        wanted.rlim_max = now.rlim_max;
    if (wanted.rlim_max < wanted.rlim_cur)
        wanted.rlim_cur = wanted.rlim_max;
    if (syscall(SYS_prlimit64, 0, row->resource, &wanted, NULL) < 0)
        return step_fail(err, "rlimits", errno, NULL, "cannot set %s", row->name);
    return 0;
}

int rlimits_apply(const struct rlimits *limits, struct pj_err *err)
{
    rlim_t pids = limits->pids ? (rlim_t)limits->pids : PIDS_DEFAULT;
    const struct row rows[] = {
        {RLIMIT_CORE, 0, 0, "core size", "no core files, no core handler of the host"},
        {RLIMIT_MEMLOCK, 8 << 20, 8 << 20, "locked memory", "locked pages cannot be reclaimed"},
        {RLIMIT_MSGQUEUE, 819200, 819200, "message queues", "kernel memory"},
        {RLIMIT_NICE, 0, 0, "nice", "no priority above others"},
        {RLIMIT_NOFILE, 4096, 65536, "open files", "kernel memory"},
        {RLIMIT_RTPRIO, 0, 0, "realtime priority", "no realtime scheduling"},
        {RLIMIT_SIGPENDING, 4096, 4096, "pending signals", "kernel memory"},
        {RLIMIT_STACK, 8 << 20, RLIM_INFINITY, "stack", "the usual"},
        {RLIMIT_NPROC, pids, pids, "processes", "fork bombs; counted in our user namespace"},
    };
    struct row extra[] = {
        {RLIMIT_DATA, (rlim_t)limits->memory_bytes, (rlim_t)limits->memory_bytes, "private memory",
         "no memory cgroup"},
        {RLIMIT_CPU, (rlim_t)limits->cpu_seconds, (rlim_t)limits->cpu_seconds, "processor time",
         "no cpu cgroup"},
    };

    if (weakened("rlimits"))
        return 0;
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        if (lower(&rows[i], err) < 0)
            return -1;
    }
    if (limits->memory_bytes && lower(&extra[0], err) < 0)
        return -1;
    if (limits->cpu_seconds && lower(&extra[1], err) < 0)
        return -1;
    return 0;
}
