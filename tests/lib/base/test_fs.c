#include <criterion/criterion.h>
#include "lib/base/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[] = "/tmp/pj-fs-XXXXXX";

static void make(void)
{
    cr_assert_not_null(mkdtemp(base));
    cr_assert_eq(chdir(base), 0);
}

Test(fs, atomic_write_and_bounded_read, .init = make)
{
    struct pj_str s;
    struct pj_err err;
    struct stat st;

    cr_assert_eq(pj_fs_write_atomic("token", "abcdef", 6, 0600, &err), 0);
    cr_assert_eq(stat("token", &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    pj_str_init(&s, 6);
    cr_assert_eq(pj_fs_read("token", &s, &err), 0);
    cr_assert_str_eq(pj_str_cstr(&s), "abcdef");
    pj_str_release(&s);
    pj_str_init(&s, 5);
    cr_assert_eq(pj_fs_read("token", &s, &err), -1);
    cr_assert_eq(err.cls, PJ_E_LIMIT);
    pj_str_release(&s);
    cr_assert_eq(pj_fs_remove_tree(base, &err), 0);
}

Test(fs, removes_a_hostile_tree_and_nothing_beside_it, .init = make)
{
    struct pj_err err;
    char deep[256];

    memset(deep, 'd', 200);
    deep[200] = '\0';
    cr_assert_eq(mkdir("keep", 0700), 0);
    cr_assert_eq(close(open("keep/file", O_CREAT | O_WRONLY, 0600)), 0);
    cr_assert_eq(pj_fs_mkdirs("tree/a/b", 0755, &err), 0);
    cr_assert_eq(symlink("../../keep", "tree/a/link"), 0);
    cr_assert_eq(mkfifo("tree/fifo", 0600), 0);
    cr_assert_eq(chdir("tree"), 0);
    for (int i = 0; i < 60; i++) { /* 12,000 bytes of path: past PATH_MAX */
        cr_assert_eq(mkdir(deep, 0700), 0);
        cr_assert_eq(close(open("file", O_CREAT | O_WRONLY, 0)), 0);
        cr_assert_eq(chdir(deep), 0);
    }
    cr_assert_eq(chdir(base), 0);
    cr_assert_eq(chmod("tree/a/b", 0), 0);
    cr_assert_eq(pj_fs_remove_tree("tree", &err), 0, "%s", err.message);
    cr_assert_not(pj_fs_exists("tree"));
    cr_assert(pj_fs_exists("keep/file"));
    cr_assert_eq(pj_fs_remove_tree("tree", &err), 0);
    cr_assert_eq(symlink("keep", "link"), 0);
    cr_assert_eq(pj_fs_remove_tree("link", &err), 0);
    cr_assert(pj_fs_exists("keep/file"));
    cr_assert_eq(pj_fs_remove_tree(base, &err), 0);
}

Test(fs, removes_what_a_removal_that_was_killed_left, .init = make)
{
    struct pj_err err;

    /* Its hoisted folders stand in the way of the next one's; a hostile tree may hold such names too. */
    cr_assert_eq(pj_fs_mkdirs("tree/.pj-removing-0/kept/deep", 0755, &err), 0);
    cr_assert_eq(pj_fs_mkdirs("tree/.pj-removing-1/kept/deep", 0755, &err), 0);
    cr_assert_eq(close(open("tree/.pj-removing-2", O_CREAT | O_WRONLY, 0600)), 0);
    cr_assert_eq(pj_fs_mkdirs("tree/a/b/c/d", 0755, &err), 0);
    cr_assert_eq(close(open("tree/a/b/file", O_CREAT | O_WRONLY, 0600)), 0);
    cr_assert_eq(pj_fs_remove_tree("tree", &err), 0, "%s", err.message);
    cr_assert_not(pj_fs_exists("tree"));
    cr_assert_eq(pj_fs_remove_tree(base, &err), 0);
}
