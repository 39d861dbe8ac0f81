/* seccomp_gen.c - build tool: compiles the tables of rules.c with libseccomp into seccomp_filters.h (its only argument). */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "sandbox/rules.h"

static void check(int rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "seccomp_gen: %s: %s\n", what, strerror(-rc));
        exit(1);
    }
}

static scmp_filter_ctx new_filter(uint32_t default_action)
{
    scmp_filter_ctx ctx = seccomp_init(default_action);

    check(ctx ? 0 : -ENOMEM, "seccomp_init");
    check(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "bad architecture");
    check(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree");
    return ctx;
}

static struct scmp_arg_cmp comparison(const struct rule_condition *c)
{
    if (c->compare == RULE_ABOVE)
        return SCMP_CMP64(c->arg, SCMP_CMP_GT, c->value);
    return SCMP_CMP64(c->arg, SCMP_CMP_MASKED_EQ, c->mask, c->value);
}

static void emit(FILE *out, scmp_filter_ctx ctx, const char *name)
{
    struct sock_filter ins;
    int fd = memfd_create(name, MFD_CLOEXEC);

    check(fd < 0 ? -errno : 0, "memfd_create");
    check(seccomp_export_bpf(ctx, fd), "seccomp_export_bpf");
    check(lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0, "lseek");
    fprintf(out, "static const struct sock_filter %s[] = {\n", name);
    while (read(fd, &ins, sizeof ins) == (ssize_t)sizeof ins)
        fprintf(out, "    {0x%02x, %u, %u, 0x%08x},\n", (unsigned)ins.code, (unsigned)ins.jt, (unsigned)ins.jf, ins.k);
    fputs("};\n", out);
    close(fd);
    seccomp_release(ctx);
}

int main(int argc, char **argv)
{
    scmp_filter_ctx calls = new_filter(SCMP_ACT_ERRNO(ENOSYS)), arguments = new_filter(SCMP_ACT_ALLOW);
    FILE *out = argc == 2 ? fopen(argv[1], "we") : NULL;

    if (!out) {
        fprintf(stderr, "usage: seccomp_gen FILE\n");
        return 1;
    }
    for (size_t i = 0; i < rule_call_count; i++) {
        const struct rule_call *r = &rule_calls[i];

        if (r->nr >= 0)
            check(seccomp_rule_add(calls, r->action == RULE_ALLOW ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), r->nr, 0),
                  r->name);
    }
    for (size_t i = 0; i < rule_argument_count; i++) {
        const struct rule_argument *r = &rule_arguments[i];
        struct scmp_arg_cmp cmp[2] = {comparison(&r->first), comparison(&r->second)};
        unsigned n = r->second.compare == RULE_ANY ? 1 : 2;

        if (r->nr >= 0)
            check(seccomp_rule_add_array(arguments, SCMP_ACT_ERRNO((uint32_t)r->sys_errno), r->nr, n, cmp), r->name);
    }
    fprintf(out, "/* Made by seccomp_gen from sandbox/rules.c. */\n");
    emit(out, calls, "call_filter");
    emit(out, arguments, "argument_filter");
    return fclose(out) == 0 ? 0 : 1;
}
