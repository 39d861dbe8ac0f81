#include "lib/git/mirror.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <git2.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/git/net.h"

#define LOCK_STEP_MS 20
#define REF_SIZE 96

/* The mirror's own name for a branch: a hash, so that "a" of yesterday never stands in the way of today's "a/b". */
static void ref_of(const char *branch, char out[REF_SIZE])
{
    char hex[65];

    pj_sha256_hex(branch, strlen(branch), hex);
    (void)snprintf(out, REF_SIZE, "refs/mirror/%s", hex);
}

/* Take `<dir>.lock`, serving the pump while another process fetches. */
static int lock_mirror(const char *dir, struct pj_git_call *call, int *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s.lock", dir);
    PJ_CLEANUP(pj_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return pj_fail_errno(err, errno, "open %s", path);
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return pj_fail_errno(err, errno, "lock %s", path);
        if (pj_git_call_pause(call, LOCK_STEP_MS) < 0) {
            *err = call->failure;
            return pj_err_wrap(err, "wait for %s", path);
        }
    }
    *out = fd;
    fd = -1;
    return 0;
}

/* Packs that a killed fetch left half written; nobody else writes while the lock is held. */
static void remove_leftovers(const char *dir)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/objects/pack", dir);
    DIR *packs = opendir(path);
    const struct dirent *entry = NULL;

    while (packs != NULL && (entry = readdir(packs)) != NULL) {
        if (strncmp(entry->d_name, "pack_git2_", 10) == 0)
            (void)unlinkat(dirfd(packs), entry->d_name, 0);
    }
    if (packs != NULL)
        closedir(packs);
}

static int open_mirror(const char *dir, git_repository **out, struct pj_err *err)
{
    git_repository_init_options options = GIT_REPOSITORY_INIT_OPTIONS_INIT;

    if (git_repository_open_bare(out, dir) == 0) {
        remove_leftovers(dir);
        return 0;
    }
    if (pj_fs_remove_tree(dir, err) < 0)
        return pj_err_wrap(err, "make the mirror anew");
    options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKDIR;
    options.mode = GIT_REPOSITORY_INIT_SHARED_UMASK;
    options.initial_head = "main";
    int rc = git_repository_init_ext(out, dir, &options);
    return rc < 0 ? pj_git_fail(NULL, rc, err, "make mirror %s", dir) : 0;
}

static bool has_commit(git_repository *repo, const char *sha)
{
    git_oid oid;
    git_commit *commit = NULL;

    if (git_oid_fromstr(&oid, sha) < 0 || git_commit_lookup(&commit, repo, &oid) < 0)
        return false;
    git_commit_free(commit);
    return true;
}

static bool ref_is(git_repository *repo, const char *branch, const char *sha)
{
    char ref[REF_SIZE];
    char have[PJ_SHA_SIZE];
    git_oid oid;

    ref_of(branch, ref);
    if (git_reference_name_to_id(&oid, repo, ref) < 0)
        return false;
    git_oid_tostr(have, sizeof(have), &oid);
    return strcmp(have, sha) == 0 && has_commit(repo, sha);
}

static int fetch(git_remote *remote, struct pj_git_call *call, const struct pj_mirror_have *have,
                 const char *extra, struct pj_err *err)
{
    git_fetch_options options = GIT_FETCH_OPTIONS_INIT;
    char ref[REF_SIZE];
    char main_spec[PJ_BRANCH_SIZE + REF_SIZE + 32];
    char extra_spec[PJ_BRANCH_SIZE + REF_SIZE + 32];
    char *list[2] = {main_spec, extra_spec};
    git_strarray specs = {list, have->extra_tip[0] != '\0' ? 2 : 1};

    ref_of(have->head.branch, ref);
    (void)snprintf(main_spec, sizeof(main_spec), "+refs/heads/%s:%s", have->head.branch, ref);
    if (specs.count == 2) {
        ref_of(extra, ref);
        (void)snprintf(extra_spec, sizeof(extra_spec), "+refs/heads/%s:%s", extra, ref);
    }
    pj_git_call_callbacks(call, &options.callbacks);
    options.prune = GIT_FETCH_NO_PRUNE;
    options.update_fetchhead = 0;
    options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    options.proxy_opts.type = GIT_PROXY_AUTO;
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    int rc = git_remote_fetch(remote, &specs, &options, NULL);
    return rc < 0 ? pj_git_fail(call, rc, err, "fetch branch %s", have->head.branch) : 0;
}

static int update(git_repository *repo, const char *url, struct pj_git_call *call,
                  const struct pj_mirror_want *want, struct pj_mirror_have *out, struct pj_err *err)
{
    git_remote *remote = NULL;
    struct pj_remote_head extra;
    struct pj_err none;

    int rc = pj_git_remote_new(repo, url, &remote, err);
    if (rc < 0)
        return rc;
    rc = pj_git_connect(remote, url, GIT_DIRECTION_FETCH, call, err);
    if (rc == 0)
        rc = pj_git_pick_head(remote, want->branch, &out->head, err);
    if (rc == 0 && want->extra != NULL && pj_git_pick_head(remote, want->extra, &extra, &none) == 0)
        memcpy(out->extra_tip, extra.sha, sizeof(out->extra_tip));
    if (rc == 0 && !(ref_is(repo, out->head.branch, out->head.sha) &&
                     (out->extra_tip[0] == '\0' || ref_is(repo, want->extra, out->extra_tip)))) {
        rc = fetch(remote, call, out, want->extra, err);
        out->fetched = true;
        if (rc == 0 && !ref_is(repo, out->head.branch, out->head.sha))
            rc = pj_fail(err, PJ_E_UNAVAILABLE, "branch %s moved while it was fetched from %s",
                         out->head.branch, url);
    }
    git_remote_free(remote);
    return rc;
}

int pj_mirror_update(const char *dir, const char *url, const struct pj_git_net *net,
                     const struct pj_mirror_want *want, struct pj_mirror_have *out,
                     struct pj_err *err)
{
    struct pj_git_call call;
    git_repository *repo = NULL;
    PJ_CLEANUP(pj_closep) int lock = -1;

    memset(out, 0, sizeof(*out));
    if (pj_git_setup(net->ca_file, err) < 0)
        return -1;
    pj_git_call_begin(&call, net);
    int rc = lock_mirror(dir, &call, &lock, err);
    if (rc == 0)
        rc = open_mirror(dir, &repo, err);
    if (rc == 0)
        rc = update(repo, url, &call, want, out, err);
    git_repository_free(repo);
    pj_git_call_end(&call);
    return rc;
}
