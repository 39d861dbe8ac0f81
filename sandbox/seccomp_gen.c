/* seccomp_gen.c - build tool: compiles the tables of rules.c into seccomp_filters.h (its only
 * argument).
 *
 * libseccomp compiles both. The allow-list, which only compares numbers, is then written again
 * as a binary search over runs of equal answers: a third of the instructions and of the load
 * time. It is used only if it answers as libseccomp's program does, for every number and every
 * ABI: both are run here, and a difference fails the build. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lib/base/cleanup.h"
#include "sandbox/bpf_shorten.h"
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
    check(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
          "bad architecture");
    check(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2), "binary tree");
    return ctx;
}

static struct scmp_arg_cmp comparison(const struct rule_condition *c)
{
    if (c->compare == RULE_ABOVE)
        return SCMP_CMP64(c->arg, SCMP_CMP_GT, c->value);
    return SCMP_CMP64(c->arg, SCMP_CMP_MASKED_EQ, c->mask, c->value);
}

struct program {
    struct sock_filter ins[4096];
    size_t count;
};

static void compile(scmp_filter_ctx ctx, struct program *p)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    ssize_t n;

    check(fd < 0 ? -errno : 0, "memfd_create");
    check(seccomp_export_bpf(ctx, fd), "seccomp_export_bpf");
    n = pread(fd, p->ins, sizeof p->ins, 0);
    check(n < 0 ? -errno : 0, "read");
    p->count = (size_t)n / sizeof p->ins[0];
    close(fd);
    seccomp_release(ctx);
}

static void emit(FILE *out, const struct program *p, const char *name)
{
    fprintf(out, "static const struct sock_filter %s[] = {\n", name);
    for (size_t i = 0; i < p->count; i++)
        fprintf(out, "    {0x%02x, %u, %u, 0x%08x},\n", (unsigned)p->ins[i].code,
                (unsigned)p->ins[i].jt, (unsigned)p->ins[i].jf, p->ins[i].k);
    fputs("};\n", out);
}

/* What a filter answers to one call. */
static uint32_t run_on(const struct program *p, const struct seccomp_data *data)
{
    uint32_t a = 0;

    for (size_t pc = 0; pc < p->count; pc++) {
        const struct sock_filter *i = &p->ins[pc];
        bool jump;

        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            check(i->k + sizeof a <= sizeof *data ? 0 : -EINVAL, "a load past the end");
            memcpy(&a, (const char *)data + i->k, sizeof a);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            continue;
        case BPF_RET | BPF_K:
            return i->k;
        case BPF_JMP | BPF_JA:
            pc += i->k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            jump = a == i->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            jump = a > i->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            jump = a >= i->k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            jump = (a & i->k) != 0;
            break;
        default:
            check(-EINVAL, "an instruction that this file does not know");
            return 0;
        }
        pc += jump ? i->jt : i->jf;
    }
    return 0;
}

/* The same for one that only looks at the number and the ABI. */
static uint32_t run(const struct program *p, uint32_t arch, uint32_t nr)
{
    const struct seccomp_data data = {.nr = (int)nr, .arch = arch};

    return run_on(p, &data);
}

#define NUMBERS 1024U /* all calls of a native ABI lie below */

struct interval {
    uint32_t first, answer;
};

static void add(struct program *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
    p->ins[p->count++] = (struct sock_filter){code, jt, jf, k};
}

/* Binary search over [from, to): a leaf answers, a node jumps over its left half. The jump is
 * unconditional and long, for a conditional one reaches 255 instructions. */
static void add_search(struct program *p, const struct interval *iv, size_t from, size_t to)
{
    size_t middle = from + (to - from) / 2, jump;

    if (to - from == 1) {
        add(p, BPF_RET | BPF_K, 0, 0, iv[from].answer);
        return;
    }
    add(p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, iv[middle].first);
    jump = p->count;
    add(p, BPF_JMP | BPF_JA, 0, 0, 0);
    add_search(p, iv, from, middle);
    p->ins[jump].k = (uint32_t)(p->count - jump - 1);
    if (p->ins[jump].k <= 255) { /* it does reach: jump at once */
        p->ins[jump - 1].jt = (uint8_t)p->ins[jump].k;
        p->ins[jump - 1].jf = 0;
        memmove(&p->ins[jump], &p->ins[jump + 1], (p->count - jump - 1) * sizeof p->ins[0]);
        p->count--;
    }
    add_search(p, iv, middle, to);
}

static void rewrite(const struct program *slow, uint32_t arch, struct program *fast)
{
    static struct interval iv[NUMBERS + 1];
    size_t n = 0;

    for (uint32_t nr = 0; nr <= NUMBERS; nr++) {
        uint32_t answer = run(slow, arch, nr);

        if (n == 0 || iv[n - 1].answer != answer)
            iv[n++] = (struct interval){nr, answer};
    }
    /* Numbers of x32 and whatever else is huge: as libseccomp says. */
    if (iv[n - 1].answer != run(slow, arch, 0x40000000U))
        iv[n++] = (struct interval){0x40000000U, run(slow, arch, 0x40000000U)};
    if (iv[n - 1].answer != run(slow, arch, 0xffffffffU))
        iv[n++] = (struct interval){0xffffffffU, run(slow, arch, 0xffffffffU)};
    add(fast, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
    add(fast, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, arch);
    add(fast, BPF_RET | BPF_K, 0, 0, run(slow, ~arch, 0));
    add(fast, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    add_search(fast, iv, 0, n);
}

static void prove_equal(const struct program *slow, const struct program *fast, uint32_t arch)
{
    static const uint32_t bases[] = {0, 0x40000000U, 0x80000000U, 0xfffff000U};
    const uint32_t archs[] = {
        arch, ~arch, AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0};

    for (size_t a = 0; a < sizeof archs / sizeof archs[0]; a++) {
        for (size_t b = 0; b < sizeof bases / sizeof bases[0]; b++) {
            for (uint32_t nr = bases[b]; nr - bases[b] < 4096; nr++)
                check(run(slow, archs[a], nr) == run(fast, archs[a], nr) ? 0 : -EBADMSG,
                      "the rewritten filter differs");
        }
    }
}

/* One program instead of two, each of which the kernel would copy, translate and ask by itself: where
 * the first lets a call pass, the second goes on. */
static void join(const struct program *first, const struct program *second, struct program *both)
{
    check(first->count + second->count <= PJ_COUNT_OF(both->ins) ? 0 : -E2BIG, "the joined filter");
    *both = *first;
    for (size_t i = 0; i < first->count; i++) {
        if (first->ins[i].code == (BPF_RET | BPF_K) && first->ins[i].k == SECCOMP_RET_ALLOW)
            both->ins[i] =
                (struct sock_filter){BPF_JMP | BPF_JA, 0, 0, (uint32_t)(first->count - i - 1)};
    }
    memcpy(&both->ins[first->count], second->ins, second->count * sizeof second->ins[0]);
    both->count += second->count;
}

/* The kernel's order between answers: the action's number as a signed one, the least first. */
static uint32_t stricter(uint32_t first, uint32_t second)
{
    int32_t a = (int32_t)(first & SECCOMP_RET_ACTION_FULL),
            b = (int32_t)(second & SECCOMP_RET_ACTION_FULL);

    return b < a ? second : first;
}

/* For every number, with each value that some rule compares with, its neighbours, and high bits set. */
static void prove_joined(const struct program *first, const struct program *second,
                         const struct program *both, uint32_t arch)
{
    for (uint32_t nr = 0; nr < NUMBERS; nr++) {
        for (size_t i = 0; i <= rule_argument_count; i++) {
            uint64_t around = i < rule_argument_count ? rule_arguments[i].first.value : 0;

            for (unsigned variant = 0; variant < 24; variant++) {
                struct seccomp_data data = {.nr = (int)nr, .arch = variant == 23 ? ~arch : arch};
                uint64_t value = around + variant % 3 - 1;

                if (variant % 2)
                    value |= 1ULL << 32;
                for (size_t arg = 0; arg < 6; arg++)
                    data.args[arg] =
                        variant / 6 == 0 || variant / 6 - 1 == arg % 3 ? value : variant;
                check(stricter(run_on(first, &data), run_on(second, &data)) == run_on(both, &data)
                          ? 0
                          : -EBADMSG,
                      "the joined filter differs");
            }
        }
    }
}

/* What each rule looks at, with every bit of it turned over, alone and together with every bit of its other argument. */
static void prove_bits(const struct program *first, const struct program *second,
                       const struct program *both, uint32_t arch)
{
    for (size_t i = 0; i < rule_argument_count; i++) {
        const struct rule_argument *r = &rule_arguments[i];

        for (unsigned a = 0; r->nr >= 0 && a <= 64; a++) {
            for (unsigned b = 0; b <= 64; b++) {
                struct seccomp_data data = {.nr = r->nr, .arch = arch};

                data.args[r->second.arg] = r->second.value ^ (b < 64 ? 1ULL << b : 0);
                data.args[r->first.arg] = r->first.value ^ (a < 64 ? 1ULL << a : 0) ^
                                          (r->first.arg == r->second.arg && b < 64 ? 1ULL << b : 0);
                check(stricter(run_on(first, &data), run_on(second, &data)) == run_on(both, &data)
                          ? 0
                          : -EBADMSG,
                      "the shortened filter differs");
            }
        }
    }
}

int main(int argc, char **argv)
{
    static struct program by_number, fast, by_argument, both;
    uint32_t arch = seccomp_arch_native() == SCMP_ARCH_X86_64    ? AUDIT_ARCH_X86_64
                    : seccomp_arch_native() == SCMP_ARCH_AARCH64 ? AUDIT_ARCH_AARCH64
                                                                 : 0;
    scmp_filter_ctx calls = new_filter(SCMP_ACT_ERRNO(ENOSYS)),
                    arguments = new_filter(SCMP_ACT_ALLOW);
    FILE *out = argc == 2 ? fopen(argv[1], "we") : NULL;

    if (!out) {
        fprintf(stderr, "usage: seccomp_gen FILE\n");
        return 1;
    }
    for (size_t i = 0; i < rule_call_count; i++) {
        const struct rule_call *r = &rule_calls[i];

        if (r->nr >= 0)
            check(seccomp_rule_add(calls,
                                   r->action == RULE_ALLOW ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM),
                                   r->nr, 0),
                  r->name);
    }
    for (size_t i = 0; i < rule_argument_count; i++) {
        const struct rule_argument *r = &rule_arguments[i];
        struct scmp_arg_cmp cmp[2] = {comparison(&r->first), comparison(&r->second)};
        unsigned n = r->second.compare == RULE_ANY ? 1 : 2;

        if (r->nr >= 0)
            check(seccomp_rule_add_array(arguments, SCMP_ACT_ERRNO((uint32_t)r->sys_errno), r->nr,
                                         n, cmp),
                  r->name);
    }
    fprintf(out, "/* Made by seccomp_gen from sandbox/rules.c. */\n");
    compile(calls, &by_number);
    compile(arguments, &by_argument);
    if (arch) { /* on other machines libseccomp's own program is loaded */
        rewrite(&by_number, arch, &fast);
        prove_equal(&by_number, &fast, arch);
    }
    join(&by_argument, arch ? &fast : &by_number, &both);
    both.count = bpf_shorten(both.ins, both.count);
    prove_bits(&by_argument, arch ? &fast : &by_number, &both, arch ? arch : seccomp_arch_native());
    if (arch)
        prove_joined(&by_argument, &fast, &both, arch);
    emit(out, &both, "whole_filter");
    fputs("#ifdef SANDBOX_WEAKEN\n", out);
    emit(out, arch ? &fast : &by_number, "call_filter");
    emit(out, &by_argument, "argument_filter");
    fputs("#endif\n", out);
    return fclose(out) == 0 ? 0 : 1;
}
