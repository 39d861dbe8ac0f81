#include "runner/chore.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

#define NICER 10 /* whoever waits for a task or a mail goes first */

PJ_NORETURN static void child(const struct chore *chore, pid_t parent)
{
    (void)prctl(PR_SET_NAME, "pj-chore");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)!nice(NICER);
    chore->work(chore->ctx);
    _exit(0);
}

static void start(struct chore *chore)
{
    pid_t parent = getpid(), pid = fork();
    struct pj_err err;

    if (pid == 0)
        child(chore, parent);
    if (pid < 0) {
        (void)pj_fail_errno(&err, errno, "fork");
        pj_log_err(PJ_LOG_WARN, "chore_not_started", &err, NULL, NULL);
        return;
    }
    chore->pid = pid;
}

void chore_tick(struct chore *chore)
{
    if (chore->pid != 0 && waitpid(chore->pid, NULL, WNOHANG) == 0)
        return;
    chore->pid = 0;
    if (pj_mono_ms() < chore->next_ms)
        return;
    chore->next_ms = pj_mono_ms() + chore->every_ms;
    start(chore);
}

void chore_stop(struct chore *chore)
{
    if (chore->pid == 0)
        return;
    (void)kill(chore->pid, SIGKILL);
    while (waitpid(chore->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    chore->pid = 0;
}
