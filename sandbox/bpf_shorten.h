/* bpf_shorten.h - a filter with fewer instructions and the same answers, for seccomp_gen.c.
 *
 * The kernel checks, converts, translates and copies each instruction at every load. libseccomp compares both halves of each 64-bit
 * argument, also where a mask leaves nothing of the upper one, and loads the same word again before each test of it. What is
 * rewritten here is proved equal by running both. */
#ifndef SANDBOX_BPF_SHORTEN_H
#define SANDBOX_BPF_SHORTEN_H

#include <linux/filter.h>
#include <stddef.h>

/* In place; returns the new count. All jumps go forward, as in any program of this kind. */
size_t bpf_shorten(struct sock_filter *ins, size_t count);

#endif
