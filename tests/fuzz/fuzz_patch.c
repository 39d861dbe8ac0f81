/* Properties of the patch parser and the applier: what is accepted has safe paths, counts that add up and slices inside the
 * text; applying it to any base ends, and a rejected hunk is told. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "runner/patch_apply.h"
#include "runner/patch_policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_path(const char *path)
{
    const char *why = NULL;

    if (path == NULL)
        return;
    require(patch_path_ok(pj_view_of(path), 0, &why));
    require(path[0] != '/' && strstr(path, "../") != path && strcasestr(path, ".git/") != path);
}

static void check_slice(struct pj_view text, struct pj_view part)
{
    require(part.n == 0 || (part.p >= text.p && part.p + part.n <= text.p + text.n));
}

/* The old side of all hunks, put together: a base on which the first hunk at least has a chance. */
static void old_side(const struct patch *patch, const struct patch_file *file, struct pj_str *out)
{
    for (size_t i = file->first_hunk; i < file->first_hunk + file->hunk_count; i++) {
        struct pj_view rest = patch->hunks[i].body;
        struct pj_view line = {0};
        while (rest.n > 0 && pj_view_cut(&rest, '\n', &line)) {
            if (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '-')) {
                (void)pj_str_append(out, line.p + 1, line.n - 1);
                (void)pj_str_putc(out, '\n');
            }
        }
    }
}

static void apply(const struct patch *patch, size_t i)
{
    struct patch_rejects rejects = {0};
    struct pj_str base;
    struct pj_str out;
    struct pj_err err;

    pj_str_init(&base, (size_t)1 << 20);
    pj_str_init(&out, (size_t)4 << 20);
    old_side(patch, &patch->files[i], &base);
    struct pj_view view = pj_view_n(pj_str_cstr(&base), base.len);
    int rc = patch->files[i].binary ? patch_apply_binary(&patch->files[i], view, &out, &err)
                                    : patch_apply_text(patch, i, view, &out, &rejects, &err);
    require((rc == PJ_NONE) == (rejects.count > 0));
    pj_str_release(&base);
    pj_str_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct patch *patch = NULL;
    struct patch_policy policy = {0};
    struct patch_findings found;
    struct pj_err err;
    size_t hunks = 0;
    struct pj_view text = {(const char *)data, size};

    if (patch_parse(text, NULL, &patch, &err) != 0)
        return 0;
    for (size_t i = 0; i < patch->file_count; i++) {
        const struct patch_file *file = &patch->files[i];
        check_path(file->old_path);
        check_path(file->new_path);
        require(file->old_path != NULL || file->new_path != NULL);
        require(file->first_hunk == hunks);
        hunks += file->hunk_count;
        require(hunks <= patch->hunk_count);
        for (size_t h = file->first_hunk; h < hunks; h++)
            check_slice(text, patch->hunks[h].body);
        apply(patch, i);
    }
    require(hunks == patch->hunk_count);
    (void)!patch_policy_check(patch, &policy, &found, &err);
    patch_free(patch);
    return 0;
}
