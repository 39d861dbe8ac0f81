/* What publish_apply() accepts, git accepts too, gives the same tree, and touches nothing outside: on diffs that were collected
 * from generated changes and then damaged. PJ_PROPERTY_COUNT sets how many, PJ_PROPERTY_SEED which. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "runner/collect.h"
#include "runner/publish.h"
#include "tests/runner/workspace_fix.h"

#define MUTANTS_EACH 20
#define LINES 24

static uint64_t state;

static uint32_t dice(uint32_t n)
{
    /* xorshift64*: the same on every machine. */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * 2685821657736338717ULL) >> 33) % n;
}

static const char *const words[] = {"int a;",   "return 0;", "{",      "}",    "",
                                    "    b();", "// note",   "if (x)", "++i;", "\tdone"};

static char *random_text(unsigned lines, bool last_feed)
{
    struct pj_str text;

    pj_str_init(&text, 100000);
    for (unsigned i = 0; i < lines; i++)
        (void)pj_str_putf(&text, "%s%s", words[dice(PJ_COUNT_OF(words))],
                          i + 1 < lines || last_feed ? "\n" : "");
    return pj_str_take(&text);
}

#define FILES 5
static const char *const names[FILES] = {"main.c", "src/a.c", "src/deep/b.txt", "with blank.txt",
                                         "run.sh"};
static char *contents[FILES];

static struct workspace_fix fix;

static void begin(void)
{
    struct gitfix_file files[FILES + 1];

    const char *seed = getenv("PJ_PROPERTY_SEED");
    state = 0x9E3779B97F4A7C15ULL;
    if (seed != NULL)
        state ^= (uint64_t)strtoull(seed, NULL, 10);
    for (size_t i = 0; i < FILES; i++) {
        contents[i] = random_text(LINES, i != 2);
        files[i] = (struct gitfix_file){names[i], contents[i], i == 4};
    }
    files[FILES] = (struct gitfix_file){"other/keep.txt", "kept\n", false};
    workspace_fix_begin(&fix, files, FILES + 1);
    workspace_fix_open(&fix);
}

static void end(void)
{
    for (size_t i = 0; i < FILES; i++)
        free(contents[i]);
    workspace_fix_end(&fix);
}

TestSuite(patch_property, .init = begin, .fini = end);

/* Some lines of a file changed, dropped or added. */
static char *edited(const char *text)
{
    struct pj_str out;
    struct pj_view rest = pj_view_of(text);
    struct pj_view line = {0};

    pj_str_init(&out, 100000);
    while (pj_view_cut(&rest, '\n', &line)) {
        uint32_t what = dice(12);
        if (what == 0)
            continue;
        if (what == 1)
            (void)pj_str_putf(&out, "%s\n", words[dice(PJ_COUNT_OF(words))]);
        if (what == 2)
            (void)pj_str_putf(&out, "changed %u", dice(100));
        else
            (void)pj_str_append(&out, line.p, line.n);
        if (rest.p != NULL)
            (void)pj_str_putc(&out, '\n');
    }
    return pj_str_take(&out);
}

static void restore(void)
{
    for (size_t i = 0; i < FILES; i++) {
        char *path = fix_path(&fix, names[i]);
        (void)unlink(path);
        fix_write(&fix, names[i], contents[i]);
        cr_assert_eq(chmod(path, i == 4 ? 0755 : 0644), 0);
        free(path);
    }
    fix_remove(&fix, "new.txt");
    fix_remove(&fix, "link");
}

static void change_tree(void)
{
    for (size_t i = 0; i < FILES; i++) {
        char *path = fix_path(&fix, names[i]);
        uint32_t what = dice(8);
        if (what < 4) {
            char *text = edited(contents[i]);
            fix_write(&fix, names[i], text);
            free(text);
        } else if (what == 4) {
            cr_assert_eq(unlink(path), 0);
        } else if (what == 5) {
            cr_assert_eq(chmod(path, 0755), 0);
        }
        free(path);
    }
    if (dice(2) == 0) {
        char *text = dice(4) == 0 ? pj_strdup("") : random_text(1 + dice(5), dice(2) == 0);
        fix_write(&fix, "new.txt", text);
        free(text);
    }
    if (dice(4) == 0)
        fix_link(&fix, "link", dice(2) == 0 ? "src/a.c" : "main.c");
}

/* --- damage --- */

static size_t line_start(const char *text, size_t n, size_t number)
{
    size_t at = 0;

    while (number > 0 && at < n) {
        const char *feed = memchr(text + at, '\n', n - at);
        at = feed != NULL ? (size_t)(feed - text) + 1 : n;
        number--;
    }
    return at;
}

static size_t line_count(const char *text, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += text[i] == '\n';
    return count;
}

static void replace(struct pj_str *s, size_t at, size_t n, const char *with, size_t with_n)
{
    struct pj_str out;

    pj_str_init(&out, s->max);
    (void)pj_str_append(&out, s->data, at);
    (void)pj_str_append(&out, with, with_n);
    (void)pj_str_append(&out, s->data + at + n, s->len - at - n);
    pj_str_release(s);
    *s = out;
}

static void damage_line(struct pj_str *s)
{
    size_t number = dice((uint32_t)line_count(s->data, s->len) + 1);
    size_t a = line_start(s->data, s->len, number);
    size_t b = line_start(s->data, s->len, number + 1);
    PJ_CLEANUP(pj_freep) char *line = pj_strndup(s->data + a, b - a);

    switch (dice(4)) {
    case 0:
        replace(s, a, b - a, "", 0);
        break;
    case 1:
        replace(s, a, 0, line, b - a);
        break;
    case 2: {
        size_t to = line_start(s->data, s->len, dice((uint32_t)line_count(s->data, s->len) + 1));
        replace(s, to, 0, line, b - a);
        break;
    }
    default:
        if (b > a) {
            static const char kinds[] = "+- \\@";
            replace(s, a, 1, &kinds[dice(5)], 1);
        }
        break;
    }
}

static void damage_byte(struct pj_str *s)
{
    size_t at = dice((uint32_t)s->len);

    s->data[at] = (char)(s->data[at] ^ (1 << dice(8)));
}

/* A digit somewhere in a hunk's head or a mode. */
static void damage_number(struct pj_str *s)
{
    for (unsigned tries = 0; tries < 200; tries++) {
        size_t at = dice((uint32_t)s->len);
        if (s->data[at] >= '0' && s->data[at] <= '9') {
            s->data[at] = (char)('0' + dice(10));
            return;
        }
    }
}

static void damage_words(struct pj_str *s)
{
    static const struct {
        const char *from, *to;
    } swaps[] = {
        {"main.c", "../main.c"},
        {"main.c", ".git/config"},
        {"src/a.c", "/etc/passwd"},
        {"src/a.c", "SRC/A.C"},
        {"src/a.c", "main.c"},
        {"100644", "100755"},
        {"100644", "120000"},
        {"100755", "100644"},
        {"100644", "160000"},
        {"new file", "deleted file"},
        {"deleted file", "new file"},
        {"/dev/null", "b/main.c"},
        {"b/new.txt", "b/main.c"},
        {"b/new.txt", "b/src"},
        {"new.txt", "main.c"},
        {"new.txt", "src/a.c/x"},
        {"new.txt", "link/x"},
        {"\n+", "\n "},
        {"\n-", "\n "},
        {"\n ", "\n-"},
        {"\n ", "\n+"},
        {"\n \n", "\n\n"},
        {"\n", "\r\n"},
        {",3", ",4"},
        {",6", ",5"},
        {"-1,", "-2,"},
        {"+1,", "+9,"},
        {"\n\\ No newline at end of file", ""},
        {"other/keep.txt", "main.c"},
        {"src/deep/b.txt", "src/deep"},
        {"index ", "old mode 100644\nnew mode 100755\nindex "},
        {"--- a/main.c", "rename from main.c\nrename to moved.c\n--- a/main.c"},
    };
    size_t pick = dice(PJ_COUNT_OF(swaps));
    bool all = dice(2) == 0;
    size_t from = 0;
    size_t skip = dice(3);

    while (from < s->len) {
        const char *at =
            memmem(s->data + from, s->len - from, swaps[pick].from, strlen(swaps[pick].from));
        if (at == NULL)
            return;
        size_t offset = (size_t)(at - s->data);
        from = offset + strlen(swaps[pick].to) + 1;
        if (!all && skip > 0) {
            skip--;
            continue;
        }
        replace(s, offset, strlen(swaps[pick].from), swaps[pick].to, strlen(swaps[pick].to));
        if (!all)
            return;
    }
}

/* Whole entries in another order, twice, or without their git head. */
static void damage_entries(struct pj_str *s)
{
    PJ_CLEANUP(pj_freep) char *copy = pj_strndup(s->data, s->len);
    const char *second = strstr(copy + 1, "diff --git ");

    if (dice(2) == 0 || second == NULL) {
        const char *marks = strstr(copy, "--- a/");
        if (marks != NULL)
            replace(s, 0, (size_t)(marks - copy), "", 0);
        return;
    }
    size_t n = (size_t)(second - copy);
    replace(s, s->len, 0, copy, n);
    if (dice(2) == 0)
        replace(s, 0, n, "", 0);
}

static void damage(struct pj_str *s)
{
    static void (*const kinds[])(struct pj_str *) = {damage_line,  damage_byte,  damage_number,
                                                     damage_words, damage_words, damage_entries};

    for (uint32_t i = 1 + dice(3); i > 0 && s->len > 0; i--)
        kinds[dice(PJ_COUNT_OF(kinds))](s);
}

/* --- git as the judge --- */

static char *trimmed(char *text)
{
    if (text != NULL)
        text[strcspn(text, "\n")] = '\0';
    return text;
}

static void assert_git_agrees(const struct pj_str *diff, const char *tree, const char *copy)
{
    char *index = gitfix_run(fix.remote, NULL, "read-tree", workspace_base_sha(fix.ws), NULL);
    char *checked =
        gitfix_run(fix.remote, pj_str_cstr(diff), "-C", copy, "apply", "--check", "-", NULL);
    cr_assert_not_null(checked, "accepted here, refused by git apply --check:\n%s",
                       pj_str_cstr(diff));
    char *applied = gitfix_run(fix.remote, pj_str_cstr(diff), "apply", "--cached", "-", NULL);
    cr_assert_not_null(applied, "accepted here, refused by git apply --cached:\n%s",
                       pj_str_cstr(diff));
    char *theirs = trimmed(gitfix_run(fix.remote, NULL, "write-tree", NULL));
    cr_assert_str_eq(theirs, tree, "another tree than git's:\n%s", pj_str_cstr(diff));
    free(index);
    free(checked);
    free(applied);
    free(theirs);
}

Test(patch_property, r3_3_what_is_accepted_here_git_accepts_with_the_same_result)
{
    const char *setting = getenv("PJ_PROPERTY_COUNT");
    uint64_t count = 1200;
    uint64_t accepted = 0;
    uint64_t damaged_accepted = 0;
    struct pj_err err;
    char *copy = NULL;

    if (setting != NULL)
        cr_assert_eq(pj_parse_u64(pj_view_of(setting), &count), 0);
    cr_assert_eq(workspace_copy(fix.ws, "copy", NULL, &copy, &err), 0, "%s", err.message);
    for (uint64_t i = 0; i < count;) {
        struct collect_result result;
        change_tree();
        cr_assert_eq(collect_run(fix.ws, -1, NULL, NULL, &result, &err), 0, "%s", err.message);
        for (unsigned m = 0; m < MUTANTS_EACH && !result.empty; m++, i++) {
            struct pj_str diff;
            char tree[PJ_SHA_SIZE];
            pj_str_init(&diff, (size_t)1 << 20);
            (void)pj_str_append(&diff, result.diff.data, result.diff.len);
            if (m > 0)
                damage(&diff);
            int rc = publish_apply(fix.ws, pj_view_n(pj_str_cstr(&diff), diff.len),
                                   m == 0 ? result.tree_sha : NULL, tree, &err);
            cr_assert(rc == 0 || m > 0, "%s\n%s", err.message, pj_str_cstr(&diff));
            cr_assert(rc == 0 || err.cls == PJ_E_INVALID || err.cls == PJ_E_CONFLICT, "%s\n%s",
                      err.message, pj_str_cstr(&diff));
            /* gitfix_run() takes text: a NUL would end it early. */
            if (rc == 0 && memchr(diff.data, '\0', diff.len) == NULL) {
                accepted++;
                damaged_accepted += m > 0;
                assert_git_agrees(&diff, tree, copy);
            }
            pj_str_release(&diff);
        }
        collect_result_release(&result);
        restore();
    }
    /* The damage must leave enough alive for the comparison to mean something. */
    cr_assert_gt(damaged_accepted * 20, count, "%llu of %llu", (unsigned long long)damaged_accepted,
                 (unsigned long long)count);
    free(copy);
}
