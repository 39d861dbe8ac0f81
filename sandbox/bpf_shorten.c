#include "sandbox/bpf_shorten.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LOAD (BPF_LD | BPF_W | BPF_ABS)
#define MASK (BPF_ALU | BPF_AND | BPF_K)
#define EQUAL (BPF_JMP | BPF_JEQ | BPF_K)
#define ANY_BIT (BPF_JMP | BPF_JSET | BPF_K)
#define JUMP (BPF_JMP | BPF_JA)
#define ANSWER (BPF_RET | BPF_K)

struct code {
    struct sock_filter *ins;
    size_t count;
};

static bool is_test(const struct sock_filter *i)
{
    return BPF_CLASS(i->code) == BPF_JMP && i->code != JUMP;
}

/* Does something jump to `at`, rather than fall through to it? */
static bool is_target(const struct code *c, size_t at)
{
    for (size_t i = 0; i < at && i < c->count; i++) {
        const struct sock_filter *j = &c->ins[i];

        if (j->code == JUMP && j->k && i + 1 + j->k == at)
            return true;
        if (is_test(j) && ((j->jt && i + 1U + j->jt == at) || (j->jf && i + 1U + j->jf == at)))
            return true;
    }
    return false;
}

/* Jumps to it then lead to what follows it. */
static void drop(struct code *c, size_t at)
{
    for (size_t i = 0; i < at; i++) {
        struct sock_filter *j = &c->ins[i];

        if (j->code == JUMP && i + 1 + j->k > at)
            j->k--;
        if (is_test(j) && i + 1U + j->jt > at)
            j->jt--;
        if (is_test(j) && i + 1U + j->jf > at)
            j->jf--;
    }
    memmove(&c->ins[at], &c->ins[at + 1], (c->count - at - 1) * sizeof c->ins[0]);
    c->count--;
}

/* Does whoever comes to `at` forget what was loaded? */
static bool forgets(const struct code *c, size_t at)
{
    while (at < c->count && c->ins[at].code == JUMP)
        at += 1 + c->ins[at].k;
    return at < c->count && (c->ins[at].code == LOAD || c->ins[at].code == ANSWER);
}

/* A word of which a mask leaves nothing, compared with nothing. */
static bool drop_null_test(struct code *c, size_t at)
{
    const struct sock_filter *i = &c->ins[at];

    if (at + 3 >= c->count || i[0].code != LOAD || i[1].code != MASK || i[1].k != 0 ||
        i[2].code != EQUAL || i[2].k != 0 || i[2].jt != 0 || !forgets(c, at + 3) ||
        is_target(c, at + 1) || is_target(c, at + 2))
        return false;
    for (int n = 0; n < 3; n++)
        drop(c, at);
    return true;
}

/* One bit of a word: there is an instruction for that, and it leaves the word as it is. */
static bool test_bit(struct code *c, size_t at)
{
    struct sock_filter *i = &c->ins[at];

    if (at + 1 >= c->count || i[0].code != MASK || i[1].code != EQUAL || i[0].k != i[1].k ||
        i[0].k == 0 || (i[0].k & (i[0].k - 1)) != 0 || is_target(c, at + 1) ||
        !forgets(c, at + 2U + i[1].jt) || !forgets(c, at + 2U + i[1].jf))
        return false;
    i[1].code = ANY_BIT;
    drop(c, at);
    return true;
}

/* Two tests after each other that lead to the same place are one. */
static bool join_tests(struct code *c, size_t at)
{
    struct sock_filter *i = &c->ins[at];

    if (at + 1 >= c->count || i[0].code != ANY_BIT || i[1].code != ANY_BIT || i[0].jf != 0 ||
        i[0].jt != i[1].jt + 1 || is_target(c, at + 1))
        return false;
    i[1].k |= i[0].k;
    drop(c, at);
    return true;
}

/* Loads of what is loaded already, where nothing but the instruction before leads to them. */
static bool drop_reloads(struct code *c)
{
    bool known = false, changed = false;
    uint32_t word = 0;

    for (size_t at = 0; at < c->count; at++) {
        const struct sock_filter *i = &c->ins[at];

        if (is_target(c, at))
            known = false;
        if (i->code == LOAD && known && i->k == word) {
            drop(c, at--);
            changed = true;
        } else if (i->code == LOAD) {
            known = true;
            word = i->k;
        } else if (!is_test(i)) {
            known = false;
        }
    }
    return changed;
}

size_t bpf_shorten(struct sock_filter *ins, size_t count)
{
    struct code c = {ins, count};
    bool changed = true;

    while (changed) {
        changed = drop_reloads(&c);
        for (size_t at = 0; at < c.count; at++)
            changed = drop_null_test(&c, at) || test_bit(&c, at) || join_tests(&c, at) || changed;
    }
    return c.count;
}
