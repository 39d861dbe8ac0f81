#include "runner/agent/map.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/prompt.h"
#include "runner/agent/tree.h"

#define FILES_MAX 20000
#define SHOWN_MAX 200
#define CONTENT_MAX ((size_t)48 << 10) /* of one file */

struct file {
    char *path;
    int64_t size;
    int score;
};

struct map {
    const char *title, *description;
    struct file *file;
    size_t count, left;
};

/* What a name says about how much it is worth to know of the file. First match counts. */
/* clang-format off */
static const struct {
    const char *glob;
    int score;
} names[] = {
    {"*.min.*", -40}, {"*.lock", -30}, {"package-lock.json", -30}, {"*.map", -40}, {"*.svg", -25}, {"*.png", -30},
    {"*.jpg", -30}, {"*.gif", -30}, {"*.ico", -30}, {"*.pdf", -30}, {"*.woff*", -30}, {"*.snap", -15},
    {"README*", 20}, {"AGENTS.md", 15}, {"CLAUDE.md", 15}, {"Makefile", 15}, {"CMakeLists.txt", 12}, {"package.json", 18},
    {"pyproject.toml", 18}, {"setup.py", 12}, {"Cargo.toml", 18}, {"go.mod", 18}, {"Gemfile", 12}, {"composer.json", 12},
    {"pom.xml", 12}, {"build.gradle*", 12}, {"meson.build", 12}, {"configure.ac", 8}, {"*.c", 6}, {"*.h", 6}, {"*.py", 6},
    {"*.js", 6}, {"*.ts", 6}, {"*.tsx", 6}, {"*.jsx", 6}, {"*.go", 6}, {"*.rs", 6}, {"*.rb", 6}, {"*.php", 6}, {"*.java", 6},
    {"*.kt", 6}, {"*.cc", 6}, {"*.cpp", 6}, {"*.hpp", 6}, {"*.cs", 6}, {"*.swift", 6}, {"*.sh", 5}, {"*.pl", 5}, {"*.md", 3},
};
/* clang-format on */

static bool mentions(const struct map *m, const char *what)
{
    return strcasestr(m->title, what) != NULL || strcasestr(m->description, what) != NULL;
}

static int score_of(const struct map *m, const char *path, const char *name)
{
    int score = 0;
    const char *dot = strrchr(name, '.');
    PJ_CLEANUP(pj_freep)
    char *stem = dot && dot > name ? pj_strndup(name, (size_t)(dot - name)) : pj_strdup(name);

    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        if (fnmatch(names[i].glob, name, 0) == 0) {
            score = names[i].score;
            break;
        }
    }
    for (const char *p = path; *p; p++)
        score -= *p == '/' ? 2 : 0;
    if (mentions(m, path))
        score += 200;
    else if (strlen(name) > 3 && mentions(m, name))
        score += 100;
    else if (strlen(stem) > 3 && mentions(m, stem))
        score += 30;
    return score;
}

static bool add(void *ctx, const char *path, const struct stat *st, int dirfd, const char *name)
{
    struct map *m = ctx;

    (void)dirfd;
    if (S_ISDIR(st->st_mode))
        return true;
    if (m->count == FILES_MAX) {
        m->left++;
        return m->left < FILES_MAX;
    }
    m->file[m->count++] =
        (struct file){pj_strdup(path), (int64_t)st->st_size, score_of(m, path, name)};
    return true;
}

static int by_score(const void *x, const void *y)
{
    const struct file *a = x, *b = y;

    return a->score != b->score ? (a->score > b->score ? -1 : 1) : strcmp(a->path, b->path);
}

/* Fill the map, best first. Release it in every case. */
static int map_read(struct agent *a, struct map *m, struct pj_err *err)
{
    *m = (struct map){.title = pj_json_str(a->task, "title", ""),
                      .description = pj_json_str(a->task, "description", ""),
                      .file = pj_alloc(FILES_MAX, sizeof(struct file))};
    if (tree_walk(a, ".", 64, add, m, err) < 0)
        return -1;
    if (m->count > 0)
        qsort(m->file, m->count, sizeof *m->file, by_score);
    return 0;
}

static void map_release(struct map *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->file[i].path);
    free(m->file);
}

int map_write(struct agent *a, struct pj_str *out, struct pj_err *err)
{
    PJ_CLEANUP(map_release) struct map m;

    if (map_read(a, &m, err) < 0)
        return -1;
    for (size_t i = 0; i < m.count && i < SHOWN_MAX; i++) {
        (void)pj_utf8_append_clean(out, pj_view_of(m.file[i].path));
        (void)pj_str_putf(out, "  %lld\n", (long long)m.file[i].size);
    }
    if (m.count + m.left > SHOWN_MAX)
        (void)pj_str_putf(out, "… and %zu more files; use list_dir and search\n",
                          m.count + m.left - SHOWN_MAX);
    if (m.count == 0)
        (void)pj_str_puts(out, "(the tree is empty)\n");
    return 0;
}

int map_contents(struct agent *a, size_t max, struct pj_str *out, struct pj_err *err)
{
    PJ_CLEANUP(map_release) struct map m;

    if (map_read(a, &m, err) < 0)
        return -1;
    for (size_t i = 0; i < m.count && out->len < max; i++) {
        PJ_CLEANUP(pj_str_release) struct pj_str text;
        struct pj_err ignored;

        pj_str_init(&text, CONTENT_MAX);
        if (tree_read(a, m.file[i].path, &text, NULL, &ignored) < 0 || text.len + out->len > max ||
            tree_is_binary(text.data, text.len) ||
            !pj_utf8_valid(pj_view_n(pj_str_cstr(&text), text.len)))
            continue;
        (void)pj_str_putf(out, "%s:\n\n", m.file[i].path);
        (void)prompt_fence(out, pj_str_cstr(&text));
        (void)pj_str_putc(out, '\n');
    }
    return 0;
}
