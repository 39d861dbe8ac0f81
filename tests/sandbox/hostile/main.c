/* hostile NAME [ARG]: runs one attack; exit 0: stopped, 1: it went through. hostile --list:
 * their names. */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int refused(const char *what, long rc, const int *errors)
{
    int e = errno;

    if (rc >= 0) {
        printf("%s went through (%ld)\n", what, rc);
        return 1;
    }
    for (; *errors; errors++) {
        if (e == *errors)
            return 0;
    }
    printf("%s failed with an error that the filter does not give: %s\n", what, strerror(e));
    return 1;
}

int closed_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd < 0)
        return 0;
    close(fd);
    printf("%s could be opened\n", path);
    return 1;
}

bool killed_by_policy(void (*fn)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        fn();
        _exit(0);
    }
    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static const struct attack *const tables[] = {attacks_kernel, attacks_files, attacks_process,
                                              attacks_resource, attacks_tree};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t t = 0; argc > 1 && t < sizeof tables / sizeof tables[0]; t++) {
        for (const struct attack *a = tables[t]; a->name; a++) {
            if (strcmp(argv[1], "--list") == 0) {
                printf("%s\n", a->name);
            } else if (strcmp(argv[1], a->name) == 0) {
                int rc = a->run(argc > 2 ? argv[2] : NULL);

                printf("%s: %s\n", rc == 0 ? "stopped" : "WENT THROUGH", a->observable);
                return rc == 0 ? 0 : 1;
            }
        }
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return 0;
    if (argc == 3 && strcmp(argv[1], "show") == 0) { /* for systems that have no cat */
        char buf[4096];
        int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf);

        return n >= 0 && write(1, buf, (size_t)n) == n ? 0 : 1;
    }
    fprintf(stderr, "usage: hostile NAME [ARG] | --list | show FILE\n");
    return 2;
}
