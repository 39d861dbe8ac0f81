/* bench_crun.h - a bundle that crun can run: what `crun spec` writes, with the filter of
 * containers-common, in the way Docker and podman hand theirs over. */
#ifndef TESTS_BENCH_CRUN_H
#define TESTS_BENCH_CRUN_H

/* Make `dir`, with `program` as /true in its root. 0, or -1 when the host has no such profile. */
int crun_bundle(const char *dir, const char *program);
/* crun refuses a host that mixes both versions of control groups. Give the calling process a view
 * of its own in which there is only version 2; then, with its own groups off, it runs. */
int crun_view(void);

#endif
