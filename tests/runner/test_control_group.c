/* The runner makes room in the group that it was given, where version 2 of control groups is alone: on such a host, or with that mounted over
 * this host's in a mount namespace of the test's own. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "runner/control_group.h"

#define MOUNT "/sys/fs/cgroup"

static char given[128], below[160];

static void write_to(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    cr_assert(fd >= 0 && write(fd, text, strlen(text)) > 0, "%s", path);
    close(fd);
}

static void join(const char *group)
{
    char path[200];

    (void)snprintf(path, sizeof(path), "%s/cgroup.procs", group);
    write_to(path, "0");
}

static bool in_group(const char *suffix)
{
    char line[512] = "";
    FILE *f = fopen("/proc/self/cgroup", "re");
    size_t n, m = strlen(suffix);

    while (f != NULL && fgets(line, sizeof(line), f) != NULL && strncmp(line, "0::", 3) != 0)
        ;
    if (f != NULL)
        fclose(f);
    line[strcspn(line, "\n")] = '\0';
    n = strlen(line);
    return n >= m && strcmp(line + n - m, suffix) == 0;
}

static bool only_version_two(void)
{
    struct statfs st;

    if (geteuid() != 0)
        return false;
    if (statfs(MOUNT, &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC)
        return true;
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           umount2(MOUNT, MNT_DETACH) == 0 && mount("none", MOUNT, "cgroup2", 0, NULL) == 0;
}

static bool begin(void)
{
    struct stat st;

    if (!only_version_two() || stat(MOUNT "/cgroup.procs", &st) < 0) {
        fprintf(stderr, "SKIPPED: version 2 of control groups cannot be had alone here\n");
        return false;
    }
    (void)snprintf(given, sizeof(given), MOUNT "/pj-test-%d", (int)getpid());
    (void)snprintf(below, sizeof(below), "%s/runner", given);
    cr_assert_eq(mkdir(given, 0755), 0);
    return true;
}

static void end(void)
{
    join(MOUNT);
    (void)rmdir(below);
    cr_expect_eq(rmdir(given), 0);
}

Test(control_group, the_only_process_of_its_group_moves_below_it)
{
    if (!begin())
        return;
    join(given);
    cr_expect(control_group_step_aside());
    char suffix[200];
    (void)snprintf(suffix, sizeof(suffix), "%s/runner", given + strlen(MOUNT));
    cr_expect(in_group(suffix));
    end();
}

Test(control_group, a_group_with_others_in_it_is_left_alone)
{
    int gate[2];

    if (!begin())
        return;
    cr_assert_eq(pipe2(gate, O_CLOEXEC), 0);
    join(given);
    pid_t other = fork();
    if (other == 0) {
        char c;

        close(gate[1]);
        _exit(read(gate[0], &c, 1) == 0 ? 0 : 1);
    }
    cr_expect_not(control_group_step_aside());
    cr_expect(in_group(given + strlen(MOUNT)));
    close(gate[0]);
    close(gate[1]);
    cr_expect_eq(waitpid(other, NULL, 0), other);
    end();
}
