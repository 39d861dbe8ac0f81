/* checks_syntax.c - the changed files by language: one box for all files of a language; file by file only when not all is well. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "runner/checks_inner.h"
#include "runner/patch_parse.h"
#include "runner/syntax.h"

#define FILES_MAX 100 /* of a language: looked at */
#define TIMEOUT_MS 60000

struct verdict {
    size_t files, parse, unknown, broken, broken_before;
    bool was_looked_at; /* the base, for a broken file */
    const char *first;  /* broken one; borrowed from the patch */
    char *why_unknown;
};

struct run {
    struct job *job;
    const struct syntax_language *language;
    const struct patch *patch;
    const char *after;
    char *before; /* copy of the base, made when it is needed */
    struct pj_str *report;
};

/* The checker on `count` files; *code is its word. */
static int judge(const struct run *r, const char *dir, const char *const *paths, size_t count,
                 int *code, struct pj_str *tail, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *script = syntax_script(r->language);
    const char **argv = pj_alloc(count + 5, sizeof *argv);
    char **owned = pj_alloc(count + 1, sizeof *owned);
    struct job_command run = {.dir = dir,
                              .argv = argv,
                              .timeout_ms = TIMEOUT_MS,
                              .tail = tail,
                              .quiet = true,
                              .more = r->job->spec.repo.check_command != NULL};
    struct box_result result = {0};
    int rc;

    argv[0] = "/bin/sh";
    argv[1] = "-c";
    argv[2] = script;
    argv[3] = "sh";
    for (size_t i = 0; i < count; i++)
        argv[4 + i] = owned[i] = pj_asprintf("./%s", paths[i]);
    rc = job_run(r->job, &run, &result, err);
    *code = result.timed_out ? SYNTAX_UNKNOWN : result.exit_code;
    if (rc == 0 && result.timed_out && tail != NULL)
        (void)pj_str_puts(tail, "the checker took too long");
    box_result_release(&result);
    for (size_t i = 0; i < count; i++)
        free(owned[i]);
    free(owned);
    free(argv);
    return rc;
}

static char *last_line(const struct pj_str *tail)
{
    const char *text = pj_str_cstr(tail), *start;
    size_t n = strlen(text);

    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    for (start = text + n; start > text && start[-1] != '\n'; start--)
        ;
    n -= (size_t)(start - text);
    return pj_strndup(start, n < 160 ? n : 160);
}

static int is_broken_before(struct run *r, const char *old_path, bool *broken, struct pj_err *err)
{
    int code = 0;

    if (r->before == NULL && checks_copy(r->job, "check-base", NULL, &r->before, err) < 0)
        return -1;
    if (judge(r, r->before, &old_path, 1, &code, NULL, err) < 0)
        return -1;
    *broken = code != SYNTAX_PARSES && code != SYNTAX_UNKNOWN;
    return 0;
}

/* One file, because its language's box did not say that all is well. */
static int look_at(struct run *r, const struct patch_file *file, struct verdict *v,
                   struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str tail;
    const char *path = file->new_path;
    bool before = false;
    int code = 0;

    pj_str_init(&tail, CHECKS_TAIL_MAX);
    if (judge(r, r->after, &path, 1, &code, &tail, err) < 0)
        return -1;
    if (code == SYNTAX_PARSES) {
        v->parse++;
        return 0;
    }
    if (code == SYNTAX_UNKNOWN || code == SYNTAX_NO_CHECKER) {
        PJ_CLEANUP(pj_freep) char *why = last_line(&tail);
        v->unknown++;
        job_log_say(r->job->log, PJ_EVENT_CHECK, "syntax: %s cannot be judged: %s", path, why);
        pj_str_set(&v->why_unknown, why);
        return 0;
    }
    if (file->old_path != NULL && is_broken_before(r, file->old_path, &before, err) < 0)
        return -1;
    v->was_looked_at |= file->old_path != NULL;
    v->broken_before += before;
    if (before)
        return 0;
    if (v->broken++ == 0)
        v->first = path;
    job_log_say(r->job->log, PJ_EVENT_CHECK, "syntax: %s does not parse", path);
    (void)pj_str_putf(r->report, "%s does not parse (%s):\n%s\n", path, r->language->name,
                      pj_str_cstr(&tail));
    return 0;
}

static char *in_words(const struct verdict *v)
{
    if (v->broken > 1)
        return pj_asprintf("failed (%s and %zu more do not parse)", v->first, v->broken - 1);
    if (v->broken == 1)
        return pj_asprintf("failed (%s does not parse)", v->first);
    if (v->broken_before > 0)
        return pj_asprintf("failed (%zu of %zu files, as before)", v->broken_before, v->files);
    if (v->unknown > 0)
        return pj_asprintf("%s%zu of %zu files not judged: %s", v->parse > 0 ? "passed; " : "",
                           v->unknown, v->files, v->why_unknown);
    return pj_strdup("passed");
}

/* A row for people: in the task, the pull request and the mail. The strings are taken over. */
static void add_row(struct job *job, const struct syntax_language *language, const char *before,
                    char *after)
{
    PJ_CLEANUP(pj_freep) char *said = after;
    struct job_check *row;

    job_log_say(job->log, PJ_EVENT_CHECK, "syntax of %s: %s", language->name, said);
    if (job->check_count == JOB_CHECKS_MAX)
        return;
    row = &job->checks[job->check_count++];
    row->command = pj_asprintf("syntax: %s", language->name);
    row->before = pj_strdup_or_null(before);
    row->after = said;
    said = NULL;
}

static void add_verdict(const struct run *r, const struct verdict *v)
{
    const char *before = v->broken > 0 && v->was_looked_at ? "passed"
                         : v->broken_before > 0            ? "failed"
                                                           : NULL;

    add_row(r->job, r->language, before, in_words(v));
}

static size_t files_of(const struct run *r, const struct patch_file **files, const char **paths,
                       size_t *left)
{
    size_t n = 0;

    *left = 0;
    for (size_t i = 0; i < r->patch->file_count; i++) {
        const struct patch_file *file = &r->patch->files[i];

        if (file->new_path == NULL || file->binary || syntax_of(file->new_path) != r->language)
            continue;
        if (n == FILES_MAX) {
            ++*left;
            continue;
        }
        files[n] = file;
        paths[n++] = file->new_path;
    }
    return n;
}

static int check_language(struct run *r, struct pj_err *err)
{
    const struct patch_file *files[FILES_MAX];
    const char *paths[FILES_MAX];
    struct verdict v = {0};
    size_t left, n = files_of(r, files, paths, &left);
    int code = 0, rc = 0;

    if (n == 0)
        return 0;
    if (left > 0)
        job_log_say(r->job->log, PJ_EVENT_WARN, "syntax of %s: %zu more files were not looked at",
                    r->language->name, left);
    if (judge(r, r->after, paths, n, &code, NULL, err) < 0)
        return -1;
    if (code == SYNTAX_NO_CHECKER) {
        PJ_CLEANUP(pj_freep) char *tools = syntax_tools(r->language);
        add_row(r->job, r->language, NULL,
                pj_asprintf("not checked: the root file system has no %s", tools));
        return 0;
    }
    v.files = n;
    if (code == SYNTAX_PARSES)
        v.parse = n;
    for (size_t i = 0; code != SYNTAX_PARSES && i < n && rc == 0; i++)
        rc = look_at(r, files[i], &v, err);
    if (rc == 0)
        add_verdict(r, &v);
    free(v.why_unknown);
    return rc;
}

int checks_syntax(struct job *job, const char *after, struct pj_str *report, struct pj_err *err)
{
    PJ_CLEANUP(patch_freep) struct patch *patch = NULL;
    struct run r = {.job = job, .after = after, .report = report};
    int rc = patch_parse(pj_view_n(job->collected.diff.data, job->collected.diff.len), NULL, &patch,
                         err);

    if (rc != 0)
        return rc == PJ_NONE ? 0 : -1;
    r.patch = patch;
    for (r.language = syntax_languages; r.language->name != NULL && rc == 0; r.language++)
        rc = check_language(&r, err);
    free(r.before);
    return rc;
}
