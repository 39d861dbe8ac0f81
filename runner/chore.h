/* chore.h - work that takes its time, now and then, in a process of its own, so that the one who owes it goes on meanwhile. */
#ifndef RUNNER_CHORE_H
#define RUNNER_CHORE_H

#include <stdint.h>
#include <sys/types.h>

struct chore {
    void (*work)(
        const void *ctx); /* in the child, which ends after it; killed when the parent dies */
    const void *ctx;
    int64_t every_ms; /* from its start to the next one's, at the soonest */
    int64_t next_ms;  /* pj_mono_ms(); 0: at once */
    pid_t pid;        /* 0: none runs */
};

/* Start it when it is due and does not run. Never waits. */
void chore_tick(struct chore *chore);
/* End it, if it runs. */
void chore_stop(struct chore *chore);

#endif
