#include <string.h>

#include "lib/git/repo_impl.h"

/* Copy what may stand in "Name <mail>": no brackets, no control characters. */
static void clean(const char *text, const char *fallback, struct pj_str *out)
{
    pj_str_init(out, 200);
    for (const char *p = text != NULL ? text : ""; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c >= ' ' && c != 0x7f && c != '<' && c != '>')
            (void)pj_str_putc(out, *p);
    }
    if (out->len == 0 || strspn(out->data, " .,:;\"\\'") == out->len) {
        pj_str_clear(out);
        (void)pj_str_puts(out, fallback);
    }
}

int pj_git_commit(struct pj_git_repo *repo, const struct pj_commit_spec *spec,
                  char commit[PJ_SHA_SIZE], struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str name;
    PJ_CLEANUP(pj_str_release) struct pj_str email;
    git_signature *who = NULL;
    git_tree *tree = NULL;
    git_commit *parent = NULL;
    git_oid oid;
    git_oid parent_oid;

    clean(spec->name, "Pithy Jaunt", &name);
    clean(spec->email, "pithy-jaunt@localhost", &email);
    if (pj_git_oid(spec->parent, &parent_oid, err) < 0 ||
        pj_git_tree(repo, spec->tree, &tree, err) < 0)
        return -1;
    int rc = git_commit_lookup(&parent, repo->repo, &parent_oid);
    if (rc == 0)
        rc = git_signature_new(&who, pj_str_cstr(&name), pj_str_cstr(&email), spec->date_ms / 1000,
                               0);
    if (rc == 0) {
        const git_commit *parents[] = {parent};
        rc = git_commit_create(&oid, repo->repo, NULL, who, who, NULL, spec->message, tree, 1,
                               parents);
    }
    if (rc < 0)
        rc = pj_git_fail(NULL, rc, err, "commit on %s", spec->parent);
    else
        git_oid_tostr(commit, PJ_SHA_SIZE, &oid);
    git_signature_free(who);
    git_commit_free(parent);
    git_tree_free(tree);
    return rc;
}
