#include "sandbox/probe.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

bool probe_is_privileged(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    return geteuid() == 0 && syscall(SYS_capget, &head, data) == 0 && (data[0].effective & (1U << CAP_SYS_ADMIN));
}

bool probe_report(struct pj_str *out)
{
    pj_str_puts(out, "{}\n");
    return true;
}
