#include "lib/git/remote.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <git2.h>

#include "lib/base/branch.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/git/net.h"

#define HEADS "refs/heads/"

/* The branch HEAD points to, without refs/heads/; "" when the remote does not say. */
static void default_branch(const git_remote_head **heads, size_t count, char out[PJ_BRANCH_SIZE])
{
    const git_remote_head *head = NULL;
    const char *guess = NULL;

    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (strcmp(heads[i]->name, "HEAD") == 0)
            head = heads[i];
    }
    if (head != NULL && head->symref_target != NULL)
        guess = head->symref_target;
    /* An old server without the symref capability: the branch at HEAD's commit, main and master first. */
    for (size_t i = 0; guess == NULL && head != NULL && i < count; i++) {
        if ((strcmp(heads[i]->name, HEADS "main") == 0 ||
             strcmp(heads[i]->name, HEADS "master") == 0) &&
            git_oid_equal(&heads[i]->oid, &head->oid))
            guess = heads[i]->name;
    }
    if (guess != NULL && strncmp(guess, HEADS, sizeof(HEADS) - 1) == 0 &&
        strlen(guess) - (sizeof(HEADS) - 1) < PJ_BRANCH_SIZE)
        (void)snprintf(out, PJ_BRANCH_SIZE, "%s", guess + sizeof(HEADS) - 1);
}

int pj_git_pick_head(git_remote *remote, const char *branch, struct pj_remote_head *out,
                     struct pj_err *err)
{
    const git_remote_head **heads = NULL;
    size_t count = 0;
    char ref[sizeof(HEADS) + PJ_BRANCH_SIZE];

    if (git_remote_ls(&heads, &count, remote) < 0)
        return pj_git_fail(NULL, -1, err, "list branches");
    memset(out, 0, sizeof(*out));
    default_branch(heads, count, out->default_branch);
    if (branch == NULL || branch[0] == '\0')
        branch = out->default_branch;
    if (branch[0] == '\0') {
        (void)pj_fail(err, PJ_E_NOT_FOUND,
                      count == 0 ? "the repository is empty"
                                 : "the repository names no default branch");
        (void)pj_err_remedy(err, count == 0 ? "push a first commit" : "name a branch");
        return pj_err_code(err, "branch_not_found");
    }
    if (!pj_branch_name_valid(branch))
        return pj_fail(err, PJ_E_INVALID, "\"%.200s\" cannot be the name of a branch", branch);
    (void)snprintf(ref, sizeof(ref), HEADS "%s", branch);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(heads[i]->name, ref) != 0)
            continue;
        (void)snprintf(out->branch, sizeof(out->branch), "%s", branch);
        git_oid_tostr(out->sha, sizeof(out->sha), &heads[i]->oid);
        return 0;
    }
    if (count == 0) {
        (void)pj_fail(err, PJ_E_NOT_FOUND, "the repository is empty");
        (void)pj_err_remedy(err, "push a first commit");
    } else {
        (void)pj_fail(err, PJ_E_NOT_FOUND, "branch \"%s\" does not exist", branch);
        (void)pj_err_remedy(err, "check the branch's name; the default branch is \"%s\"",
                            out->default_branch);
    }
    return pj_err_code(err, "branch_not_found");
}

/* What a user can do about a remote that was not reached. */
static int explain(const struct pj_git_net *net, const char *url, struct pj_err *err)
{
    bool has_token = net->credential != NULL && net->credential->token != NULL &&
                     net->credential->token[0] != '\0';

    if (err->code[0] == '\0' && err->cls == PJ_E_NOT_FOUND)
        (void)pj_err_code(err, "repository_not_found");
    if (err->remedy[0] == '\0') {
        switch (err->cls) {
        case PJ_E_AUTH:
            (void)pj_err_remedy(err, has_token ? "the credential was refused: give one that is "
                                                 "valid and may read this repository"
                                               : "the remote asks for a credential: give the "
                                                 "repository one, or set a token for its forge");
            break;
        case PJ_E_FORBIDDEN:
            (void)pj_err_remedy(
                err,
                "the credential may not read this repository: check its scopes and its access");
            break;
        case PJ_E_NOT_FOUND:
            (void)pj_err_remedy(err, "check the address %s, and that the credential may see it",
                                url);
            break;
        case PJ_E_UNAVAILABLE:
            (void)pj_err_remedy(
                err, "check the address %s and that the host answers, then try again", url);
            break;
        case PJ_E_PROTOCOL:
            (void)pj_err_remedy(err, "the answer is not that of a git server: check the address %s",
                                url);
            break;
        default:
            break;
        }
    }
    return -1;
}

int pj_git_connect(git_remote *remote, const char *url, git_direction direction,
                   struct pj_git_call *call, struct pj_err *err)
{
    git_remote_connect_options options;

    pj_git_call_options(call, &options);
    call->credential_asked = 0;
    int rc = git_remote_connect_ext(remote, direction, &options);
    if (rc < 0) {
        const git_error *last = git_error_last();
        (void)pj_git_fail(call, rc, err, "reach %s", url);
        /* A path that is no repository, said by the local transport with a code of its own. */
        if (!call->failed && last != NULL &&
            (last->klass == GIT_ERROR_REPOSITORY || last->klass == GIT_ERROR_OS))
            err->cls = PJ_E_NOT_FOUND;
        return explain(call->net, url, err);
    }
    return 0;
}

/* A path as a file:// URL: libgit2 takes a bare path with a colon in it for one of ssh. */
static char *file_url(const char *path)
{
    struct pj_str url;

    pj_str_init(&url, 3 * strlen(path) + sizeof("file://"));
    (void)pj_str_puts(&url, "file://");
    for (const char *p = path; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (isalnum(c) || strchr("/-_.~", c) != NULL)
            (void)pj_str_putc(&url, *p);
        else
            (void)pj_str_putf(&url, "%%%02X", c);
    }
    return pj_str_take(&url);
}

int pj_git_remote_new(git_repository *repo, const char *url, git_remote **out, struct pj_err *err)
{
    git_remote_create_options options;
    struct stat st;
    bool is_path = url[0] == '/';

    if (!is_path && strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
        return pj_fail(err, PJ_E_INVALID, "%s is neither an http address nor an absolute path",
                       url);
    if (is_path && (stat(url, &st) < 0 || !S_ISDIR(st.st_mode))) {
        (void)pj_fail(err, PJ_E_NOT_FOUND, "there is no repository at %s", url);
        (void)pj_err_remedy(err, "check the path %s", url);
        return pj_err_code(err, "repository_not_found");
    }
    git_remote_create_options_init(&options, GIT_REMOTE_CREATE_OPTIONS_VERSION);
    options.repository = repo;
    options.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
    PJ_CLEANUP(pj_freep) char *as_url = is_path ? file_url(url) : pj_strdup(url);
    int rc = git_remote_create_with_opts(out, as_url, &options);
    return rc < 0 ? pj_git_fail(NULL, rc, err, "address %s", url) : 0;
}

int pj_remote_check(const char *url, const struct pj_git_net *net, const char *branch,
                    struct pj_remote_head *out, struct pj_err *err)
{
    struct pj_git_call call;
    git_remote *remote = NULL;

    if (pj_git_setup(net->ca_file, err) < 0)
        return -1;
    pj_git_call_begin(&call, net);
    int rc = pj_git_remote_new(NULL, url, &remote, err);
    if (rc == 0)
        rc = pj_git_connect(remote, url, GIT_DIRECTION_FETCH, &call, err);
    if (rc == 0) {
        rc = pj_git_pick_head(remote, branch, out, err);
        git_remote_disconnect(remote);
    }
    git_remote_free(remote);
    pj_git_call_end(&call);
    return rc;
}
