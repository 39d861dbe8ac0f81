#include "runner/workspace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/id.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/git/mirror.h"
#include "lib/http/client.h"
#include "runner/publish.h"
#include "runner/retry.h"
#include "runner/workspace_impl.h"

#define USE_STEP_MS 20
#define USE_WAIT_MS ((int64_t)5 * 60 * 1000)

const char *workspace_tree(const struct workspace *ws)
{
    return ws->tree;
}

const char *workspace_dir(const struct workspace *ws)
{
    return ws->dir;
}

const char *workspace_base_sha(const struct workspace *ws)
{
    return ws->base_sha;
}

const char *workspace_base_branch(const struct workspace *ws)
{
    return ws->base_branch;
}

const char *workspace_task_branch_tip(const struct workspace *ws)
{
    return ws->task_branch_tip;
}

const char *workspace_shared(const struct workspace *ws)
{
    return ws->checkout.dir;
}

void workspace_close(struct workspace *ws)
{
    struct pj_err left;

    if (ws == NULL)
        return;
    pj_git_repo_free(ws->repo);
    if (ws->dir != NULL && pj_fs_remove_tree(ws->dir, &left) < 0)
        pj_log_err(PJ_LOG_WARN, "workspace_left", &left, "dir", ws->dir);
    checkout_close(&ws->checkout);
    pj_fd_close(&ws->mirror_use);
    free(ws->dir);
    free(ws->tree);
    free(ws->mirror);
    free(ws);
}

void workspace_closep(struct workspace **ws)
{
    workspace_close(*ws);
}

/* Names from outside become file names only after this. */
static int check_names(const struct workspace_spec *spec, struct pj_err *err)
{
    if (!pj_id_is_valid(spec->task_id))
        return pj_fail(err, PJ_E_INVALID, "\"%.60s\" is no task id", spec->task_id);
    if (!pj_id_is_valid(spec->repository_id))
        return pj_fail(err, PJ_E_INVALID, "\"%.60s\" is no repository id", spec->repository_id);
    return 0;
}

static int make_folders(struct workspace *ws, const struct workspace_spec *spec, struct pj_err *err)
{
    char hex[65];

    if (pj_fs_mkdirs(spec->state_dir, 0755, err) < 0)
        return -1;
    PJ_CLEANUP(pj_freep) char *cache = pj_asprintf("%s/cache", spec->state_dir);
    PJ_CLEANUP(pj_freep) char *work = pj_asprintf("%s/work", spec->state_dir);
    if (pj_fs_mkdirs(cache, 0700, err) < 0 || pj_fs_mkdirs(work, 0700, err) < 0)
        return -1;
    /* The address is part of the name: another address is another mirror, and objects never cross over. */
    pj_sha256_hex(spec->url, strlen(spec->url), hex);
    ws->mirror = pj_asprintf("%s/%s-%.16s.git", cache, spec->repository_id, hex);
    PJ_CLEANUP(pj_freep) char *dir = pj_asprintf("%s/%s", work, spec->task_id);
    if (pj_fs_remove_tree(dir, err) < 0)
        return pj_err_wrap(err, "remove what an earlier run left");
    if (pj_fs_mkdirs(dir, 0700, err) < 0)
        return -1;
    ws->dir = dir;
    dir = NULL;
    ws->tree = pj_asprintf("%s/tree", ws->dir);
    return 0;
}

/* A shared lock while the mirror's objects are borrowed: workspace_cache_trim() leaves it alone. The file's time is the
 * mirror's last use. */
static int use_mirror(struct workspace *ws, const struct workspace_spec *spec, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s.use", ws->mirror);

    ws->mirror_use = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (ws->mirror_use < 0)
        return pj_fail_errno(err, errno, "open %s", path);
    int64_t until = pj_mono_ms() + (spec->net.timeout_ms > 0 ? spec->net.timeout_ms : USE_WAIT_MS);
    while (flock(ws->mirror_use, LOCK_SH | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return pj_fail_errno(err, errno, "lock %s", path);
        if (pj_mono_ms() >= until)
            return pj_fail(err, PJ_E_TIMEOUT, "%s is being cleaned for too long", ws->mirror);
        if (pj_http_pause(USE_STEP_MS, spec->net.pump, err) < 0)
            return -1;
    }
    (void)futimens(ws->mirror_use, NULL);
    return 0;
}

/* The word of CONTRACT.md section 9 for a remote that could not be read. */
static int code_of_remote(struct pj_err *err)
{
    static const char *const ours[] = {"", "branch_not_found", "repository_not_found",
                                       "host_unreachable"};
    bool known = false;

    for (size_t i = 0; i < PJ_COUNT_OF(ours); i++)
        known = known || strcmp(err->code, ours[i]) == 0;
    if (!known || err->cls == PJ_E_CANCELLED || err->cls == PJ_E_INTERNAL)
        return -1;
    if (strcmp(err->code, "host_unreachable") == 0)
        return pj_err_code(err, "repository_unavailable");
    switch (err->cls) {
    case PJ_E_RATE:
        return pj_err_code(err, "github_rate_limited");
    case PJ_E_UNAVAILABLE:
    case PJ_E_TIMEOUT:
        return pj_err_code(err, "github_service");
    default:
        return pj_err_code(err, "repository_unavailable");
    }
}

static int fetch(struct workspace *ws, const struct workspace_spec *spec,
                 struct pj_mirror_have *have, struct pj_err *err)
{
    char branch[PJ_BRANCH_SIZE];
    struct retry retry = {.base_ms = spec->retry_base_ms, .pump = spec->net.pump};

    publish_branch_name(spec->task_id, branch);
    struct pj_mirror_want want = {.branch = spec->base_branch, .extra = branch};
    for (;;) {
        if (pj_mirror_update(ws->mirror, spec->url, &spec->net, &want, have, err) == 0)
            return 0;
        int again = retry_transient(&retry, err);
        if (again < 0)
            return -1;
        if (again == 0)
            return code_of_remote(err);
    }
}

static int pin(struct workspace *ws, const struct workspace_spec *spec,
               const struct pj_mirror_have *have, struct pj_err *err)
{
    const char *sha = have->head.sha;

    if (spec->pinned_sha != NULL && spec->pinned_sha[0] != '\0') {
        sha = spec->pinned_sha;
    } else if (spec->start_at_task_branch) {
        if (have->extra_tip[0] == '\0') {
            (void)pj_fail(err, PJ_E_NOT_FOUND,
                          "the branch pj/%s is gone, so there is nothing to add a commit to",
                          spec->task_id);
            (void)pj_err_remedy(err, "create a new task instead");
            return pj_err_code(err, "pr_failed");
        }
        sha = have->extra_tip;
    }
    if (pj_git_commit_tree(ws->repo, sha, ws->base_tree, err) < 0) {
        (void)pj_err_wrap(err, "the commit that the task is pinned to");
        (void)pj_err_remedy(err,
                            "the branch was rewritten: retry the task to start from its new tip");
        return pj_err_code(err, "repository_unavailable");
    }
    ws->further_round = spec->start_at_task_branch;
    (void)snprintf(ws->base_sha, sizeof(ws->base_sha), "%s", sha);
    (void)snprintf(ws->base_branch, sizeof(ws->base_branch), "%s", have->head.branch);
    (void)snprintf(ws->task_branch_tip, sizeof(ws->task_branch_tip), "%s", have->extra_tip);
    return 0;
}

static int code_of_export(struct pj_err *err)
{
    if (err->cls == PJ_E_CANCELLED || err->code[0] != '\0')
        return -1;
    (void)pj_err_wrap(err, "write out the files");
    return pj_err_code(err, "repository_analysis");
}

static int write_out(struct workspace *ws, const char *path, const char *tree,
                     const struct pj_git_net *net, struct pj_err *err)
{
    if (pj_fs_mkdirs(path, 0755, err) < 0)
        return -1;
    PJ_CLEANUP(pj_closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return pj_fail_errno(err, errno, "open %s", path);
    return pj_git_export(ws->repo, tree, fd, net, err) < 0 ? code_of_export(err) : 0;
}

static int enough_files(void *ctx, const struct pj_tree_entry *entry, struct pj_err *err)
{
    int64_t *left = ctx;

    (void)err;
    return (entry->mode & 0170000u) == 0100000u && --*left <= 0 ? 1 : 0;
}

/* The shared checkout, and an empty layer. PJ_NONE: the files are to be copied. */
static int share(struct workspace *ws, const struct workspace_spec *spec, struct pj_err *err)
{
    int64_t left = spec->share_from_files;

    if (left <= 0)
        return PJ_NONE;
    int rc = pj_git_tree_each(ws->repo, ws->base_tree, enough_files, &left, err);
    if (rc == 0)
        return PJ_NONE;
    if (rc > 0)
        rc = checkout_open(ws->mirror, ws->repo, ws->base_tree, &spec->net, &ws->checkout, err);
    if (rc < 0)
        return code_of_export(err);
    return rc == 0 ? pj_fs_mkdirs(ws->tree, 0755, err) : rc;
}

static int prepare(struct workspace *ws, const struct workspace_spec *spec, struct pj_err *err)
{
    struct pj_mirror_have have;

    if (use_mirror(ws, spec, err) < 0 || fetch(ws, spec, &have, err) < 0)
        return -1;
    PJ_CLEANUP(pj_freep) char *clean = pj_asprintf("%s/clean.git", ws->dir);
    if (pj_git_repo_create(clean, ws->mirror, &ws->repo, err) < 0 || pin(ws, spec, &have, err) < 0)
        return -1;
    int rc = share(ws, spec, err);
    return rc == PJ_NONE ? write_out(ws, ws->tree, ws->base_tree, &spec->net, err) : rc;
}

int workspace_unshare(struct workspace *ws, const struct pj_git_net *net, struct pj_err *err)
{
    if (ws->checkout.dir == NULL)
        return 0;
    checkout_close(&ws->checkout);
    if (pj_fs_remove_tree(ws->tree, err) < 0)
        return -1;
    return write_out(ws, ws->tree, ws->base_tree, net, err);
}

/* Objects that are missing although the branch is there: a disk that was full, a machine that lost power. Gone unless another
 * job uses the mirror. */
static bool drop_mirror(struct workspace *ws)
{
    PJ_CLEANUP(pj_freep) char *clean = pj_asprintf("%s/clean.git", ws->dir);
    struct pj_err ignored;

    checkout_close(&ws->checkout);
    pj_git_repo_free(ws->repo);
    ws->repo = NULL;
    bool alone = flock(ws->mirror_use, LOCK_EX | LOCK_NB) == 0;
    bool dropped = alone && pj_fs_remove_tree(ws->mirror, &ignored) == 0;
    pj_fd_close(&ws->mirror_use);
    return dropped && pj_fs_remove_tree(clean, &ignored) == 0 &&
           pj_fs_remove_tree(ws->tree, &ignored) == 0;
}

int workspace_refresh(struct workspace *ws, const struct workspace_spec *spec, bool *moved,
                      struct pj_err *err)
{
    struct pj_mirror_have have;
    char tree[PJ_SHA_SIZE];

    *moved = false;
    if (ws->further_round)
        return 0;
    if (fetch(ws, spec, &have, err) < 0)
        return -1;
    if (strcmp(have.head.sha, ws->base_sha) == 0)
        return 0;
    if (pj_git_repo_reload(ws->repo, err) < 0 ||
        pj_git_commit_tree(ws->repo, have.head.sha, tree, err) < 0)
        return pj_err_wrap(err, "the base branch's new tip");
    memcpy(ws->base_sha, have.head.sha, sizeof(ws->base_sha));
    memcpy(ws->base_tree, tree, sizeof(ws->base_tree));
    *moved = true;
    return 0;
}

int workspace_open(const struct workspace_spec *spec, struct workspace **out, struct pj_err *err)
{
    PJ_CLEANUP(workspace_closep) struct workspace *ws = pj_alloc(1, sizeof(*ws));

    ws->mirror_use = -1;
    ws->checkout.use = -1;
    if (check_names(spec, err) < 0 || make_folders(ws, spec, err) < 0)
        return -1;
    int rc = prepare(ws, spec, err);
    if (rc < 0 && strcmp(err->code, "repository_analysis") == 0 && err->cls != PJ_E_INVALID &&
        err->cls != PJ_E_LIMIT && drop_mirror(ws))
        rc = prepare(ws, spec, err);
    if (rc < 0)
        return -1;
    *out = ws;
    ws = NULL;
    return 0;
}

int workspace_copy(struct workspace *ws, const char *name, const char *tree_sha, char **path,
                   struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *to = pj_asprintf("%s/%s", ws->dir, name);

    if (strchr(name, '/') != NULL || name[0] == '.' || name[0] == '\0')
        return pj_fail(err, PJ_E_INVALID, "\"%s\" is no folder name", name);
    if (pj_fs_remove_tree(to, err) < 0 ||
        write_out(ws, to, tree_sha != NULL && tree_sha[0] != '\0' ? tree_sha : ws->base_tree, NULL,
                  err) < 0)
        return -1;
    *path = to;
    to = NULL;
    return 0;
}

int workspace_base_file(struct workspace *ws, const char *path, struct pj_str *out,
                        struct pj_err *err)
{
    struct pj_tree_entry entry;

    int rc = pj_git_tree_find(ws->repo, ws->base_tree, path, &entry, err);
    if (rc != 0)
        return rc;
    if ((entry.mode & 0170000u) != 0100000u)
        return PJ_NONE;
    return pj_git_blob_read(ws->repo, entry.sha, out, err);
}

struct count {
    struct workspace *ws;
    struct workspace_survey *out;
};

static int survey_file(void *ctx, const struct pj_tree_entry *entry, struct pj_err *err)
{
    struct count *count = ctx;
    int64_t bytes = 0;

    if ((entry->mode & 0170000u) != 0100000u)
        return 0;
    if (pj_git_blob_size(count->ws->repo, entry->sha, &bytes, err) < 0)
        return -1;
    count->out->files++;
    count->out->bytes += bytes;
    return 0;
}

int workspace_survey(struct workspace *ws, struct workspace_survey *out, struct pj_err *err)
{
    struct count count = {.ws = ws, .out = out};

    *out = (struct workspace_survey){0};
    if (ws->checkout.dir != NULL) {
        *out = (struct workspace_survey){ws->checkout.files, ws->checkout.size};
        return 0;
    }
    return pj_git_tree_each(ws->repo, ws->base_tree, survey_file, &count, err) < 0 ? -1 : 0;
}
