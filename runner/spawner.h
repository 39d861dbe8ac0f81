/* spawner.h - the process that starts jobs, forked while the daemon is still small (DESIGN.md D3).
 *
 *     daemon ── spawner ── keeper (one a job) ── pj-runner job ── pj-sandbox ── …
 *
 * A keeper is the subreaper of its job: whatever the job leaves behind, daemonised or not, becomes the keeper's child, is
 * killed, and is waited for. Only when no descendant is left does it remove the job's folder and end, and only then does the
 * daemon hear SPAWNER_ENDED: "ended" means that nothing of the task runs. When the daemon dies, by kill -9 too, its end of the
 * socket closes, and the spawner ends every job in the same way. A daemon that stands still closes nothing: therefore each keeper
 * reads in memory that both share until when the lease of its job was renewed, and ends the job when that time has come, by a
 * clock that goes on while the machine is suspended. */
#ifndef RUNNER_SPAWNER_H
#define RUNNER_SPAWNER_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/base/err.h"

struct spawner_fences;

struct spawner {
    pid_t pid;
    int fd;                        /* readable when an event waits; CLOEXEC, non-blocking */
    struct spawner_fences *fences; /* shared with the keepers */
};

#define SPAWNER_PLACES 256
/* Status of a job whose fence was not moved on in time. */
#define SPAWNER_FENCED 123

/* Descriptors of a job process, beside 2 (the daemon's own stderr). */
enum spawner_job_fd {
    SPAWNER_FD_SPEC = 3,    /* in: the job's description, JSON to the end of file */
    SPAWNER_FD_OUTCOME = 4, /* out: the outcome, JSON to the end of file */
    SPAWNER_FD_CONTROL = 5, /* in: "cancel\n" or "timeout\n" */
};

struct spawner_job {
    uint32_t token; /* the caller's name for it, returned in its event */
    unsigned place; /* of its fence, below SPAWNER_PLACES: no other job that runs has it */
    int spec, outcome, control; /* the job's ends; the caller closes its copies */
    const char *work_dir;       /* removed when the job has ended; NULL: none */
};

struct spawner_event {
    uint32_t token;
    int status; /* exit code, or 128 + signal */
};

/* Fork the spawner. `argv` (NULL-terminated, argv[0] our name) is what each job process gets; the program is this very
 * executable, also after an upgrade replaced the file. Borrowed only for the call. `keep_fd`, when not -1, stays open in
 * spawner and keepers (the state folder's lock). */
int spawner_start(char *const *argv, int keep_fd, struct spawner *out,
                  struct pj_err *err) PJ_MUST_CHECK;
int spawner_run(struct spawner *s, const struct spawner_job *job, struct pj_err *err) PJ_MUST_CHECK;
/* The job of this place is ended at `at_ms` of pj_mono_ms(), unless this is called again by then; 0: never. Before spawner_run() for a new one. */
void spawner_fence(struct spawner *s, unsigned place, int64_t at_ms);
/* SIGKILL to the job process; its event follows when all of it is gone. Unknown tokens are ignored. */
int spawner_kill(struct spawner *s, uint32_t token, struct pj_err *err) PJ_MUST_CHECK;
/* The next event. PJ_NONE: nothing yet. UNAVAILABLE: the spawner is gone, and all jobs with it. */
int spawner_next(struct spawner *s, struct spawner_event *ev, struct pj_err *err) PJ_MUST_CHECK;
/* Close the socket: what still runs is ended. Waits for the spawner to leave. */
void spawner_stop(struct spawner *s);

#endif
