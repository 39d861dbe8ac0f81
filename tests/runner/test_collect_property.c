/* Whatever is done to a work tree: what is collected, written out again, is the tree that was there, but for what was noted,
 * ignored, or belongs to git. PJ_PROPERTY_COUNT sets how many rounds, PJ_PROPERTY_SEED which. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "runner/collect.h"
#include "runner/publish.h"
#include "tests/runner/workspace_fix.h"

static uint64_t state;
static struct workspace_fix fix;

static uint32_t dice(uint32_t n)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 2685821657736338717ULL) >> 33) % n;
}

static void begin(void)
{
    static const struct gitfix_file files[] = {
        {".gitignore", "*.tmp\nbuild/\n!keep.tmp\n", false},
        {"a", "1\n", false},
        {"b/c", "2\n", false},
        {"b/d/e", "3\n", true},
        {"b/d/f", "", false},
        {"g/h", "4\n", false},
        {"build/kept", "5\n", false},
        {"x.tmp", "tracked though ignored\n", false},
    };
    const char *seed = getenv("PJ_PROPERTY_SEED");

    state = 0x853c49e6748fea9bULL ^ (seed != NULL ? strtoull(seed, NULL, 10) : 0);
    workspace_fix_begin(&fix, files, PJ_COUNT_OF(files));
}

static void end(void)
{
    workspace_fix_end(&fix);
}

TestSuite(collect_property, .init = begin, .fini = end);

/* A path of up to three parts out of a few names, so that files, folders and links meet. */
static char *random_path(void)
{
    static const char *const names[] = {"a",   "b",        "c",         "d",     "e",
                                        "g",   "h",        "build",     "x.tmp", "keep.tmp",
                                        "y z", "\xC3\xA4", ".gitignore"};
    struct pj_str path;

    pj_str_init(&path, 4000);
    (void)pj_str_puts(&path, workspace_tree(fix.ws));
    for (uint32_t parts = 1 + dice(3); parts > 0; parts--)
        (void)pj_str_putf(&path, "/%s", names[dice(PJ_COUNT_OF(names))]);
    return pj_str_take(&path);
}

static void write_some(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
                  dice(4) == 0 ? 0755 : 0644);
    char bytes[64];
    size_t n = dice(sizeof(bytes));

    if (fd < 0)
        return;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(dice(8) == 0 ? dice(256) : 'a' + dice(26));
    cr_assert_eq(pj_write_all(fd, bytes, n), 0);
    close(fd);
}

/* What an agent may do; whatever fails, fails. */
static void act(void)
{
    PJ_CLEANUP(pj_freep) char *path = random_path();
    PJ_CLEANUP(pj_freep) char *other = random_path();
    struct pj_err err;

    switch (dice(12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        write_some(path);
        break;
    case 4:
    case 5:
        (void)mkdir(path, 0755);
        break;
    case 6:
        if (pj_fs_remove_tree(path, &err) < 0)
            cr_assert(err.sys_errno == ENOTDIR || err.sys_errno == ELOOP, "%s", err.message);
        break;
    case 7:
        (void)rename(path, other);
        break;
    case 8: {
        static const char *const targets[] = {
            "a",           "b/c",       "../a", "../../etc/passwd", "/etc/passwd", "nowhere",
            ".git/config", "d/../../a", "."};
        (void)!symlink(targets[dice(PJ_COUNT_OF(targets))], path);
        break;
    }
    case 9:
        (void)!fchmodat(AT_FDCWD, path, dice(2) == 0 ? 0755 : 0600, AT_SYMLINK_NOFOLLOW);
        break;
    case 10:
        (void)!link(path, other);
        break;
    default:
        (void)mkfifo(path, 0644);
        break;
    }
}

static bool is_noted(const struct collect_result *result, const char *path)
{
    for (size_t i = 0; i < result->note_count; i++) {
        size_t n = strlen(result->notes[i].path);
        if (strncmp(result->notes[i].path, path, n) == 0 && (path[n] == '\0' || path[n] == '/'))
            return true;
    }
    return false;
}

/* "file 0644 <bytes>", "link <target>" or NULL for anything else, at root/path. */
static char *describe(const char *root, const char *path)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("%s/%s", root, path);
    char target[4096];
    struct stat st;

    if (lstat(full, &st) < 0)
        return NULL;
    if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlink(full, target, sizeof(target) - 1);
        return n < 0 ? NULL : pj_asprintf("link %.*s", (int)n, target);
    }
    if (!S_ISREG(st.st_mode))
        return NULL;
    struct pj_str text;
    struct pj_err err;
    pj_str_init(&text, 100000);
    (void)pj_str_putf(&text, "file %s ", (st.st_mode & 0100) != 0 ? "x" : "-");
    struct pj_str bytes;
    pj_str_init(&bytes, 10000);
    cr_assert_eq(pj_fs_read(full, &bytes, &err), 0, "%s", err.message);
    for (size_t i = 0; i < bytes.len; i++)
        (void)pj_str_putf(&text, "%02x", (unsigned char)bytes.data[i]);
    pj_str_release(&bytes);
    return pj_str_take(&text);
}

struct compare {
    const struct collect_result *result;
    const char *from, *to; /* every file of `from` is in `to` */
    bool may_be_ignored;
};

static void compare_folder(struct compare *c, const char *folder);

static void compare_path(struct compare *c, const char *path)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("%s/%s", c->from, path);
    struct stat st;

    if (is_noted(c->result, path) || lstat(full, &st) < 0)
        return;
    if (S_ISDIR(st.st_mode)) {
        compare_folder(c, path);
        return;
    }
    PJ_CLEANUP(pj_freep) char *here = describe(c->from, path);
    PJ_CLEANUP(pj_freep) char *there = describe(c->to, path);
    /* The rules by hand: *.tmp but keep.tmp, and build/; a file of the base is never ignored. */
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t n = strlen(name);
    bool ignored = c->may_be_ignored &&
                   ((n > 4 && strcmp(name + n - 4, ".tmp") == 0 && strcmp(name, "keep.tmp") != 0) ||
                    strncmp(path, "build/", 6) == 0 || strstr(path, "/build/") != NULL ||
                    strstr(path, ".tmp/") != NULL);
    if (ignored && there == NULL)
        return;
    cr_assert_not_null(here, "%s", path);
    cr_assert_not_null(there, "%s is in %s and not in %s\n%s", path, c->from, c->to,
                       pj_str_cstr(&c->result->diff));
    cr_assert_str_eq(here, there, "%s\n%s", path, pj_str_cstr(&c->result->diff));
}

static void compare_folder(struct compare *c, const char *folder)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("%s/%s", c->from, folder);
    DIR *dir = opendir(full);
    const struct dirent *entry = NULL;

    cr_assert_not_null(dir, "%s", full);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        PJ_CLEANUP(pj_freep)
        char *path = folder[0] != '\0' ? pj_asprintf("%s/%s", folder, entry->d_name)
                                       : pj_strdup(entry->d_name);
        compare_path(c, path);
    }
    closedir(dir);
}

static void one_round(void)
{
    struct collect_result result;
    struct pj_err err;
    char tree[PJ_SHA_SIZE];
    char *copy = NULL;

    for (uint32_t i = 1 + dice(40); i > 0; i--)
        act();
    cr_assert_eq(collect_run(fix.ws, -1, NULL, NULL, &result, &err), 0, "%s", err.message);
    if (!result.empty) {
        struct pj_view diff = pj_view_n(pj_str_cstr(&result.diff), result.diff.len);
        cr_assert_eq(publish_apply(fix.ws, diff, result.tree_sha, tree, &err), 0, "%s\n%s",
                     err.message, diff.p);
    }
    cr_assert_eq(workspace_copy(fix.ws, "copy", result.tree_sha, &copy, &err), 0, "%s",
                 err.message);
    if (result.notes_dropped == 0) {
        struct compare there = {&result, workspace_tree(fix.ws), copy, true};
        struct compare back = {&result, copy, workspace_tree(fix.ws), false};
        compare_folder(&there, "");
        compare_folder(&back, "");
    }
    free(copy);
    collect_result_release(&result);
}

Test(collect_property, what_is_collected_is_what_was_there)
{
    const char *setting = getenv("PJ_PROPERTY_COUNT");
    uint64_t count = 150;

    if (setting != NULL)
        cr_assert_eq(pj_parse_u64(pj_view_of(setting), &count), 0);
    workspace_fix_open(&fix);
    for (uint64_t i = 0; i < count; i++) {
        one_round();
        if (i % 10 == 9) {
            workspace_close(fix.ws);
            workspace_fix_open(&fix);
        }
    }
}
