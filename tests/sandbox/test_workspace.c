/* The work tree: whose it is on each side, what an overlay keeps, what is handed out. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sandbox/channel.h"
#include "tests/sandbox/run_box.h"

static struct stat stat_in(const char *dir, const char *name)
{
    char path[500];
    struct stat st = {0};

    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (lstat(path, &st) < 0)
        st.st_mode = 0;
    return st;
}

static void put(const char *dir, const char *name, const char *text, uid_t owner)
{
    char path[500];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "we");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
    if (geteuid() == 0)
        cr_assert_eq(chown(path, owner, owner), 0);
}

static bool text_is(const char *dir, const char *name, const char *text)
{
    char path[500], buf[256] = "";
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "re");
    if (!f)
        return false;
    buf[fread(buf, 1, sizeof buf - 1, f)] = '\0';
    fclose(f);
    return strcmp(buf, text) == 0;
}

Test(workspace, what_is_written_belongs_to_the_directorys_owner)
{
    for (int user = 0; user < 2; user++) {
        const char *dir = box_dir("own", user);
        struct stat owner = stat_in(dir, "."), made;
        struct box_run run;

        if (!box_can(user))
            continue;
        put(dir, "secret", "mine\n", owner.st_uid);
        cr_assert_eq(chmod(dir, 0700), 0);
        run = BOX(user, "--workspace", dir, "--", "bash", "-c",
                  "stat -c %U . secret; echo x > f; mkdir d; ln -s f l; cp /bin/true t; chmod 4755 "
                  "t; echo more >> secret; true");
        cr_expect_str_eq(run.out, "pj\npj\n", "%s", run.err);
        made = stat_in(dir, "f");
        cr_expect_eq(made.st_uid, owner.st_uid);
        cr_expect_eq(made.st_gid, owner.st_gid);
        cr_expect_eq(made.st_mode, (mode_t)(S_IFREG | 0644));
        cr_expect_eq(stat_in(dir, "d").st_uid, owner.st_uid);
        cr_expect_eq(stat_in(dir, "t").st_mode & 07000, 0U);
        cr_expect(text_is(dir, "secret", "mine\nmore\n"));
        box_run_release(&run);
    }
}

Test(workspace, overlay_leaves_its_base_alone)
{
    for (int user = 0; user < 2; user++) {
        const char *base = box_dir("base", user), *upper = box_dir("upper", user);
        struct stat owner = stat_in(base, ".");
        char scratch[500];
        struct box_run run;

        if (!box_can(user))
            continue;
        put(base, "a", "lower\n", owner.st_uid);
        put(base, "b", "gone\n", owner.st_uid);
        run =
            BOX(user, "--workspace-base", base, "--workspace", upper, "--", "sh", "-c",
                "cat a; echo upper > a; rm b; echo new > c; mkdir d; mv c d/c; ls | tr '\\n' ' '");
        cr_expect_str_eq(run.out, "lower\na d ", "%s", run.err);
        cr_expect(text_is(base, "a", "lower\n") && text_is(base, "b", "gone\n"));
        cr_expect(text_is(upper, "a", "upper\n") && text_is(upper, "d/c", "new\n"));
        cr_expect_eq(stat_in(upper, "a").st_uid, owner.st_uid);
        snprintf(scratch, sizeof scratch, "%s.pj-work", upper);
        cr_expect(access(scratch, F_OK) < 0, "the scratch folder is left");
        box_run_release(&run);
    }
}

/* The descriptor sees the merged tree, and still does when the box is gone. */
Test(workspace, merged_tree_is_handed_out)
{
    for (int user = 0; user < 2; user++) {
        const char *base = box_dir("tree", user);
        struct channel_msg msg;
        int pair[2], fds[CHANNEL_FDS_MAX], fd;
        char number[16], buf[16] = "";
        struct box_run run;
        size_t n = 0;

        if (!box_can(user))
            continue;
        put(base, "a", "lower\n", stat_in(base, ".").st_uid);
        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
        snprintf(number, sizeof number, "%d", pair[1]);
        run = BOX(user, "--workspace-base", base, "--disk", "16M", "--tree-fd", number, "--", "sh",
                  "-c", "echo upper > b; rm a");
        cr_assert_eq(run.exit_code, 0, "%s", run.err);
        box_run_release(&run);
        cr_assert_eq(channel_recv(pair[0], &msg, fds, &n), 1);
        cr_assert_eq(n, 1U);
        fd = openat(fds[0], "b", O_RDONLY | O_CLOEXEC);
        cr_assert_geq(fd, 0);
        cr_expect_eq(read(fd, buf, sizeof buf), 6);
        cr_expect_str_eq(buf, "upper\n");
        close(fd);
        cr_expect_lt(openat(fds[0], "a", O_RDONLY | O_CLOEXEC), 0);
        close(fds[0]);
        close(pair[0]);
        close(pair[1]);
    }
}

Test(workspace, binds_show_files_and_directories_read_only)
{
    const char *dir = box_dir("bind", false);
    char directory[500], file[500];

    put(dir, "f", "content\n", geteuid());
    snprintf(directory, sizeof directory, "%s:/data/deep", dir);
    snprintf(file, sizeof file, "%s/f:/etc/made-up", dir);
    for (int user = 0; user < 2; user++) {
        struct box_run run;

        if (!box_can(user))
            continue;
        run =
            BOX(user, "--ro-bind", directory, "--ro-bind", file, "--", "sh", "-c",
                "cat /data/deep/f /etc/made-up; echo x 2>/dev/null > /data/deep/f || echo refused");
        cr_expect_str_eq(run.out, "content\ncontent\nrefused\n", "%s", run.err);
        box_run_release(&run);
    }
}

/* A link in the work tree that points at the host leads, as a place for a bind, nowhere else
 * than inside. */
Test(workspace, links_do_not_lead_the_set_up_outside)
{
    const char *work = box_dir("links", false), *target = box_dir("target", false);
    char link_path[500], bind[500];
    struct box_run run;

    snprintf(link_path, sizeof link_path, "%s/out", work);
    cr_assert_eq(symlink(target, link_path), 0);
    snprintf(bind, sizeof bind, "%s:/workspace/out/x", box_hostile());
    run = BOX(false, "--workspace", work, "--ro-bind", bind, "--", "true");
    cr_expect_eq(stat_in(target, "x").st_mode, 0U, "something was made on the host");
    box_run_release(&run);
}

Test(workspace, rootfs_is_shown_instead_of_the_host)
{
    const char *root = box_dir("rootfs", false);
    char command[900];

    snprintf(
        command, sizeof command,
        "cd %s && mkdir bin etc && cp %s bin/hostile && echo other > etc/os && : > etc/hosts && "
        "echo dev:x:7:7::/:/bin/sh > etc/passwd",
        root, box_hostile());
    cr_assert_eq(system(command), 0);
    for (int user = 0; user < 2; user++) {
        struct box_run run;

        if (!box_can(user))
            continue;
        run = BOX(user, "--rootfs", root, "--", "hostile", "capabilities");
        cr_expect_eq(run.exit_code, 0, "%s%s", run.out, run.err);
        box_run_release(&run);
        run = BOX(user, "--rootfs", root, "--", "hostile", "show", "/etc/passwd");
        cr_expect_str_eq(run.out, "dev:x:7:7::/:/bin/sh\npj:x:1000:1000:pj:/tmp:/bin/sh\n", "%s",
                         run.err);
        box_run_release(&run);
        run = BOX(user, "--rootfs", root, "--", "hostile", "show", "/etc/hosts");
        cr_expect_str_eq(run.out, "127.0.0.1 localhost pj\n", "%s", run.err);
        box_run_release(&run);
        run = BOX(user, "--rootfs", root, "--", "/usr/bin/env");
        cr_expect_eq(run.exit_code, 127);
        box_run_release(&run);
    }
}
