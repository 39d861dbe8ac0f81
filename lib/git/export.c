/* Writing a commit's files out: git_checkout would apply filters and attributes of a stranger, and expects a .git. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/git/repo_impl.h"

#define DEPTH_MAX 256
#define TICK_EVERY 256

struct export
{
    struct pj_git_repo *repo;
    struct pj_git_call *call;
    struct pj_err *err;
    size_t done;
};

static bool name_ok(const char *name)
{
    return name[0] != '\0' && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strcasecmp(name, ".git") != 0 && strchr(name, '/') == NULL;
}

static int write_file(struct export *x, int dir, const char *name, const git_tree_entry *entry)
{
    git_blob *blob = NULL;
    mode_t mode = ((unsigned)git_tree_entry_filemode_raw(entry) & 0100u) != 0 ? 0755 : 0644;

    int rc = git_blob_lookup(&blob, x->repo->repo, git_tree_entry_id(entry));
    if (rc < 0)
        return pj_git_fail(NULL, rc, x->err, "content of %s", name);
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0 || pj_write_all(fd, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob)) < 0 ||
        fchmod(fd, mode) < 0)
        rc = pj_fail_errno(x->err, errno, "write %s", name);
    if (fd >= 0)
        close(fd);
    git_blob_free(blob);
    return rc;
}

static int write_link(struct export *x, int dir, const char *name, const git_tree_entry *entry)
{
    PJ_CLEANUP(pj_str_release) struct pj_str target;
    char sha[PJ_SHA_SIZE];

    pj_str_init(&target, 4095);
    git_oid_tostr(sha, sizeof(sha), git_tree_entry_id(entry));
    if (pj_git_blob_read(x->repo, sha, &target, x->err) < 0)
        return pj_err_wrap(x->err, "link %s", name);
    if (target.len == 0 || memchr(target.data, '\0', target.len) != NULL)
        return pj_fail(x->err, PJ_E_INVALID, "link %s has no possible target", name);
    if (symlinkat(pj_str_cstr(&target), dir, name) < 0)
        return pj_fail_errno(x->err, errno, "link %s", name);
    return 0;
}

static int write_tree(struct export *x, int dir, const git_oid *oid, unsigned depth);

static int write_folder(struct export *x, int dir, const char *name, const git_oid *oid,
                        unsigned depth)
{
    if (mkdirat(dir, name, 0755) < 0)
        return pj_fail_errno(x->err, errno, "make folder %s", name);
    if (oid == NULL)
        return 0;
    PJ_CLEANUP(pj_closep)
    int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub < 0)
        return pj_fail_errno(x->err, errno, "open folder %s", name);
    if (fchmod(sub, 0755) < 0)
        return pj_fail_errno(x->err, errno, "mode of folder %s", name);
    if (write_tree(x, sub, oid, depth + 1) < 0)
        return pj_err_wrap(x->err, "in %s", name);
    return 0;
}

static int write_entry(struct export *x, int dir, const git_tree_entry *entry, unsigned depth)
{
    const char *name = git_tree_entry_name(entry);

    if (!name_ok(name))
        return pj_fail(x->err, PJ_E_INVALID,
                       "the commit has an entry \"%.100s\" that no work tree may have", name);
    if (++x->done % TICK_EVERY == 0 && x->call != NULL && pj_git_call_tick(x->call) < 0) {
        *x->err = x->call->failure;
        return -1;
    }
    switch ((unsigned)git_tree_entry_filemode(entry)) {
    case GIT_FILEMODE_TREE:
        return write_folder(x, dir, name, git_tree_entry_id(entry), depth);
    case GIT_FILEMODE_COMMIT:
        return write_folder(x, dir, name, NULL, depth);
    case GIT_FILEMODE_LINK:
        return write_link(x, dir, name, entry);
    default:
        return write_file(x, dir, name, entry);
    }
}

static int write_tree(struct export *x, int dir, const git_oid *oid, unsigned depth)
{
    git_tree *tree = NULL;

    if (depth > DEPTH_MAX)
        return pj_fail(x->err, PJ_E_LIMIT, "folders deeper than %d", DEPTH_MAX);
    int rc = git_tree_lookup(&tree, x->repo->repo, oid);
    if (rc < 0)
        return pj_git_fail(NULL, rc, x->err, "read a tree");
    size_t n = git_tree_entrycount(tree);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = write_entry(x, dir, git_tree_entry_byindex(tree, i), depth);
    git_tree_free(tree);
    return rc;
}

int pj_git_export(struct pj_git_repo *repo, const char *tree, int dir_fd,
                  const struct pj_git_net *net, struct pj_err *err)
{
    struct pj_git_call call;
    struct export x = {.repo = repo, .call = &call, .err = err};
    static const struct pj_git_net alone;
    git_oid oid;

    if (pj_git_oid(tree, &oid, err) < 0)
        return -1;
    pj_git_call_begin(&call, net != NULL ? net : &alone);
    int rc = write_tree(&x, dir_fd, &oid, 0);
    pj_git_call_end(&call);
    return rc;
}
