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
    unsigned old_mode = pj_mode_canonical(delta->old_file.mode);
    unsigned new_mode = pj_mode_canonical(delta->new_file.mode);

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

/* Nothing changed but an old mode's way of writing. */
static bool is_nothing(const git_diff_delta *delta)
{
    return delta->status == GIT_DELTA_MODIFIED &&
           git_oid_equal(&delta->old_file.id, &delta->new_file.id) &&
           pj_mode_canonical(delta->old_file.mode) == pj_mode_canonical(delta->new_file.mode);
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
    size_t nothing = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_nothing(git_diff_get_delta(diff, i)))
            nothing++;
        else if (print_file(diff, i, out, err) < 0)
            return -1;
    }
    if (stat_of(diff, stat, err) < 0)
        return -1;
    stat->files -= nothing;
    return 0;
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
