#include <stdlib.h>
#include <string.h>

#include "lib/git/repo_impl.h"

static void diff_options(git_diff_options *options)
{
    git_diff_options_init(options, GIT_DIFF_OPTIONS_VERSION);
    options->flags = GIT_DIFF_SHOW_BINARY | GIT_DIFF_IGNORE_SUBMODULES;
    options->ignore_submodules = GIT_SUBMODULE_IGNORE_ALL;
    options->context_lines = 3;
    options->id_abbrev = GIT_OID_HEXSZ;
    options->old_prefix = "a";
    options->new_prefix = "b";
    /* The collector has bounded every file; libgit2's own bound (512 MiB) would turn text into binary silently. */
    options->max_size = -1;
}

/* A name as git quotes it, and quoted also when it has a blank: git reads either, libgit2 only that. */
static void put_name(struct pj_str *out, const char *prefix, const char *name)
{
    bool quote = false;

    for (const char *p = name; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        quote = quote || c <= ' ' || c >= 0x7f || c == '"' || c == '\\';
    }
    if (!quote) {
        (void)pj_str_putf(out, "%s%s", prefix, name);
        return;
    }
    (void)pj_str_putf(out, "\"%s", prefix);
    for (const char *p = name; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < ' ' || c >= 0x7f)
            (void)pj_str_putf(out, "\\%03o", c);
        else if (c == '"' || c == '\\')
            (void)pj_str_putf(out, "\\%c", c);
        else
            (void)pj_str_putc(out, *p);
    }
    (void)pj_str_putc(out, '"');
}

static void put_modes(struct pj_str *out, const git_diff_delta *delta, const char *old_id,
                      const char *new_id)
{
    unsigned old_mode = delta->old_file.mode;
    unsigned new_mode = delta->new_file.mode;

    if (delta->status == GIT_DELTA_ADDED)
        (void)pj_str_putf(out, "new file mode %06o\n", new_mode);
    else if (delta->status == GIT_DELTA_DELETED)
        (void)pj_str_putf(out, "deleted file mode %06o\n", old_mode);
    else if (old_mode != new_mode)
        (void)pj_str_putf(out, "old mode %06o\nnew mode %06o\n", old_mode, new_mode);
    if (git_oid_equal(&delta->old_file.id, &delta->new_file.id))
        return;
    (void)pj_str_putf(out, "index %s..%s", old_id, new_id);
    if (old_mode == new_mode)
        (void)pj_str_putf(out, " %06o", old_mode);
    (void)pj_str_putc(out, '\n');
}

/* The head of one file's part: as git prints it, names quoted more often; ---/+++ only where hunks follow. */
static void put_head(struct pj_str *out, const git_diff_delta *delta, bool has_hunks)
{
    char old_id[PJ_SHA_SIZE];
    char new_id[PJ_SHA_SIZE];

    git_oid_tostr(old_id, sizeof(old_id), &delta->old_file.id);
    git_oid_tostr(new_id, sizeof(new_id), &delta->new_file.id);
    (void)pj_str_puts(out, "diff --git ");
    put_name(out, "a/", delta->old_file.path);
    (void)pj_str_putc(out, ' ');
    put_name(out, "b/", delta->new_file.path);
    (void)pj_str_putc(out, '\n');
    put_modes(out, delta, old_id, new_id);
    if (!has_hunks)
        return;
    (void)pj_str_puts(out, "--- ");
    if (delta->status == GIT_DELTA_ADDED)
        (void)pj_str_puts(out, "/dev/null");
    else
        put_name(out, "a/", delta->old_file.path);
    (void)pj_str_puts(out, "\n+++ ");
    if (delta->status == GIT_DELTA_DELETED)
        (void)pj_str_puts(out, "/dev/null");
    else
        put_name(out, "b/", delta->new_file.path);
    (void)pj_str_putc(out, '\n');
}

static int print_line(const git_diff_delta *delta, const git_diff_hunk *hunk,
                      const git_diff_line *line, void *payload)
{
    struct pj_str *out = payload;

    (void)delta;
    (void)hunk;
    if (line->origin == GIT_DIFF_LINE_FILE_HDR)
        return 0;
    if (line->origin == GIT_DIFF_LINE_CONTEXT || line->origin == GIT_DIFF_LINE_ADDITION ||
        line->origin == GIT_DIFF_LINE_DELETION)
        (void)pj_str_putc(out, line->origin);
    return pj_str_append(out, line->content, line->content_len) < 0 ? GIT_EUSER : 0;
}

static int print_file(git_diff *diff, size_t i, struct pj_str *out, struct pj_err *err)
{
    git_patch *patch = NULL;

    int rc = git_patch_from_diff(&patch, diff, i);
    if (rc == 0 && patch != NULL) {
        const git_diff_delta *delta = git_patch_get_delta(patch);
        put_head(out, delta, git_patch_num_hunks(patch) > 0);
        rc = git_patch_print(patch, print_line, out);
    }
    git_patch_free(patch);
    if (out->full)
        return pj_fail(err, PJ_E_LIMIT, "the diff has more than %zu bytes", out->max);
    return rc < 0 ? pj_git_fail(NULL, rc, err, "print the diff") : 0;
}

static int stat_of(git_diff *diff, struct pj_diff_stat *stat, struct pj_err *err)
{
    git_diff_stats *stats = NULL;

    int rc = git_diff_get_stats(&stats, diff);
    if (rc < 0)
        return pj_git_fail(NULL, rc, err, "count changes");
    stat->files = git_diff_stats_files_changed(stats);
    stat->added = git_diff_stats_insertions(stats);
    stat->removed = git_diff_stats_deletions(stats);
    git_diff_stats_free(stats);
    return 0;
}

static int print_diff(git_diff *diff, size_t max_files, struct pj_str *out,
                      struct pj_diff_stat *stat, struct pj_err *err)
{
    size_t n = git_diff_num_deltas(diff);

    if (n > max_files)
        return pj_fail(err, PJ_E_LIMIT, "%zu files changed, limit %zu", n, max_files);
    for (size_t i = 0; i < n; i++) {
        if (print_file(diff, i, out, err) < 0)
            return -1;
    }
    return stat_of(diff, stat, err);
}

int pj_git_diff(struct pj_git_repo *repo, const char *old_tree, const char *new_tree,
                size_t max_files, struct pj_str *out, struct pj_diff_stat *stat, struct pj_err *err)
{
    git_diff_options options;
    git_tree *a = NULL;
    git_tree *b = NULL;
    git_diff *diff = NULL;

    diff_options(&options);
    int rc = pj_git_tree(repo, old_tree, &a, err);
    if (rc == 0)
        rc = pj_git_tree(repo, new_tree, &b, err);
    if (rc == 0 && git_diff_tree_to_tree(&diff, repo->repo, a, b, &options) < 0)
        rc = pj_git_fail(NULL, -1, err, "compare trees");
    if (rc == 0)
        rc = print_diff(diff, max_files, out, stat, err);
    git_diff_free(diff);
    git_tree_free(b);
    git_tree_free(a);
    return rc;
}

/* Which file a failed application was at, for the message. */
struct progress {
    char path[300];
    unsigned hunk;
};

static int on_delta(const git_diff_delta *delta, void *payload)
{
    struct progress *progress = payload;
    const char *path =
        delta->status == GIT_DELTA_DELETED ? delta->old_file.path : delta->new_file.path;

    (void)snprintf(progress->path, sizeof(progress->path), "%s", path != NULL ? path : "?");
    progress->hunk = 0;
    return 0;
}

static int on_hunk(const git_diff_hunk *hunk, void *payload)
{
    (void)hunk;
    ((struct progress *)payload)->hunk++;
    return 0;
}

static int apply_failed(int rc, const struct progress *progress, struct pj_err *err)
{
    const git_error *last = git_error_last();
    enum pj_err_class cls = rc == GIT_EAPPLYFAIL || (last != NULL && last->klass == GIT_ERROR_PATCH)
                                ? PJ_E_CONFLICT
                                : PJ_E_INTERNAL;

    if (progress->path[0] == '\0')
        (void)pj_git_fail(NULL, rc, err, "apply the diff");
    else if (progress->hunk > 0)
        (void)pj_git_fail(NULL, rc, err, "apply %s, hunk %u", progress->path, progress->hunk);
    else
        (void)pj_git_fail(NULL, rc, err, "apply %s", progress->path);
    err->cls = cls;
    return -1;
}

int pj_git_apply(struct pj_git_repo *repo, const char *tree, struct pj_view diff,
                 char out[PJ_SHA_SIZE], struct pj_err *err)
{
    git_apply_options options = GIT_APPLY_OPTIONS_INIT;
    struct progress progress = {0};
    git_diff *parsed = NULL;
    git_tree *base = NULL;
    git_index *index = NULL;
    git_oid oid;

    options.delta_cb = on_delta;
    options.hunk_cb = on_hunk;
    options.payload = &progress;
    if (pj_git_tree(repo, tree, &base, err) < 0)
        return -1;
    int rc = git_diff_from_buffer(&parsed, diff.p, diff.n);
    if (rc < 0) {
        rc = pj_git_fail(NULL, rc, err, "read the diff");
        err->cls = PJ_E_INVALID;
    } else if ((rc = git_apply_to_tree(&index, repo->repo, base, parsed, &options)) < 0) {
        rc = apply_failed(rc, &progress, err);
    } else if ((rc = git_index_write_tree_to(&oid, index, repo->repo)) < 0) {
        rc = pj_git_fail(NULL, rc, err, "write the tree");
    } else {
        git_oid_tostr(out, PJ_SHA_SIZE, &oid);
    }
    git_index_free(index);
    git_diff_free(parsed);
    git_tree_free(base);
    return rc;
}
