/* checks.c - is the change sound? Syntax of every changed file by its language, and the repository's own command, each in a
 * fresh box, on copies of the base and of the base with the change. Only what got worse counts against the agent. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "runner/checks_inner.h"
#include "runner/family.h"

#define ROUNDS_MAX 3
#define CHECK_TIMEOUT_MS ((int64_t)10 * 60 * 1000)
#define REPORT_MAX ((size_t)12 * 1024)

static bool failed(const struct box_result *result)
{
    return result->exit_code != 0 || result->timed_out;
}

int checks_copy(struct job *job, const char *name, const char *tree, char **path,
                struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *old = pj_asprintf("%s/%s", workspace_dir(job->ws), name);
    struct held *held = job_hold_agent(job);
    int rc = pj_fs_remove_tree(old, err);

    if (rc == 0)
        rc = workspace_copy(job->ws, name, tree, path, err);
    family_let_go(held);
    return rc;
}

/* The repository's command in `dir`, `more` than this box to come; *text says how it went, *bad whether it failed. */
static int run_command(struct job *job, const char *dir, const char *when, bool more, char **text,
                       bool *bad, struct pj_str *tail, struct pj_err *err)
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
        run.more = true;
        rc = job_run(job, &run, &result, err);
        box_result_release(&result);
    }
    if (rc == 0) {
        run.argv = check;
        run.network = false;
        run.more = more;
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
    if (check->before == NULL) {
        PJ_CLEANUP(pj_freep) char *base = NULL;

        if (checks_copy(job, "check-base", NULL, &base, err) < 0 ||
            run_command(job, base, "before the change", true, &check->before, &bad_before, NULL,
                        err) < 0)
            return -1;
    }
    bad_before = strcmp(check->before, "passed") != 0;
    pj_str_init(&tail, CHECKS_TAIL_MAX);
    rc = run_command(job, after, "after the change", false, &check->after, &bad_after, &tail, err);
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

/* The repository's command has the first row; rows of an earlier round's languages go. */
static void begin_rows(struct job *job)
{
    size_t keep = job->spec.repo.check_command != NULL ? 1 : 0;

    if (keep == 1)
        pj_str_set(&job->checks[0].command, job->spec.repo.check_command);
    for (size_t i = keep; i < job->check_count; i++)
        job_check_release(&job->checks[i]);
    job->check_count = keep;
}

void job_check_release(struct job_check *check)
{
    free(check->command);
    free(check->before);
    free(check->after);
    *check = (struct job_check){0};
}

int checks_run(struct job *job, char **feedback, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *after = NULL;
    struct pj_str report;
    int rc;

    pj_str_init(&report, REPORT_MAX);
    begin_rows(job);
    job_ahead(job); /* while the files are copied */
    rc = checks_copy(job, "check", job->collected.tree_sha, &after, err);
    if (rc == 0)
        rc = checks_syntax(job, after, &report, err);
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
