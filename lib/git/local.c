#include "lib/git/local.h"

#include <git2.h>
#include <stdio.h>
#include "lib/base/mem.h"
#include "lib/git/net.h"

static int write_tree(git_repository *repo, const struct pj_local_file *files, size_t count,
                      git_oid *tree)
{
    git_index *index = NULL;
    int rc = git_index_new(&index);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        git_index_entry entry = {.path = files[i].path,
                                 .mode = files[i].executable ? GIT_FILEMODE_BLOB_EXECUTABLE
                                                             : GIT_FILEMODE_BLOB};

        rc = git_blob_create_from_buffer(&entry.id, repo, files[i].data, files[i].size);
        if (rc == 0)
            rc = git_index_add(index, &entry);
    }
    if (rc == 0)
        rc = git_index_write_tree_to(tree, index, repo);
    git_index_free(index);
    return rc;
}

static int first_commit(git_repository *repo, const git_oid *tree_id, const char *message,
                        int64_t date_ms)
{
    git_signature *who = NULL;
    git_tree *tree = NULL;
    git_oid commit;
    int rc = git_signature_new(&who, "Pithy Jaunt", "pithy-jaunt@localhost", date_ms / 1000, 0);

    if (rc == 0)
        rc = git_tree_lookup(&tree, repo, tree_id);
    if (rc == 0)
        rc = git_commit_create(&commit, repo, "refs/heads/main", who, who, "UTF-8", message, tree,
                               0, NULL);
    git_tree_free(tree);
    git_signature_free(who);
    return rc;
}

int pj_local_create(const char *dir, const struct pj_local_file *files, size_t count,
                    const char *message, int64_t date_ms, struct pj_err *err)
{
    git_repository_init_options options = GIT_REPOSITORY_INIT_OPTIONS_INIT;
    git_repository *repo = NULL;
    git_oid tree;

    if (pj_git_setup(NULL, err) < 0)
        return -1;
    options.flags =
        GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKDIR | GIT_REPOSITORY_INIT_NO_REINIT;
    options.initial_head = "main";
    int rc = git_repository_init_ext(&repo, dir, &options);
    if (rc == 0)
        rc = write_tree(repo, files, count, &tree);
    if (rc == 0)
        rc = first_commit(repo, &tree, message, date_ms);
    git_repository_free(repo);
    return rc < 0 ? pj_git_fail(NULL, rc, err, "make repository %s", dir) : 0;
}

int pj_local_branch(const char *dir, const char *branch, struct pj_local_tip *out,
                    struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *ref = pj_asprintf("refs/heads/%s", branch);
    git_repository *repo = NULL;
    git_commit *commit = NULL;
    git_oid id;

    if (pj_git_setup(NULL, err) < 0)
        return -1;
    int rc = git_repository_open_bare(&repo, dir);
    if (rc == 0)
        rc = git_reference_name_to_id(&id, repo, ref);
    if (rc == 0)
        rc = git_commit_lookup(&commit, repo, &id);
    if (rc == 0) {
        const char *subject = git_commit_summary(commit);

        (void)git_oid_tostr(out->sha, sizeof out->sha, &id);
        (void)snprintf(out->subject, sizeof out->subject, "%s", subject ? subject : "");
    }
    git_commit_free(commit);
    git_repository_free(repo);
    return rc < 0 ? pj_git_fail(NULL, rc, err, "branch %s of %s", branch, dir) : 0;
}
