/* rules.h - which system calls the box may make, as tables with a reason a row.
 *
 * Two tables, of which the stricter answer counts; seccomp_gen.c joins them to one filter. The first is an allow-list
 * by number: what it does not name does not exist (ENOSYS, so that programs fall back), what it
 * names as refused gives EPERM, and a call of a foreign ABI (i386, x32) kills. The second
 * refuses by argument and lets the rest pass to the first; every comparison is masked to the
 * width that the kernel reads, since high bits of a register are the caller's (CVE-2019-10063). */
#ifndef SANDBOX_RULES_H
#define SANDBOX_RULES_H

#include <stddef.h>
#include <stdint.h>

enum rule_action { RULE_ALLOW, RULE_EPERM };

struct rule_call {
    int nr; /* libseccomp's number; negative where this machine has no such call */
    const char *name;
    enum rule_action action;
    const char *why;
};

enum rule_compare {
    RULE_ANY,    /* this condition is absent */
    RULE_MASKED, /* (argument & mask) == value */
    RULE_ABOVE,  /* argument > value, all 64 bits */
};

struct rule_condition {
    enum rule_compare compare;
    unsigned arg;
    uint64_t mask;
    uint64_t value;
};

struct rule_argument {
    int nr;
    const char *name;
    int sys_errno;
    struct rule_condition first, second; /* both must hold; `second` may be RULE_ANY */
    const char *why;
};

extern const struct rule_call rule_calls[];
extern const size_t rule_call_count;
extern const struct rule_argument rule_arguments[];
extern const size_t rule_argument_count;

#endif
