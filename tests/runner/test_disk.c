/* Files without a name are found wherever in a box's tree of processes they are held, and each is counted once. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "runner/disk.h"

#define DEPTH 40
#define EACH (64 * 1024)

static bool hold(void)
{
    static char bytes[EACH] = {1};
    int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    return fd >= 0 && pj_write_all(fd, bytes, sizeof(bytes)) == 0 && fsync(fd) == 0 && dup(fd) >= 0;
}

/* A chain of processes, each the child of the one before; the last says that all stand. */
static void grow(int depth, int told)
{
    do {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!hold())
            _exit(1);
    } while (--depth > 0 && fork() == 0);
    if (depth == 0)
        (void)!write(told, "!", 1);
    for (;;)
        pause();
}

static pid_t chain(int depth)
{
    int told[2];
    char byte = 0;
    pid_t pid;

    cr_assert_eq(pipe2(told, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0)
        grow(depth, told[1]);
    close(told[1]);
    cr_assert_eq(read(told[0], &byte, 1), 1, "no file without a name could be made");
    close(told[0]);
    return pid;
}

Test(disk, files_without_a_name_are_found_in_a_whole_tree_and_counted_once)
{
    struct stat st;
    int probe = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    if (probe < 0 || fstat(probe, &st) < 0)
        cr_skip_test("/var/tmp has no files without a name");
    close(probe);
    pid_t long_one = chain(DEPTH), other = chain(1);

    /* As the others in memory: then the runner does not count them, and neither can this. */
    int64_t one = disk_unnamed(other);
    if (one == 0)
        cr_skip_test("/var/tmp is in memory");
    cr_expect_geq(one, EACH);
    cr_expect_eq(disk_unnamed(long_one), DEPTH * one, "%lld", (long long)disk_unnamed(long_one));
    (void)kill(long_one, SIGKILL);
    (void)kill(other, SIGKILL);
    while (wait(NULL) > 0)
        ;
    cr_expect_eq(disk_unnamed(long_one), 0, "a process that is gone holds nothing");
}
