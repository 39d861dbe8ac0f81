/* Every attack of tests/sandbox/hostile/, as root and as an ordinary user: each says itself
 * whether it was stopped. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "tests/sandbox/run_box.h"

static void attack_with(bool user, const char *const *options, const char *name, const char *arg)
{
    const char *args[64];
    char bind[400];
    struct box_run run;
    size_t n = 0;

    if (!box_can(user))
        return;
    snprintf(bind, sizeof bind, "%s:/opt/hostile", box_hostile());
    for (; options && *options; options++)
        args[n++] = *options;
    args[n++] = "--ro-bind";
    args[n++] = bind;
    args[n++] = "--workspace";
    args[n++] = box_dir("work", user);
    args[n++] = "--timeout";
    args[n++] = "60s";
    args[n++] = "--";
    args[n++] = "/opt/hostile";
    args[n++] = name;
    args[n++] = arg;
    args[n] = NULL;
    run = box_run(user, args);
    cr_expect_eq(run.exit_code, 0, "%s as %s: exit %d\n%s%s%s", name, user ? "user" : "root",
                 run.exit_code, run.out, run.err, run.result);
    box_run_release(&run);
}

static void attack_both(const char *name, const char *arg)
{
    attack_with(false, NULL, name, arg);
    attack_with(true, NULL, name, arg);
}

/* One case an attack, so that a failure is named. */
#define STOPS(attack)                                                                              \
    Test(hostile, attack)                                                                          \
    {                                                                                              \
        attack_both(#attack, NULL);                                                                \
    }

STOPS(become_root)
STOPS(bpf)
STOPS(capabilities)
STOPS(clone3)
STOPS(clone_namespaces)
STOPS(control_groups)
STOPS(core_dump)
STOPS(descriptor_fill)
STOPS(device_nodes)
STOPS(environment)
STOPS(file_handles)
STOPS(forge_result)
STOPS(host_clock)
STOPS(host_devices)
STOPS(host_name)
STOPS(host_processes)
STOPS(host_switches)
STOPS(i386_abi)
STOPS(inotify_fill)
STOPS(interfaces)
STOPS(io_uring)
STOPS(kernel_code)
STOPS(kernel_files)
STOPS(keys)
STOPS(launcher_binary)
STOPS(limits_of_init)
STOPS(locked_memory)
STOPS(mount_family)
STOPS(newer_calls)
STOPS(other_memory)
STOPS(outside_cwd)
STOPS(own_filter)
STOPS(perf)
STOPS(personality)
STOPS(prctl)
STOPS(priority)
STOPS(proc_sys)
STOPS(process_one)
STOPS(ptrace)
STOPS(raw_sockets)
STOPS(read_only_system)
STOPS(set_id_bits)
STOPS(socket_families)
STOPS(splice_read_only)
STOPS(tioclinux)
STOPS(tiocsti)
STOPS(tiocsti_high_bits)
STOPS(unshare)
STOPS(userfaultfd)
STOPS(world)
STOPS(x32_abi)
STOPS(zombie_flood)

Test(hostile, leaked_descriptors)
{
    int leak = open(
        "/", O_RDONLY | O_DIRECTORY); /* on purpose not close-on-exec: the launcher inherits it */

    attack_both("leaked_descriptors", NULL);
    close(leak);
}

Test(hostile, host_files)
{
    char secret[320];
    FILE *f;

    snprintf(secret, sizeof secret, "%s/host-secret", box_home());
    f = fopen(secret, "we");
    cr_assert_not_null(f);
    fputs("secret\n", f);
    fclose(f);
    attack_both("host_files", secret);
}

Test(hostile, host_ports)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char port[16];

    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    snprintf(port, sizeof port, "%d", ntohs(addr.sin_port));
    attack_both("host_ports", port);
    cr_expect(accept(fd, NULL, NULL) < 0 && errno == EAGAIN, "a connection arrived");
    close(fd);
}

Test(hostile, abstract_socket)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char name[64];

    snprintf(name, sizeof name, "pj-hostile-%d", (int)getpid());
    memcpy(addr.sun_path + 1, name, strlen(name));
    cr_assert_eq(bind(fd, (struct sockaddr *)&addr,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
                 0);
    cr_assert_eq(listen(fd, 8), 0);
    attack_both("abstract_socket", name);
    cr_expect(accept(fd, NULL, NULL) < 0 && errno == EAGAIN, "a connection arrived");
    close(fd);
}

Test(hostile, path_socket)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(addr.sun_path, sizeof addr.sun_path, "%.80s/host.sock", box_home());
    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    cr_assert_eq(chmod(addr.sun_path, 0777), 0);
    cr_assert_eq(listen(fd, 8), 0);
    attack_both("path_socket", addr.sun_path);
    cr_expect(accept(fd, NULL, NULL) < 0 && errno == EAGAIN, "a connection arrived");
    close(fd);
}

Test(hostile, signal_outside)
{
    char pid[16];

    snprintf(pid, sizeof pid, "%d", (int)getpid());
    attack_both("signal_outside", pid);
}

Test(hostile, search_secret)
{
    setenv("PJ_TEST_CREDENTIAL", "sk-5up3r-s3cr3t-credential", 1);
    attack_both("search_secret", "sk-5up3r-s3cr3t-credential");
}

/* A set-uid copy that the directory's owner left in the work tree gives the box nothing. */
Test(hostile, planted_set_uid)
{
    for (int user = 0; user < 2; user++) {
        const char *work = box_dir("planted", user);
        char bind[400], copy[400], command[900];
        struct box_run run;

        if (!box_can(user))
            continue;
        snprintf(bind, sizeof bind, "%s:/opt/hostile", box_hostile());
        snprintf(copy, sizeof copy, "%s/planted", work);
        snprintf(command, sizeof command, "cp %s %s && chmod 4755 %s", box_hostile(), copy, copy);
        cr_assert_eq(system(command), 0);
        run = BOX(user, "--ro-bind", bind, "--workspace", work, "--", "/opt/hostile",
                  "planted_set_uid");
        cr_expect_eq(run.exit_code, 0, "%s%s", run.out, run.err);
        box_run_release(&run);
    }
}

static uid_t litter_owner;
static int strangers;

static int look(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    bool fits = st->st_uid == litter_owner && !(st->st_mode & (S_ISUID | S_ISGID)) &&
                !S_ISBLK(st->st_mode) && !S_ISCHR(st->st_mode);

    (void)flag;
    (void)at;
    if (!fits)
        fprintf(stderr, "%.100s: owner %u, mode %o\n", path, st->st_uid, st->st_mode);
    strangers += !fits;
    return 0;
}

/* Links to everywhere, pipes, sockets, names of every kind, a tree without end: all of it belongs
 * to the owner of the work tree, and can be removed. */
Test(hostile, litter)
{
    for (int user = 0; user < 2; user++) {
        const char *work = box_dir("litter", user);
        char bind[400];
        struct box_run run;
        struct pj_err err = {0};
        struct stat st;

        if (!box_can(user))
            continue;
        snprintf(bind, sizeof bind, "%s:/opt/hostile", box_hostile());
        run = BOX(user, "--ro-bind", bind, "--workspace", work, "--", "/opt/hostile", "litter");
        cr_expect_eq(run.exit_code, 0, "%s%s", run.out, run.err);
        box_run_release(&run);
        cr_assert_eq(stat(work, &st), 0);
        litter_owner = st.st_uid;
        strangers = 0;
        (void)nftw(work, look, 16, FTW_PHYS); /* ends where paths grow too long */
        cr_expect_eq(strangers, 0);
        cr_expect_eq(pj_fs_remove_tree(work, &err), 0, "%s", err.message);
    }
}

Test(hostile, tmp_fill)
{
    const char *const options[] = {"--tmp-size", "16M", NULL};

    attack_with(false, options, "tmp_fill", NULL);
    attack_with(true, options, "tmp_fill", NULL);
}

Test(hostile, inode_fill)
{
    const char *const options[] = {"--tmp-size", "16M", NULL};

    attack_with(false, options, "inode_fill", NULL);
    attack_with(true, options, "inode_fill", NULL);
}

Test(hostile, process_fill)
{
    const char *const options[] = {"--pids", "40", NULL};

    attack_with(false, options, "process_fill", "40");
    attack_with(true, options, "process_fill", "40");
}
