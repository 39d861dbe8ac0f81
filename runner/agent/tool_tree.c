/* tool_tree.c - write_file, delete_path, move_path. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/tools.h"
#include "runner/agent/tree.h"

#define FILE_MAX ((size_t)8 << 20)

int tool_write_file(struct agent *a, const json_t *args, struct pj_str *out)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;
    PJ_CLEANUP(pj_closep) int dir = -1;
    PJ_CLEANUP(pj_closep) int fd = -1;
    const json_t *content = json_object_get(args, "content"),
                 *executable = json_object_get(args, "executable");
    size_t n = json_string_length(content);
    const char *name;
    struct stat st;
    struct pj_err err;
    bool existed;

    if (tool_path_arg(a, args, "path", &path, out) != 0)
        return PJ_NONE;
    if (n > FILE_MAX)
        return tool_refuse(out, "the content has %zu bytes, allowed are %zu", n, FILE_MAX);
    if (tree_parent(a, path, true, &dir, &name, &err) < 0)
        return tool_refuse_err(out, &err);
    existed = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (existed && S_ISDIR(st.st_mode))
        return tool_refuse(out, "%s is a folder", path);
    /* Through a link inside the tree to its target; a link that leads out is refused by tree_open. */
    if (tree_open(a, path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0666, &fd, &err) < 0)
        return tool_refuse_err(out, &err);
    if (pj_write_all(fd, json_string_value(content), n) < 0)
        return tool_refuse(out, "writing %s: %s", path, strerror(errno));
    if (json_is_boolean(executable) && fstat(fd, &st) == 0)
        (void)fchmod(fd, (st.st_mode & 0666) | (json_is_true(executable) ? 0111u : 0u));
    (void)pj_str_putf(out, "%s %s, %zu bytes", existed ? "rewrote" : "wrote", path, n);
    return 0;
}

int tool_delete_path(struct agent *a, const json_t *args, struct pj_str *out)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;
    PJ_CLEANUP(pj_freep) char *full = NULL;
    PJ_CLEANUP(pj_closep) int dir = -1;
    const char *name;
    struct stat st;
    struct pj_err err;

    if (tool_path_arg(a, args, "path", &path, out) != 0)
        return PJ_NONE;
    if (tree_parent(a, path, false, &dir, &name, &err) < 0)
        return tool_refuse_err(out, &err);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return tool_refuse(out, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) {
        full = pj_asprintf("/proc/self/fd/%d/%s", dir, name);
        if (pj_fs_remove_tree(full, &err) < 0)
            return tool_refuse_err(out, &err);
    } else if (unlinkat(dir, name, 0) < 0) {
        return tool_refuse(out, "%s: %s", path, strerror(errno));
    }
    (void)pj_str_putf(out, "deleted %s%s", path, S_ISDIR(st.st_mode) ? " and all it held" : "");
    return 0;
}

int tool_move_path(struct agent *a, const json_t *args, struct pj_str *out)
{
    PJ_CLEANUP(pj_freep) char *from = NULL;
    PJ_CLEANUP(pj_freep) char *to = NULL;
    PJ_CLEANUP(pj_closep) int from_dir = -1;
    PJ_CLEANUP(pj_closep) int to_dir = -1;
    const char *from_name, *to_name;
    struct stat st;
    struct pj_err err;

    if (tool_path_arg(a, args, "from", &from, out) != 0 ||
        tool_path_arg(a, args, "to", &to, out) != 0)
        return PJ_NONE;
    if (tree_parent(a, from, false, &from_dir, &from_name, &err) < 0)
        return tool_refuse_err(out, &err);
    if (fstatat(from_dir, from_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return tool_refuse(out, "%s: %s", from, strerror(errno));
    if (tree_parent(a, to, true, &to_dir, &to_name, &err) < 0)
        return tool_refuse_err(out, &err);
    if (renameat2(from_dir, from_name, to_dir, to_name, RENAME_NOREPLACE) < 0)
        return tool_refuse(out,
                           errno == EEXIST
                               ? "%s exists already"
                               : "moving to %s failed: the target is inside the source, or "
                                 "not reachable",
                           to);
    (void)pj_str_putf(out, "moved %s to %s", from, to);
    return 0;
}
