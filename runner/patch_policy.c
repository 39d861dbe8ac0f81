#include "runner/patch_policy.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum guard { GUARD_WORKFLOW, GUARD_OWNERS, GUARD_REVIEW };

/* Paths that decide what runs with secrets, or who has to look. A row that ends in '/' covers what is beneath. */
static const struct {
    const char *path;
    enum guard guard;
    const char *why;
} guarded[] = {
    {".circleci/", GUARD_WORKFLOW, "changes what CI runs"},
    {".coderabbit.yaml", GUARD_REVIEW, "changes how changes are reviewed"},
    {".coderabbit.yml", GUARD_REVIEW, "changes how changes are reviewed"},
    {".forgejo/workflows/", GUARD_WORKFLOW, "changes what CI runs"},
    {".gitea/workflows/", GUARD_WORKFLOW, "changes what CI runs"},
    {".github/CODEOWNERS", GUARD_OWNERS, "changes who has to review"},
    {".github/actions/", GUARD_WORKFLOW, "changes what CI runs"},
    {".github/workflows/", GUARD_WORKFLOW, "changes what CI runs"},
    {".gitlab-ci.yml", GUARD_WORKFLOW, "changes what CI runs"},
    {".gitmodules", GUARD_WORKFLOW, "changes which other repositories are fetched"},
    {"CODEOWNERS", GUARD_OWNERS, "changes who has to review"},
    {"azure-pipelines.yml", GUARD_WORKFLOW, "changes what CI runs"},
    {"docs/CODEOWNERS", GUARD_OWNERS, "changes who has to review"},
};

enum tail { TAIL_WORD, TAIL_UPPER, TAIL_NONE };

/* Shapes of secrets: a prefix, then at least `least` characters of a kind. Sources: GitHub, "About authentication"; AWS IAM
 * identifiers; Slack, Stripe, OpenAI, Anthropic and Google key formats as their documents show them. */
static const struct {
    const char *prefix;
    size_t least;
    enum tail tail;
    const char *why;
} secrets[] = {
    {"-----BEGIN DSA PRIVATE KEY-----", 0, TAIL_NONE, "adds a private key"},
    {"-----BEGIN EC PRIVATE KEY-----", 0, TAIL_NONE, "adds a private key"},
    {"-----BEGIN OPENSSH PRIVATE KEY-----", 0, TAIL_NONE, "adds a private key"},
    {"-----BEGIN PGP PRIVATE KEY BLOCK-----", 0, TAIL_NONE, "adds a private key"},
    {"-----BEGIN PRIVATE KEY-----", 0, TAIL_NONE, "adds a private key"},
    {"-----BEGIN RSA PRIVATE KEY-----", 0, TAIL_NONE, "adds a private key"},
    {"AIza", 35, TAIL_WORD, "adds a Google API key"},
    {"AKIA", 16, TAIL_UPPER, "adds an AWS access key"},
    {"ASIA", 16, TAIL_UPPER, "adds an AWS access key"},
    {"ghs_", 36, TAIL_WORD, "adds a GitHub token"},
    {"gho_", 36, TAIL_WORD, "adds a GitHub token"},
    {"ghp_", 36, TAIL_WORD, "adds a GitHub token"},
    {"ghr_", 36, TAIL_WORD, "adds a GitHub token"},
    {"ghu_", 36, TAIL_WORD, "adds a GitHub token"},
    {"github_pat_", 60, TAIL_WORD, "adds a GitHub token"},
    {"glpat-", 20, TAIL_WORD, "adds a GitLab token"},
    {"sk-ant-", 40, TAIL_WORD, "adds an Anthropic API key"},
    {"sk-proj-", 40, TAIL_WORD, "adds an OpenAI API key"},
    {"sk_live_", 24, TAIL_WORD, "adds a Stripe key"},
    {"xoxb-", 24, TAIL_WORD, "adds a Slack token"},
    {"xoxp-", 24, TAIL_WORD, "adds a Slack token"},
};

static void find(struct patch_findings *found, const char *path, const char *why)
{
    if (found->count < PATCH_FINDINGS_MAX) {
        (void)snprintf(found->item[found->count].path, sizeof(found->item[0].path), "%s", path);
        (void)snprintf(found->item[found->count].why, sizeof(found->item[0].why), "%s", why);
    }
    found->count++;
}

static bool is_allowed(const struct patch_policy *policy, enum guard guard)
{
    switch (guard) {
    case GUARD_WORKFLOW:
        return policy->allow_workflows;
    case GUARD_OWNERS:
        return policy->allow_owners;
    case GUARD_REVIEW:
        return policy->allow_reviews;
    }
    return false;
}

static void check_path(const char *path, const struct patch_policy *policy,
                       struct patch_findings *found)
{
    if (path == NULL || (policy->own_file != NULL && strcmp(path, policy->own_file) == 0))
        return;
    for (size_t i = 0; i < PJ_COUNT_OF(guarded); i++) {
        size_t n = strlen(guarded[i].path);
        bool folder = guarded[i].path[n - 1] == '/';
        if (is_allowed(policy, guarded[i].guard))
            continue;
        /* Without regard to case: forges on such file systems, and such checkouts, read them all the same. */
        if (folder ? strncasecmp(path, guarded[i].path, n) == 0
                   : strcasecmp(path, guarded[i].path) == 0) {
            find(found, path, guarded[i].why);
            return;
        }
    }
}

static bool tail_ok(const char *p, const char *end, size_t least, enum tail tail)
{
    size_t n = 0;

    while (p < end && n < least) {
        unsigned char c = (unsigned char)*p++;
        bool fits =
            tail == TAIL_UPPER ? isupper(c) || isdigit(c) : isalnum(c) || c == '_' || c == '-';
        if (!fits)
            return false;
        n++;
    }
    return n == least;
}

static const char *secret_in(struct pj_view line)
{
    const char *end = line.p + line.n;

    for (size_t i = 0; i < PJ_COUNT_OF(secrets); i++) {
        size_t n = strlen(secrets[i].prefix);
        const char *from = line.p;
        const char *at = NULL;
        while ((at = memmem(from, (size_t)(end - from), secrets[i].prefix, n)) != NULL) {
            bool in_word = at > line.p && (isalnum((unsigned char)at[-1]) || at[-1] == '_');
            if (!in_word && tail_ok(at + n, end, secrets[i].least, secrets[i].tail))
                return secrets[i].why;
            from = at + n;
        }
    }
    return NULL;
}

static void check_secrets(const struct patch *patch, const struct patch_file *file,
                          struct patch_findings *found)
{
    for (size_t i = file->first_hunk; i < file->first_hunk + file->hunk_count; i++) {
        struct pj_view rest = patch->hunks[i].body;
        struct pj_view line = {0};
        while (pj_view_cut(&rest, '\n', &line)) {
            if (line.n < 2 || line.p[0] != '+')
                continue;
            const char *why = secret_in(pj_view_n(line.p + 1, line.n - 1));
            if (why != NULL) {
                find(found, patch_file_path(file), why);
                return; /* one finding a file is enough */
            }
        }
    }
}

int patch_policy_check(const struct patch *patch, const struct patch_policy *policy,
                       struct patch_findings *found, struct pj_err *err)
{
    struct pj_str text;

    memset(found, 0, sizeof(*found));
    for (size_t i = 0; i < patch->file_count; i++) {
        const struct patch_file *file = &patch->files[i];
        check_path(file->new_path, policy, found);
        if (file->old_path != NULL &&
            (file->new_path == NULL || strcmp(file->old_path, file->new_path) != 0))
            check_path(file->old_path, policy, found);
        if (!policy->allow_secrets)
            check_secrets(patch, file, found);
    }
    if (found->count == 0)
        return 0;
    pj_str_init(&text, 800);
    for (size_t i = 0; i < found->count && i < 4; i++)
        (void)pj_str_putf(&text, "%s%s %s", i > 0 ? "; " : "", found->item[i].path,
                          found->item[i].why);
    if (found->count > 4)
        (void)pj_str_putf(&text, "; and %zu more", found->count - 4);
    (void)pj_fail(err, PJ_E_FORBIDDEN, "%s", pj_str_cstr(&text));
    pj_str_release(&text);
    (void)pj_err_remedy(err,
                        "look at the patch: publish it as it is, retry the task with feedback, or "
                        "allow such changes for the repository (publish.allow)");
    return pj_err_code(err, "patch_policy");
}
