#include <criterion/criterion.h>
#include "lib/base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"

/* Runs `sh -c script` and gives back what it wrote to descriptor 1. */
static char *run(char *script, char *const *envp, int extra_parent, int extra_child)
{
    char sh[] = "sh", c[] = "-c";
    char *argv[] = {sh, c, script, NULL};
    int ends[2], status;
    struct pj_spawn_fd fds[2];
    struct pj_spawn spec = {
        .path = "/bin/sh", .argv = argv, .envp = envp, .fds = fds, .fd_count = 1};
    struct pj_err err;
    struct pj_str out;
    pid_t pid;

    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    fds[0] = (struct pj_spawn_fd){ends[1], 1};
    if (extra_parent >= 0)
        fds[spec.fd_count++] = (struct pj_spawn_fd){extra_parent, extra_child};
    cr_assert_eq(pj_spawn(&spec, &pid, NULL, &err), 0, "%s", err.message);
    close(ends[1]);
    pj_str_init(&out, 65536);
    cr_assert_eq(pj_fs_read_fd(ends[0], &out, &err), 0);
    close(ends[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return pj_str_take(&out);
}

Test(proc, nothing_is_inherited_but_what_is_listed)
{
    int leak = open("/dev/null", O_RDONLY); /* no CLOEXEC on purpose */
    int listed = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    char script[] = "env | grep -c SECRET_OF_PARENT; exec ls /proc/self/fd"; /* 3: its folder */
    char *out;

    setenv("SECRET_OF_PARENT", "1", 1);
    out = run(script, NULL, listed, 7);
    cr_assert_str_eq(out, "0\n0\n1\n2\n3\n7\n", "%s", out);
    free(out);
    close(leak);
    close(listed);
}

Test(proc, a_failed_exec_is_an_error_here)
{
    char name[] = "x";
    char *argv[] = {name, NULL};
    struct pj_spawn spec = {.path = "/nonexistent/program", .argv = argv};
    struct pj_err err;
    pid_t pid;

    cr_assert_eq(pj_spawn(&spec, &pid, NULL, &err), -1);
    cr_assert_eq(err.sys_errno, ENOENT);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
}

Test(proc, a_pidfd_tells_the_end)
{
    char sh[] = "sh", c[] = "-c", script[] = "exit 3";
    char *argv[] = {sh, c, script, NULL};
    struct pj_spawn spec = {.path = "/bin/sh", .argv = argv};
    struct pollfd p = {.events = POLLIN};
    struct pj_err err;
    int status;
    pid_t pid;

    cr_assert_eq(pj_spawn(&spec, &pid, &p.fd, &err), 0);
    cr_assert_eq(poll(&p, 1, 10000), 1);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    close(p.fd);
}
