/* checks.c - is the change sound? Syntax of every changed file by its language, and the repository's own command, each in a
 * fresh box, on copies of the base and of the base with the change. Only what got worse counts against the agent. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/job.h"
#include "runner/patch_parse.h"

#define ROUNDS_MAX 3
#define SYNTAX_FILES_MAX 100
#define SYNTAX_TIMEOUT_MS 30000
#define CHECK_TIMEOUT_MS ((int64_t)10 * 60 * 1000)
#define REPORT_MAX ((size_t)12 * 1024)
#define TAIL_MAX ((size_t)6 * 1024)

/* Rows: what a file's name ends in, and a command that reads the file named by $1 and fails when it does not parse. A tool that
 * the box lacks says nothing about the file. */
static const struct {
    const char *suffix, *tool, *command;
} languages[] = {
    {".bash", "bash", "bash -n \"$1\""},
    {".cjs", "node", "node --check \"$1\""},
    {".go", "gofmt", "gofmt -e \"$1\" >/dev/null"},
    {".js", "node",
     "grep -q '</\\|/>' \"$1\" || node --check \"$1\""}, /* JSX is not node's to judge */
    {".json", "python3",
     "python3 -c 'import json,sys; json.load(open(sys.argv[1],\"rb\"))' \"$1\""},
    {".lua", "luac", "luac -p \"$1\""},
    {".mjs", "node", "node --check \"$1\""},
    {".php", "php", "php -l \"$1\""},
    {".py", "python3",
     "python3 -c 'import ast,sys; ast.parse(open(sys.argv[1],\"rb\").read(), sys.argv[1])' \"$1\""},
    {".rb", "ruby", "ruby -c \"$1\" >/dev/null"},
    {".sh", "bash", "bash -n \"$1\""},
    {".toml", "python3",
     "python3 -c 'import sys\ntry: import tomllib\nexcept ImportError: "
     "sys.exit(0)\ntomllib.load(open(sys.argv[1],\"rb\"))' \"$1\""},
    {".xml", "xmllint", "xmllint --noout \"$1\""},
};

static const char *syntax_command(const char *path, const char **tool)
{
    size_t n = strlen(path);

    /* JSON with comments by convention. */
    if (strstr(path, "tsconfig") != NULL || strstr(path, "jsconfig") != NULL ||
        strstr(path, ".vscode/") != NULL)
        return NULL;
    for (size_t i = 0; i < PJ_COUNT_OF(languages); i++) {
        size_t s = strlen(languages[i].suffix);

        if (n > s && strcmp(path + n - s, languages[i].suffix) == 0) {
            *tool = languages[i].tool;
            return languages[i].command;
        }
    }
    return NULL;
}

static bool failed(const struct box_result *result)
{
    return result->exit_code != 0 || result->timed_out;
}

/* Run `command` with $1 = path. *bad tells. */
static int parse_file(struct job *job, const char *dir, const char *path, bool *bad,
                      struct pj_str *tail, struct pj_err *err)
{
    const char *tool = NULL;
    const char *command = syntax_command(path, &tool);
    PJ_CLEANUP(pj_freep)
    char *script = pj_asprintf(
        "command -v %s >/dev/null 2>&1 || exit 0\n[ -f \"$1\" ] || exit 0\n%s", tool, command);
    PJ_CLEANUP(pj_freep) char *file = pj_asprintf("./%s", path);
    const char *const argv[] = {"/bin/sh", "-c", script, "sh", file, NULL};
    const struct job_command run = {
        .dir = dir, .argv = argv, .timeout_ms = SYNTAX_TIMEOUT_MS, .tail = tail, .quiet = true};
    struct box_result result;

    if (job_run(job, &run, &result, err) < 0) {
        box_result_release(&result);
        return -1;
    }
    *bad = failed(&result);
    box_result_release(&result);
    return 0;
}

static int copy_of(struct job *job, const char *name, const char *tree, char **path,
                   struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *old = pj_asprintf("%s/%s", workspace_dir(job->ws), name);

    if (pj_fs_remove_tree(old, err) < 0)
        return -1;
    return workspace_copy(job->ws, name, tree, path, err);
}

/* Files that parse no more, or were added and do not parse. */
static int check_syntax(struct job *job, const char *after, struct pj_str *report,
                        struct pj_err *err)
{
    PJ_CLEANUP(patch_freep) struct patch *patch = NULL;
    PJ_CLEANUP(pj_freep) char *before = NULL;
    int rc = patch_parse(pj_view_n(job->collected.diff.data, job->collected.diff.len), NULL, &patch,
                         err);
    size_t looked = 0;

    if (rc != 0)
        return rc == PJ_NONE ? 0 : -1;
    for (size_t i = 0; i < patch->file_count && looked < SYNTAX_FILES_MAX; i++) {
        const char *path = patch->files[i].new_path;
        const char *tool;
        bool bad = false, was_bad = false;
        struct pj_str tail;

        if (path == NULL || patch->files[i].binary || syntax_command(path, &tool) == NULL)
            continue;
        looked++;
        pj_str_init(&tail, TAIL_MAX * 4);
        rc = parse_file(job, after, path, &bad, &tail, err);
        if (rc == 0 && bad && patch->files[i].old_path != NULL) {
            if (before == NULL)
                rc = copy_of(job, "check-base", NULL, &before, err);
            if (rc == 0)
                rc = parse_file(job, before, patch->files[i].old_path, &was_bad, NULL, err);
        }
        if (rc == 0 && bad && !was_bad) {
            job_log_say(job->log, PJ_EVENT_CHECK, "syntax: %s does not parse", path);
            (void)pj_str_putf(report, "%s does not parse (%s):\n%s\n", path, tool,
                              pj_str_cstr(&tail));
        }
        pj_str_release(&tail);
        if (rc < 0)
            return -1;
    }
    if (report->len == 0 && looked > 0)
        job_log_say(job->log, PJ_EVENT_CHECK, "syntax: %zu files parse", looked);
    return 0;
}

/* The repository's command in `dir`; *text says how it went, *bad whether it failed. */
static int run_command(struct job *job, const char *dir, const char *when, char **text, bool *bad,
                       struct pj_str *tail, struct pj_err *err)
{
    const struct pj_repo *repo = &job->spec.repo;
    const char *const setup[] = {"/bin/sh", "-c", repo->setup_command, NULL};
    const char *const check[] = {"/bin/sh", "-c", repo->check_command, NULL};
    struct job_command run = {.dir = dir, .timeout_ms = CHECK_TIMEOUT_MS};
    struct box_result result = {0};
    struct pj_str how;
    int rc = 0;

    if (repo->setup_command != NULL) {
        run.argv = setup;
        run.network = true;
        rc = job_run(job, &run, &result, err);
        box_result_release(&result);
    }
    if (rc == 0) {
        run.argv = check;
        run.network = false;
        run.tail = tail;
        rc = job_run(job, &run, &result, err);
    }
    if (rc == 0) {
        pj_str_init(&how, 200);
        *bad = failed(&result);
        job_result_text(&result, &how);
        free(*text);
        *text = *bad ? pj_asprintf("failed (%s)", pj_str_cstr(&how)) : pj_strdup("passed");
        job_log_say(job->log, PJ_EVENT_CHECK, "%s %s: %s", repo->check_command, when, *text);
        pj_str_release(&how);
    }
    box_result_release(&result);
    return rc;
}

static int check_command(struct job *job, const char *after, struct pj_str *report,
                         struct pj_err *err)
{
    struct job_check *check = &job->checks[0];
    bool bad_before, bad_after = false;
    struct pj_str tail;
    int rc = 0;

    if (job->spec.repo.check_command == NULL)
        return 0;
    if (job->check_count == 0) {
        PJ_CLEANUP(pj_freep) char *base = NULL;

        check->command = pj_strdup(job->spec.repo.check_command);
        job->check_count = 1;
        if (copy_of(job, "check-base", NULL, &base, err) < 0 ||
            run_command(job, base, "before the change", &check->before, &bad_before, NULL, err) < 0)
            return -1;
    }
    bad_before = strcmp(check->before, "passed") != 0;
    pj_str_init(&tail, TAIL_MAX * 4);
    rc = run_command(job, after, "after the change", &check->after, &bad_after, &tail, err);
    if (rc == 0 && bad_after && !bad_before)
        (void)pj_str_putf(report,
                          "`%s` passed before the change and fails now, %s. Its last output:\n%s\n",
                          check->command, check->after, pj_str_cstr(&tail));
    else if (rc == 0 && bad_after)
        job_log_say(job->log, PJ_EVENT_WARN,
                    "the check failed before the change too: it does not count against it");
    pj_str_release(&tail);
    return rc;
}

int checks_run(struct job *job, char **feedback, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *after = NULL;
    struct pj_str report;
    int rc;

    pj_str_init(&report, REPORT_MAX);
    rc = copy_of(job, "check", job->collected.tree_sha, &after, err);
    if (rc == 0)
        rc = check_syntax(job, after, &report, err);
    if (rc == 0)
        rc = check_command(job, after, &report, err);
    if (rc == 0) {
        job->checks_worse = report.len > 0;
        pj_str_set(&job->check_report, report.len > 0 ? pj_str_cstr(&report) : NULL);
        memcpy(job->checked_tree, job->collected.tree_sha, sizeof(job->checked_tree));
    }
    if (rc == 0 && report.len > 0 && feedback != NULL && job->check_rounds < ROUNDS_MAX) {
        job->check_rounds++;
        job_log_say(job->log, PJ_EVENT_CHECK, "back to the agent, round %d of %d",
                    job->check_rounds, ROUNDS_MAX);
        *feedback = pj_str_take(&report);
        rc = PJ_NONE;
    }
    pj_str_release(&report);
    return rc;
}

json_t *checks_json(const struct job *job)
{
    json_t *out = json_array();

    for (size_t i = 0; i < job->check_count; i++)
        (void)json_array_append_new(
            out, json_pack("{s:s, s:s?, s:s?}", "command", job->checks[i].command, "before",
                           job->checks[i].before, "after", job->checks[i].after));
    return out;
}
