/* The head of one file's entry: "diff --git" with git's extended lines, or a plain ---/+++ pair. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "runner/patch_impl.h"

struct head {
    struct patch_reader *r;
    struct patch_file *file;
    bool is_git;
    char *def_name;  /* of the first line, when both halves agree */
    char *from, *to; /* rename or copy */
    bool is_copy;
    char *minus, *plus; /* of ---/+++, "" for /dev/null */
    unsigned mode_old, mode_new, mode_added, mode_deleted, mode_index;
    bool similarity;
};

static void head_release(struct head *h)
{
    free(h->def_name);
    free(h->from);
    free(h->to);
    free(h->minus);
    free(h->plus);
}

static int octal(struct pj_view v, unsigned *out)
{
    if (v.n != 3)
        return -1;
    *out = 0;
    for (size_t i = 0; i < 3; i++) {
        if (v.p[i] < '0' || v.p[i] > '7')
            return -1;
        *out = *out * 8 + (unsigned)(v.p[i] - '0');
    }
    return *out < 256 ? 0 : -1;
}

/* One escape of a quoted name (git, quote.c: unquote_c_style). Returns the bytes it takes, 0: none. */
static size_t unescape(struct pj_view v, char *out)
{
    static const char letters[] = "abfnrtv\"\\";
    static const char values[] = "\a\b\f\n\r\t\v\"\\";
    unsigned code = 0;

    if (v.n < 2)
        return 0;
    const char *at = strchr(letters, v.p[1]);
    if (at != NULL && v.p[1] != '\0') {
        *out = values[at - letters];
        return 2;
    }
    if (v.n < 4 || octal(pj_view_n(v.p + 1, 3), &code) < 0)
        return 0;
    *out = (char)(unsigned char)code;
    return 4;
}

/* A quoted name at the start of `v`; *used is what it takes of it. NULL: malformed. */
static char *unquote(struct pj_view v, size_t *used)
{
    struct pj_str out;
    size_t i = 1;

    pj_str_init(&out, v.n + 1);
    while (i < v.n && v.p[i] != '"') {
        char c = v.p[i];
        size_t taken = 1;
        if (c == '\\')
            taken = unescape(pj_view_n(v.p + i, v.n - i), &c);
        if (taken == 0 || c == '\0')
            break;
        (void)pj_str_putc(&out, c);
        i += taken;
    }
    if (i >= v.n || v.p[i] != '"') {
        pj_str_release(&out);
        return NULL;
    }
    *used = i + 1;
    return pj_str_take(&out);
}

/* A whole name, quoted or not. NULL: malformed. */
static char *read_name(struct pj_view v)
{
    size_t used = 0;

    if (v.n == 0 || memchr(v.p, '\0', v.n) != NULL)
        return NULL;
    if (v.p[0] != '"')
        return pj_strndup(v.p, v.n);
    char *name = unquote(v, &used);
    if (name != NULL && used != v.n) {
        free(name);
        return NULL;
    }
    return name;
}

/* Name of a "---" or "+++" line: git ends it at a tab, which it writes after names with blanks. Timestamps are not taken. */
static char *read_marked(struct head *h, struct pj_view v, char prefix)
{
    if (v.n > 0 && v.p[v.n - 1] == '\t')
        v.n--;
    if (pj_view_is(v, "/dev/null"))
        return pj_strdup("");
    char *name = read_name(v);
    if (name == NULL || name[0] != prefix || name[1] != '/' || name[2] == '\0') {
        free(name);
        (void)patch_fail(h->r, h->r->line, "the name must be %c/<path> or /dev/null", prefix);
        return NULL;
    }
    memmove(name, name + 2, strlen(name + 2) + 1);
    return name;
}

static int first_line(struct head *h, struct pj_view v)
{
    size_t used = 0;
    PJ_CLEANUP(pj_freep) char *a = NULL;
    PJ_CLEANUP(pj_freep) char *b = NULL;

    if (v.n > 0 && v.p[0] == '"') {
        a = unquote(v, &used);
        if (a != NULL && used + 1 < v.n && v.p[used] == ' ')
            b = read_name(pj_view_n(v.p + used + 1, v.n - used - 1));
    } else if (v.n > 0 && v.p[v.n - 1] == '"') {
        const char *blank = memchr(v.p, '"', v.n);
        if (blank > v.p && blank[-1] == ' ') {
            a = read_name(pj_view_n(v.p, (size_t)(blank - 1 - v.p)));
            b = read_name(pj_view_n(blank, (size_t)(v.p + v.n - blank)));
        }
    } else if (v.n % 2 == 1 && v.p[v.n / 2] == ' ') {
        a = read_name(pj_view_n(v.p, v.n / 2));
        b = read_name(pj_view_n(v.p + v.n / 2 + 1, v.n / 2));
    }
    if (a == NULL || b == NULL || strlen(a) < 3 || strlen(b) < 3)
        return 0; /* the names have to come from other lines */
    if (strncmp(a, "a/", 2) == 0 && strncmp(b, "b/", 2) == 0 && strcmp(a + 2, b + 2) == 0)
        h->def_name = pj_strdup(a + 2);
    return 0;
}

static int read_mode(struct head *h, struct pj_view v, unsigned *slot)
{
    static const struct {
        const char *text;
        unsigned mode;
    } modes[] = {
        {"100644", 0100644},
        {"100755", 0100755},
        {"120000", 0120000},
    };

    if (*slot != 0)
        return patch_fail(h->r, h->r->line, "the mode is given twice");
    for (size_t i = 0; i < PJ_COUNT_OF(modes); i++) {
        if (pj_view_is(v, modes[i].text)) {
            *slot = modes[i].mode;
            return 0;
        }
    }
    if (pj_view_is(v, "160000"))
        return patch_fail(h->r, h->r->line, "submodules are not allowed in a patch");
    return patch_fail(h->r, h->r->line, "mode %.*s is not allowed (100644, 100755 and 120000 are)",
                      (int)(v.n < 20 ? v.n : 20), v.p);
}

static int set_mode_old(struct head *h, struct pj_view v)
{
    return read_mode(h, v, &h->mode_old);
}

static int set_mode_new(struct head *h, struct pj_view v)
{
    return read_mode(h, v, &h->mode_new);
}

static int set_mode_added(struct head *h, struct pj_view v)
{
    return read_mode(h, v, &h->mode_added);
}

static int set_mode_deleted(struct head *h, struct pj_view v)
{
    return read_mode(h, v, &h->mode_deleted);
}

static int read_plain_name(struct head *h, struct pj_view v, char **slot)
{
    if (*slot != NULL)
        return patch_fail(h->r, h->r->line, "the name is given twice");
    *slot = read_name(v);
    return *slot != NULL ? 0 : patch_fail(h->r, h->r->line, "malformed name");
}

static int set_from(struct head *h, struct pj_view v)
{
    return read_plain_name(h, v, &h->from);
}

static int set_to(struct head *h, struct pj_view v)
{
    return read_plain_name(h, v, &h->to);
}

static int set_copy_from(struct head *h, struct pj_view v)
{
    h->is_copy = true;
    return read_plain_name(h, v, &h->from);
}

static int set_copy_to(struct head *h, struct pj_view v)
{
    if (!h->is_copy)
        return patch_fail(h->r, h->r->line, "copy to without copy from");
    return read_plain_name(h, v, &h->to);
}

static int set_similarity(struct head *h, struct pj_view v)
{
    uint64_t percent = 0;

    if (h->similarity || v.n < 2 || v.p[v.n - 1] != '%' ||
        pj_parse_u64(pj_view_n(v.p, v.n - 1), &percent) < 0 || percent > 100)
        return patch_fail(h->r, h->r->line, "malformed similarity");
    h->similarity = true;
    return 0;
}

static bool is_hex(struct pj_view v)
{
    if (v.n < 4 || v.n > 64)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (!((v.p[i] >= '0' && v.p[i] <= '9') || (v.p[i] >= 'a' && v.p[i] <= 'f')))
            return false;
    }
    return true;
}

static int set_index(struct head *h, struct pj_view v)
{
    struct pj_view ids = {0};
    struct pj_view rest = v;

    (void)pj_view_cut(&rest, ' ', &ids);
    const char *dots = ids.n > 2 ? memmem(ids.p, ids.n, "..", 2) : NULL;
    if (h->file->old_sha.n > 0 || dots == NULL)
        return patch_fail(h->r, h->r->line, "malformed index line");
    h->file->old_sha = pj_view_n(ids.p, (size_t)(dots - ids.p));
    h->file->new_sha = pj_view_n(dots + 2, (size_t)(ids.p + ids.n - dots - 2));
    if (!is_hex(h->file->old_sha) || !is_hex(h->file->new_sha))
        return patch_fail(h->r, h->r->line, "malformed index line");
    return rest.p != NULL ? read_mode(h, rest, &h->mode_index) : 0;
}

/* git's extended head lines (git, apply.c: optable). */
static const struct {
    const char *word;
    int (*set)(struct head *h, struct pj_view v);
} lines[] = {
    {"copy from ", set_copy_from},
    {"copy to ", set_copy_to},
    {"deleted file mode ", set_mode_deleted},
    {"dissimilarity index ", set_similarity},
    {"index ", set_index},
    {"new file mode ", set_mode_added},
    {"new mode ", set_mode_new},
    {"old mode ", set_mode_old},
    {"rename from ", set_from},
    {"rename to ", set_to},
    {"similarity index ", set_similarity},
};

static int extended_lines(struct head *h)
{
    struct pj_view line = {0};

    while (patch_peek(h->r, &line)) {
        size_t i = 0;
        while (i < PJ_COUNT_OF(lines) && !pj_view_starts(line, lines[i].word))
            i++;
        if (i == PJ_COUNT_OF(lines))
            return 0;
        size_t n = strlen(lines[i].word);
        if (lines[i].set(h, pj_view_n(line.p + n, line.n - n)) < 0)
            return -1;
        patch_next(h->r);
    }
    return 0;
}

static int marked_lines(struct head *h)
{
    struct pj_view line = {0};

    if (!patch_peek(h->r, &line) || !pj_view_starts(line, "--- "))
        return 0;
    h->minus = read_marked(h, pj_view_n(line.p + 4, line.n - 4), 'a');
    if (h->minus == NULL)
        return -1;
    patch_next(h->r);
    if (!patch_peek(h->r, &line) || !pj_view_starts(line, "+++ "))
        return patch_fail(h->r, h->r->line, "a +++ line must follow the --- line");
    h->plus = read_marked(h, pj_view_n(line.p + 4, line.n - 4), 'b');
    if (h->plus == NULL)
        return -1;
    patch_next(h->r);
    if (!patch_peek(h->r, &line) || !pj_view_starts(line, "@@ -"))
        return patch_fail(h->r, h->r->line, "a hunk must follow the +++ line");
    return 0;
}

/* What the entry does, from a plain pair alone. */
static int decide_plain(struct head *h)
{
    struct patch_file *file = h->file;

    if (h->minus[0] == '\0' && h->plus[0] == '\0')
        return patch_fail(h->r, file->line, "both sides are /dev/null");
    file->change = h->minus[0] == '\0'  ? PATCH_ADDED
                   : h->plus[0] == '\0' ? PATCH_DELETED
                                        : PATCH_MODIFIED;
    if (file->change == PATCH_MODIFIED && strcmp(h->minus, h->plus) != 0)
        return patch_fail(h->r, file->line, "the two names differ");
    return 0;
}

static int decide_git(struct head *h)
{
    struct patch_file *file = h->file;
    int kinds = (h->mode_added != 0) + (h->mode_deleted != 0) + (h->from != NULL || h->to != NULL);

    if (kinds > 1 ||
        ((h->mode_added != 0 || h->mode_deleted != 0) && (h->mode_old != 0 || h->mode_new != 0)))
        return patch_fail(h->r, file->line, "the head contradicts itself");
    if ((h->from == NULL) != (h->to == NULL) || (h->mode_old == 0) != (h->mode_new == 0))
        return patch_fail(h->r, file->line, "the head is incomplete");
    if (h->mode_added != 0)
        file->change = PATCH_ADDED;
    else if (h->mode_deleted != 0)
        file->change = PATCH_DELETED;
    else if (h->from != NULL)
        file->change = h->is_copy ? PATCH_COPIED : PATCH_RENAMED;
    else
        file->change = PATCH_MODIFIED;
    if ((h->mode_old & 0170000u) != (h->mode_new & 0170000u))
        return patch_fail(h->r, file->line, "a file's type changes by a deletion and a new file");
    if (h->minus != NULL && ((h->minus[0] == '\0') != (file->change == PATCH_ADDED) ||
                             (h->plus[0] == '\0') != (file->change == PATCH_DELETED)))
        return patch_fail(h->r, file->line, "/dev/null does not agree with the modes");
    return 0;
}

static int agree(struct head *h, const char *name, const char *other)
{
    if (other != NULL && other[0] != '\0' && strcmp(name, other) != 0)
        return patch_fail(h->r, h->file->line, "the names %.150s and %.150s do not agree", name,
                          other);
    return 0;
}

static int take_names(struct head *h)
{
    struct patch_file *file = h->file;
    const char *old_name = h->from != NULL ? h->from : h->def_name;
    const char *new_name = h->to != NULL ? h->to : h->def_name;
    const char *why = NULL;

    if (h->from != NULL && h->def_name != NULL && strcmp(h->from, h->to) != 0)
        return patch_fail(h->r, file->line,
                          "the names of the rename and of the first line do not agree");
    if (old_name == NULL && h->minus != NULL)
        old_name = h->minus[0] != '\0' ? h->minus : h->plus;
    if (new_name == NULL && h->plus != NULL)
        new_name = h->plus[0] != '\0' ? h->plus : h->minus;
    if (old_name == NULL || new_name == NULL)
        return patch_fail(h->r, file->line, "the file's name cannot be told");
    if (agree(h, old_name, h->minus) < 0 || agree(h, new_name, h->plus) < 0)
        return -1;
    if (h->from == NULL && strcmp(old_name, new_name) != 0)
        return patch_fail(h->r, file->line, "the two names differ");
    if (!patch_path_ok(pj_view_of(old_name), h->r->limits.max_path_bytes, &why) ||
        !patch_path_ok(pj_view_of(new_name), h->r->limits.max_path_bytes, &why))
        return patch_fail(h->r, file->line, "the path %s", why);
    if (file->change != PATCH_ADDED)
        file->old_path = pj_strdup(old_name);
    if (file->change != PATCH_DELETED)
        file->new_path = pj_strdup(new_name);
    return 0;
}

static void take_modes(struct head *h)
{
    struct patch_file *file = h->file;

    file->old_mode = h->mode_old != 0 ? h->mode_old : h->mode_deleted;
    file->new_mode = h->mode_new != 0 ? h->mode_new : h->mode_added;
    if (file->old_mode == 0 && file->change != PATCH_ADDED)
        file->old_mode = h->mode_index;
    if (file->new_mode == 0 && file->change == PATCH_ADDED)
        file->new_mode = 0100644;
}

/* git writes a mode there only when no other line has one; where another one stands too, the last line counts for git. */
static bool contradicts_index(const struct head *h)
{
    const unsigned others[] = {h->mode_old, h->mode_new, h->mode_added, h->mode_deleted};

    for (size_t i = 0; h->mode_index != 0 && i < PJ_COUNT_OF(others); i++)
        if (others[i] != 0 && others[i] != h->mode_index)
            return true;
    return false;
}

static int check_special(struct head *h)
{
    const char *path = patch_file_path(h->file);

    if (contradicts_index(h))
        return patch_fail(h->r, h->file->line, "the index line of %s contradicts its modes", path);

    if (patch_is_link(h->file) && h->file->change != PATCH_DELETED && !patch_link_name_ok(path))
        return patch_fail(h->r, h->file->line, "%s must not be a symlink", path);
    return 0;
}

static int read_head(struct head *h)
{
    struct pj_view line = {0};

    (void)patch_peek(h->r, &line);
    h->is_git = pj_view_starts(line, "diff --git ");
    if (h->is_git) {
        if (first_line(h, pj_view_n(line.p + 11, line.n - 11)) < 0)
            return -1;
        patch_next(h->r);
        if (extended_lines(h) < 0)
            return -1;
    }
    if (marked_lines(h) < 0)
        return -1;
    if ((h->is_git ? decide_git(h) : decide_plain(h)) < 0 || take_names(h) < 0)
        return -1;
    take_modes(h);
    return check_special(h);
}

int patch_read_head(struct patch_reader *r, struct patch_file *file)
{
    PJ_CLEANUP(head_release) struct head h = {.r = r, .file = file};

    return read_head(&h);
}
