#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/collect.h"
#include "runner/publish.h"
#include "tests/runner/workspace_fix.h"

static struct workspace_fix fix;
static struct collect_result result;

static void begin(void)
{
    workspace_fix_begin(&fix, NULL, 0);
    workspace_fix_open(&fix);
}

static void end(void)
{
    collect_result_release(&result);
    workspace_fix_end(&fix);
}

TestSuite(collect, .init = begin, .fini = end);

static void collect(const struct collect_baseline *baseline)
{
    struct pj_err err;

    collect_result_release(&result);
    cr_assert_eq(collect_run(fix.ws, -1, baseline, NULL, &result, &err), 0, "%s", err.message);
}

/* The diff applies to the base and gives the tree that was collected. */
static void assert_applies(void)
{
    char tree[PJ_SHA_SIZE];
    struct pj_err err;

    int rc = publish_apply(fix.ws, pj_view_n(pj_str_cstr(&result.diff), result.diff.len),
                           result.tree_sha, tree, &err);
    cr_assert_eq(rc, 0, "%s\n%s", err.message, pj_str_cstr(&result.diff));
}

static bool in_diff(const char *text)
{
    return strstr(pj_str_cstr(&result.diff), text) != NULL;
}

static bool noted(const char *path)
{
    for (size_t i = 0; i < result.note_count; i++) {
        if (strcmp(result.notes[i].path, path) == 0)
            return true;
    }
    return false;
}

Test(collect, an_untouched_tree_is_empty)
{
    collect(NULL);
    cr_assert(result.empty);
    cr_assert_eq(result.diff.len, 0);
    cr_assert_eq(result.note_count, 0);
}

Test(collect, changed_new_deleted_files_and_modes)
{
    char *run = fix_path(&fix, "run.sh");
    char *readme = fix_path(&fix, "README.md");

    fix_write(&fix, "src/main.c", "int main(void)\n{\n    return 1;\n}\n");
    fix_mkdir(&fix, "docs");
    fix_write(&fix, "docs/new.md", "no newline at the end");
    cr_assert_eq(unlink(run), 0);
    cr_assert_eq(chmod(readme, 0755), 0);
    collect(NULL);
    cr_assert_eq(result.files, 4);
    cr_assert_eq(result.added, 2);
    cr_assert_eq(result.removed, 3);
    cr_assert(in_diff("diff --git a/src/main.c b/src/main.c\n"));
    cr_assert(in_diff("-    return 0;\n+    return 1;\n"));
    cr_assert(in_diff("new file mode 100644\n"));
    cr_assert(in_diff("\\ No newline at end of file\n"));
    cr_assert(in_diff("deleted file mode 100755\n"));
    cr_assert(in_diff("old mode 100644\nnew mode 100755\n"));
    assert_applies();
    free(run);
    free(readme);
}

Test(collect, binary_empty_and_oddly_named_files)
{
    char *binary = fix_path(&fix, "blob.bin");
    static const unsigned char bytes[] = {0, 1, 2, 255, 254, 0, 10, 13};
    int fd = open(binary, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    cr_assert_geq(fd, 0);
    cr_assert_eq(pj_write_all(fd, bytes, sizeof(bytes)), 0);
    close(fd);
    fix_write(&fix, "empty", "");
    fix_write(&fix, "with blank", "x\n");
    fix_write(&fix,
              "Gr\xC3\xBC\xC3\x9F"
              "e \"quoted\"",
              "x\n");
    fix_write(&fix, "crlf.txt", "a\r\nb\r\n");
    collect(NULL);
    cr_assert_eq(result.files, 5);
    cr_assert(in_diff("GIT binary patch\n"));
    assert_applies();
    free(binary);
}

Test(collect, a_file_becomes_a_folder_and_back)
{
    fix_remove(&fix, "run.sh");
    fix_mkdir(&fix, "run.sh");
    fix_write(&fix, "run.sh/inner", "x\n");
    fix_remove(&fix, "src");
    fix_write(&fix, "src", "now a file\n");
    collect(NULL);
    cr_assert_eq(result.files, 4);
    assert_applies();
}

Test(collect, a_file_becomes_a_symlink_inside_the_tree)
{
    fix_remove(&fix, "README.md");
    fix_link(&fix, "README.md", "src/main.c");
    collect(NULL);
    cr_assert(in_diff("120000"));
    assert_applies();
}

Test(collect, symlinks_out_of_the_tree_stay_out)
{
    fix_link(&fix, "passwd", "/etc/passwd");
    fix_link(&fix, "src/up", "../../../etc");
    fix_link(&fix, "git", ".git/config");
    fix_remove(&fix, "src/main.c");
    fix_link(&fix, "src/main.c", "/etc/hostname");
    collect(NULL);
    cr_assert(result.empty, "%s", pj_str_cstr(&result.diff));
    cr_assert_eq(result.note_count, 4);
    cr_assert(noted("src/main.c"));
}

Test(collect, a_folder_swapped_for_a_symlink_is_not_followed)
{
    fix_remove(&fix, "src");
    fix_link(&fix, "src", "/etc");
    collect(NULL);
    /* The link is refused; what stood there is left as it was. */
    cr_assert(result.empty, "%s", pj_str_cstr(&result.diff));
    cr_assert(noted("src"));
}

Test(collect, pipes_sockets_devices_and_hard_links_are_noted)
{
    char *pipe = fix_path(&fix, "pipe");
    char *from = fix_path(&fix, "README.md");
    char *hard = fix_path(&fix, "hard.md");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *sock = fix_path(&fix, "s");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(mkfifo(pipe, 0644), 0);
    cr_assert_eq(link(from, hard), 0);
    cr_assert_lt(strlen(sock), sizeof(address.sun_path));
    memcpy(address.sun_path, sock, strlen(sock));
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    collect(NULL);
    cr_assert(result.empty, "%s", pj_str_cstr(&result.diff));
    cr_assert(noted("pipe"));
    cr_assert(noted("s"));
    cr_assert(noted("hard.md"));
    cr_assert(noted("README.md"));
    close(fd);
    free(pipe);
    free(from);
    free(hard);
    free(sock);
}

Test(collect, any_git_folder_is_ignored)
{
    fix_mkdir(&fix, ".git");
    fix_write(&fix, ".git/config", "[core]\n\tfsmonitor = touch /tmp/pwned\n");
    fix_mkdir(&fix, "sub");
    fix_mkdir(&fix, "sub/.git");
    fix_write(&fix, "sub/.git/HEAD", "ref: refs/heads/main\n");
    fix_write(&fix, "sub/file", "kept\n");
    fix_mkdir(&fix, ".GIT");
    fix_write(&fix, ".GIT/config", "x\n");
    fix_write(&fix, "src/.git", "gitdir: /root\n");
    collect(NULL);
    cr_assert_eq(result.files, 1);
    cr_assert(in_diff("b/sub/file"));
    assert_applies();
}

Test(collect, ignore_rules_are_those_of_the_base)
{
    fix_write(&fix, "main.o", "object\n");
    fix_mkdir(&fix, "out");
    fix_write(&fix, "out/result", "x\n");
    fix_write(&fix, ".gitignore", "*\n");
    fix_write(&fix, "kept.txt", "x\n");
    collect(NULL);
    cr_assert_eq(result.files, 2);
    cr_assert(in_diff("b/kept.txt"));
    cr_assert(in_diff("b/.gitignore"));
    cr_assert_not(in_diff("main.o"));
    cr_assert_not(in_diff("out/result"));
}

Test(collect, what_set_up_wrote_stays_out)
{
    PJ_CLEANUP(collect_baseline_freep) struct collect_baseline *baseline = NULL;
    struct pj_err err;

    fix_mkdir(&fix, "vendor");
    fix_write(&fix, "vendor/a", "installed\n");
    fix_write(&fix, "vendor/b", "installed\n");
    fix_write(&fix, "README.md", "touched by set-up\n");
    fix_remove(&fix, "run.sh");
    cr_assert_eq(collect_baseline_take(fix.ws, -1, NULL, &baseline, &err), 0, "%s", err.message);
    collect(baseline);
    cr_assert(result.empty, "%s", pj_str_cstr(&result.diff));
    fix_write(&fix, "vendor/b", "changed by the agent\n");
    fix_write(&fix, "src/main.c", "int x;\n");
    collect(baseline);
    cr_assert_eq(result.files, 2);
    cr_assert(in_diff("b/vendor/b"));
    cr_assert_not(in_diff("vendor/a"));
    cr_assert_not(in_diff("README"));
    assert_applies();
}

Test(collect, bounds_are_errors_that_name_the_limit)
{
    struct collect_limits limits = {.max_changed = 1};
    struct pj_err err;

    fix_write(&fix, "a", "1\n");
    fix_write(&fix, "b", "1\n");
    cr_assert_eq(collect_run(fix.ws, -1, NULL, &limits, &result, &err), -1);
    cr_assert_eq(err.cls, PJ_E_LIMIT);
    cr_assert_str_eq(err.code, "patch_malformed");
    collect_result_release(&result);
    limits = (struct collect_limits){.max_entries = 3};
    cr_assert_eq(collect_run(fix.ws, -1, NULL, &limits, &result, &err), -1);
    collect_result_release(&result);
    limits = (struct collect_limits){.max_diff_bytes = 20};
    cr_assert_eq(collect_run(fix.ws, -1, NULL, &limits, &result, &err), -1);
    cr_assert_eq(err.cls, PJ_E_LIMIT);
    collect_result_release(&result);
    limits = (struct collect_limits){.max_file_bytes = 1};
    cr_assert_eq(collect_run(fix.ws, -1, NULL, &limits, &result, &err), 0, "%s", err.message);
    cr_assert(result.empty);
    cr_assert(noted("a"));
}

Test(collect, names_that_no_patch_may_have_are_noted)
{
    fix_write(&fix, "line\nbreak", "x\n");
    fix_write(&fix, "esc\x1b[31m", "x\n");
    fix_write(&fix, "latin\xE9", "x\n");
    collect(NULL);
    cr_assert(result.empty, "%s", pj_str_cstr(&result.diff));
    cr_assert_eq(result.note_count, 3);
}

/* A base commit with things that a patch could never bring in. */
static void commit_oddities(void)
{
    static const char list[] = "160000 commit 1111111111111111111111111111111111111111\tsub\n";
    (void)list;
    char *blob = gitfix_run(fix.remote, "../../etc/passwd", "hash-object", "-w", "--stdin", NULL);
    blob[strcspn(blob, "\n")] = '\0';
    char *text = pj_asprintf("160000 commit 1111111111111111111111111111111111111111\tsub\n"
                             "120000 blob %s\tup\n"
                             "100644 blob %s\t\"line\\nbreak\"\n"
                             "100644 blob %s\t\"latin\\351\"\n"
                             "100664 blob %s\tgroup-writable\n",
                             blob, blob, blob, blob);
    char *tree = gitfix_run(fix.remote, text, "mktree", "--missing", NULL);
    cr_assert_not_null(tree);
    tree[strcspn(tree, "\n")] = '\0';
    char *commit = gitfix_run(fix.remote, "odd\n", "-c", "user.name=x", "-c",
                              "user.email=x@example.org", "commit-tree", tree, NULL);
    cr_assert_not_null(commit);
    commit[strcspn(commit, "\n")] = '\0';
    char *done = gitfix_run(fix.remote, NULL, "update-ref", "refs/heads/main", commit, NULL);
    cr_assert_not_null(done);
    free(done);
    free(commit);
    free(tree);
    free(text);
    free(blob);
}

Test(collect, what_the_base_has_that_is_odd_is_left_alone)
{
    workspace_close(fix.ws);
    fix.ws = NULL;
    commit_oddities();
    workspace_fix_open(&fix);
    collect(NULL);
    cr_assert(result.empty, "%s", pj_str_cstr(&result.diff));
    fix_write(&fix, "sub/file", "in a submodule's folder\n");
    fix_write(&fix, "new", "x\n");
    collect(NULL);
    cr_assert_eq(result.files, 1, "%s", pj_str_cstr(&result.diff));
    cr_assert(in_diff("b/new"));
    assert_applies();
}

Test(collect, a_large_file_of_the_base_is_no_news)
{
    struct collect_limits limits = {.max_file_bytes = 10};
    struct pj_err err;

    cr_assert_eq(collect_run(fix.ws, -1, NULL, &limits, &result, &err), 0, "%s", err.message);
    cr_assert(result.empty);
    cr_assert_eq(result.note_count, 0);
    fix_write(&fix, "README.md", "# changed, and still large\n");
    collect_result_release(&result);
    cr_assert_eq(collect_run(fix.ws, -1, NULL, &limits, &result, &err), 0, "%s", err.message);
    cr_assert(result.empty);
    cr_assert(noted("README.md"));
}

/* Made in no time and read in minutes, if it were read: a file of nothing, in place of one of the base. */
Test(collect, a_file_of_256_gib_of_nothing_is_not_read)
{
    char *readme = fix_path(&fix, "README.md");

    if (truncate(readme, (off_t)256 << 30) < 0)
        cr_skip_test("this file system has no files of 256 GiB");
    collect(NULL);
    cr_assert(result.empty);
    cr_assert(noted("README.md"));
    free(readme);
}
