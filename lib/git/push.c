/* libgit2 has no force-with-lease. Over HTTP the old id is compared in push_negotiation, and the server compares it again as
 * it takes the update; for a path the reference itself is moved by compare-and-set. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/branch.h"
#include "lib/base/mem.h"
#include "lib/git/repo_impl.h"

#define LOCAL_REF "refs/heads/push"

struct push {
    struct pj_git_call call; /* first: the payload of all callbacks */
    const struct pj_push_spec *spec;
    git_oid commit;
    git_oid found; /* the remote's tip */
    bool was_there;
    bool conflict;
    char refused[300]; /* the remote's words */
};

static int conflict(const struct push *push, struct pj_err *err)
{
    char found[PJ_SHA_SIZE];

    git_oid_tostr(found, sizeof(found), &push->found);
    (void)pj_fail(err, PJ_E_CONFLICT, "branch %s is at %s, which is not a commit of this task",
                  push->spec->branch, found);
    return pj_err_remedy(err, "nothing was overwritten: move those commits to another branch, or "
                              "delete the branch, then retry");
}

/* Is the remote's tip one that the caller has recorded? */
static bool is_ours(const struct push *push)
{
    char found[PJ_SHA_SIZE];
    struct pj_view rest =
        pj_view_of(push->spec->may_replace != NULL ? push->spec->may_replace : "");
    struct pj_view tip;

    git_oid_tostr(found, sizeof(found), &push->found);
    while (pj_view_cut(&rest, ' ', &tip)) {
        if (pj_view_is(tip, found))
            return true;
    }
    return false;
}

/* What the remote's tip means for this push. True: go on. */
static bool judge(struct push *push)
{
    push->was_there = git_oid_equal(&push->found, &push->commit) != 0;
    push->conflict = !push->was_there && !git_oid_is_zero(&push->found) && !is_ours(push);
    return !push->was_there && !push->conflict;
}

static int ref_name(const struct pj_push_spec *spec, char *out, size_t n, struct pj_err *err)
{
    if (!pj_branch_name_valid(spec->branch))
        return pj_fail(err, PJ_E_INVALID, "\"%.200s\" cannot be the name of a branch",
                       spec->branch);
    (void)snprintf(out, n, "refs/heads/%s", spec->branch);
    return 0;
}

/* --- a path --- */

static int read_tip(git_repository *remote, const char *ref, git_oid *out)
{
    memset(out, 0, sizeof(*out));
    int rc = git_reference_name_to_id(out, remote, ref);
    return rc == GIT_ENOTFOUND ? 0 : rc;
}

static int hide_ref(git_reference *ref, void *payload)
{
    const git_oid *target = git_reference_target(ref);

    if (target != NULL)
        (void)git_revwalk_hide(payload, target); /* a commit that is not here hides nothing */
    git_reference_free(ref);
    return 0;
}

static int hide_remote_refs(git_repository *remote, git_revwalk *walk)
{
    git_reference_iterator *it = NULL;
    git_reference *ref = NULL;

    int rc = git_reference_iterator_new(&it, remote);
    while (rc == 0 && (rc = git_reference_next(&ref, it)) == 0)
        rc = hide_ref(ref, walk);
    git_reference_iterator_free(it);
    return rc == GIT_ITEROVER ? 0 : rc;
}

static int copy_objects(struct pj_git_repo *repo, git_repository *remote, const struct push *push)
{
    git_revwalk *walk = NULL;
    git_packbuilder *pack = NULL;
    git_buf objects = GIT_BUF_INIT;

    int rc = git_revwalk_new(&walk, repo->repo);
    if (rc == 0)
        rc = git_revwalk_push(walk, &push->commit);
    if (rc == 0)
        rc = hide_remote_refs(remote, walk);
    if (rc == 0)
        rc = git_packbuilder_new(&pack, repo->repo);
    if (rc == 0)
        rc = git_packbuilder_insert_walk(pack, walk);
    if (rc == 0 && git_packbuilder_object_count(pack) > 0) {
        rc = git_repository_item_path(&objects, remote, GIT_REPOSITORY_ITEM_OBJECTS);
        if (rc == 0) {
            PJ_CLEANUP(pj_freep) char *folder = pj_asprintf("%s/pack", objects.ptr);
            rc = git_packbuilder_write(pack, folder, 0, NULL, NULL);
        }
    }
    git_buf_dispose(&objects);
    git_packbuilder_free(pack);
    git_revwalk_free(walk);
    return rc;
}

static int move_ref(git_repository *remote, const char *ref, const struct push *push)
{
    git_reference *moved = NULL;
    int rc;

    if (git_oid_is_zero(&push->found))
        rc = git_reference_create(&moved, remote, ref, &push->commit, 0, "push");
    else
        rc = git_reference_create_matching(&moved, remote, ref, &push->commit, 1, &push->found,
                                           "push");
    git_reference_free(moved);
    return rc;
}

static bool is_writable(git_repository *remote)
{
    const char *dir = git_repository_commondir(remote);
    PJ_CLEANUP(pj_freep) char *objects = pj_asprintf("%sobjects/pack", dir);
    PJ_CLEANUP(pj_freep) char *refs = pj_asprintf("%srefs/heads", dir);

    return faccessat(AT_FDCWD, objects, W_OK, AT_EACCESS) == 0 &&
           faccessat(AT_FDCWD, refs, W_OK, AT_EACCESS) == 0;
}

/* git cannot have both the branch "pj" and "pj/x". */
static bool is_blocked(git_repository *remote, const char *ref)
{
    PJ_CLEANUP(pj_freep) char *parent = pj_strdup(ref);
    char *slash = strrchr(parent, '/');
    git_oid oid;

    *slash = '\0';
    return strcmp(parent, "refs/heads") != 0 && git_reference_name_to_id(&oid, remote, parent) == 0;
}

static int blocked(const struct push *push, struct pj_err *err)
{
    (void)pj_fail(err, PJ_E_CONFLICT,
                  "the branch %s cannot be made: another branch has the first part of its name",
                  push->spec->branch);
    return pj_err_remedy(err, "rename or delete that branch, then retry the task");
}

static int push_path(struct pj_git_repo *repo, struct push *push, const char *ref,
                     struct pj_err *err)
{
    git_repository *remote = NULL;

    int rc = git_repository_open(&remote, push->spec->url);
    if (rc < 0) {
        (void)pj_git_fail(NULL, rc, err, "open %s", push->spec->url);
        err->cls = PJ_E_NOT_FOUND;
        return pj_err_code(err, "repository_not_found");
    }
    rc = read_tip(remote, ref, &push->found);
    if (rc == 0 && judge(push) && !is_writable(remote)) {
        git_repository_free(remote);
        (void)pj_fail(err, PJ_E_FORBIDDEN, "the repository %s cannot be written to",
                      push->spec->url);
        return pj_err_remedy(err, "make it writable for the user that the runner runs as");
    }
    if (rc == 0 && judge(push)) {
        rc = copy_objects(repo, remote, push);
        if (rc == 0)
            rc = move_ref(remote, ref, push);
        if (rc == GIT_EMODIFIED || rc == GIT_EEXISTS || rc == GIT_ELOCKED) {
            rc = read_tip(remote, ref, &push->found);
            if (rc == 0 && judge(push))
                rc = GIT_ELOCKED;
        }
    }
    bool is_in_the_way = rc < 0 && is_blocked(remote, ref);
    git_repository_free(remote);
    if (is_in_the_way)
        return blocked(push, err);
    if (rc < 0) {
        (void)pj_git_fail(NULL, rc, err, "push to %s", push->spec->url);
        if (rc == GIT_ELOCKED)
            err->cls = PJ_E_UNAVAILABLE;
        return -1;
    }
    return push->conflict ? conflict(push, err) : 0;
}

/* --- a network remote --- */

static int on_negotiation(const git_push_update **updates, size_t n, void *payload)
{
    struct push *push = payload;

    if (n == 1)
        push->found = updates[0]->src;
    return judge(push) ? 0 : GIT_EUSER;
}

static int on_update(const char *refname, const char *status, void *payload)
{
    struct push *push = payload;

    (void)refname;
    if (status != NULL)
        (void)snprintf(push->refused, sizeof(push->refused), "%s",
                       status[0] != '\0' ? status : "no reason given");
    return 0;
}

static int push_once(git_remote *remote, struct push *push, const char *ref, struct pj_err *err)
{
    git_push_options options = GIT_PUSH_OPTIONS_INIT;
    PJ_CLEANUP(pj_freep) char *spec = pj_asprintf("+" LOCAL_REF ":%s", ref);
    git_strarray specs = {&spec, 1};

    pj_git_call_callbacks(&push->call, &options.callbacks);
    options.callbacks.push_negotiation = on_negotiation;
    options.callbacks.push_update_reference = on_update;
    options.pb_parallelism = 1;
    options.proxy_opts.type = GIT_PROXY_AUTO;
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    if (pj_git_connect(remote, push->spec->url, GIT_DIRECTION_PUSH, &push->call, err) < 0)
        return -1;
    int rc = git_remote_push(remote, &specs, &options);
    git_remote_disconnect(remote);
    if (push->was_there)
        return 0;
    if (push->conflict)
        return conflict(push, err);
    return rc < 0 ? pj_git_fail(&push->call, rc, err, "push to %s", push->spec->url) : 0;
}

/* The remote refused the update: because somebody was faster, or because it may not be. */
static int explain_refusal(git_remote *remote, struct push *push, struct pj_err *err)
{
    struct pj_remote_head head;
    struct pj_err ignored;
    bool in_the_way = false;
    PJ_CLEANUP(pj_freep) char *parent = pj_strdup(push->spec->branch);
    char *slash = strrchr(parent, '/');

    if (slash != NULL)
        *slash = '\0';
    if (pj_git_connect(remote, push->spec->url, GIT_DIRECTION_FETCH, &push->call, &ignored) == 0) {
        if (pj_git_pick_head(remote, push->spec->branch, &head, &ignored) == 0 &&
            pj_git_oid(head.sha, &push->found, err) == 0)
            (void)judge(push);
        in_the_way = slash != NULL && pj_git_pick_head(remote, parent, &head, &ignored) == 0;
        git_remote_disconnect(remote);
    }
    if (push->was_there)
        return 0;
    if (push->conflict)
        return conflict(push, err);
    if (in_the_way)
        return blocked(push, err);
    (void)pj_fail(err, PJ_E_FORBIDDEN, "the remote refused branch %s: %s", push->spec->branch,
                  push->refused);
    return pj_err_remedy(err, "check the rules for branches and the hooks of the repository, and "
                              "what the credential may push");
}

static int push_remote(struct pj_git_repo *repo, struct push *push, const char *ref,
                       struct pj_err *err)
{
    git_reference *local = NULL;
    git_remote *remote = NULL;

    int rc = git_reference_create(&local, repo->repo, LOCAL_REF, &push->commit, 1, NULL);
    git_reference_free(local);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "push to %s", push->spec->url);
    if (pj_git_remote_new(repo->repo, push->spec->url, &remote, err) < 0)
        return -1;
    rc = push_once(remote, push, ref, err);
    if (rc == 0 && push->refused[0] != '\0')
        rc = explain_refusal(remote, push, err);
    git_remote_free(remote);
    return rc;
}

int pj_git_push(struct pj_git_repo *repo, const struct pj_push_spec *spec,
                const struct pj_git_net *net, enum pj_push_end *end, struct pj_err *err)
{
    struct push push = {.spec = spec};
    char ref[PJ_BRANCH_SIZE + 16];

    if (pj_git_setup(net->ca_file, err) < 0 || ref_name(spec, ref, sizeof(ref), err) < 0 ||
        pj_git_oid(spec->commit, &push.commit, err) < 0)
        return -1;
    pj_git_call_begin(&push.call, net);
    int rc =
        spec->url[0] == '/' ? push_path(repo, &push, ref, err) : push_remote(repo, &push, ref, err);
    pj_git_call_end(&push.call);
    if (rc == 0)
        *end = push.was_there ? PJ_PUSH_WAS_THERE : PJ_PUSHED;
    return rc;
}
