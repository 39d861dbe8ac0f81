/* steps_generate.c - the repository's own set-up, then the agent in its box, then the tree as a diff. */
#include <string.h>
#include "runner/family.h"
#include "runner/job.h"

#define SETUP_TIMEOUT_MS ((int64_t)5 * 60 * 1000)

/* ---- set-up ---- */

static int run_setup(struct job *job, struct pj_err *err)
{
    const char *const argv[] = {"/bin/sh", "-c", job->spec.repo.setup_command, NULL};
    struct box_result result;
    struct pj_str text;
    int64_t timeout = job->spec.repo.setup_timeout_ms;
    struct job_command command = {
        .argv = argv,
        .timeout_ms = timeout > 0 ? timeout : SETUP_TIMEOUT_MS,
        .network = true,
        .more = true,
    };
    int rc;

    job_log_say(job->log, PJ_EVENT_INFO, "setup: %s", job->spec.repo.setup_command);
    rc = job_run(job, &command, &result, err);
    pj_str_init(&text, 200);
    job_result_text(&result, &text);
    if (rc == 0 && (result.exit_code != 0 || result.timed_out)) {
        (void)pj_fail(err, PJ_E_INVALID, "the repository's setup command failed: %s",
                      pj_str_cstr(&text));
        (void)pj_err_remedy(
            err, "see the log; hosts it needs must be in networkAllow%s%s",
            result.net_refused != NULL && result.net_refused[0] != '\0' ? "; refused: " : "",
            result.net_refused != NULL ? result.net_refused : "");
        rc = pj_err_code(err, "setup_failed");
    }
    pj_str_release(&text);
    box_result_release(&result);
    return rc;
}

/* What the collector left out of the change, and why. */
static void say_left_out(struct job *job)
{
    const struct collect_result *c = &job->collected;

    for (size_t i = 0; i < c->note_count; i++)
        job_log_say(job->log, PJ_EVENT_WARN, "left out: %s: %s", c->notes[i].path, c->notes[i].why);
    if (c->notes_dropped > 0)
        job_log_say(job->log, PJ_EVENT_WARN, "left out: %zu more", c->notes_dropped);
}

int step_generate(struct job *job, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *analysis = NULL;

    if (job->spec.task.mode != NULL)
        return 0; /* the kept patch is published as it is */
    if (job->spec.repo.setup_command != NULL &&
        (run_setup(job, err) < 0 ||
         collect_baseline_take(job->ws, job->tree_fd, NULL, &job->baseline, err) < 0))
        return -1;
    if (job->report->analysis(job, &analysis, err) < 0 || job_agent(job, analysis, err) < 0)
        return -1;
    /* The box is dead now: what counts is what it left, and that is what must have been checked. */
    if (!job->from_diff && job_collect(job, err) < 0)
        return -1;
    say_left_out(job);
    if (!job->collected.empty && strcmp(job->checked_tree, job->collected.tree_sha) != 0 &&
        checks_run(job, NULL, err) < 0)
        return -1;
    if (job->collected.empty) {
        (void)pj_fail(err, PJ_E_INVALID, "the agent ended without changing a file");
        return pj_err_code(err, "no_changes");
    }
    box_ahead_end(&job->ahead); /* from here on no box is needed */
    return 0;
}

int job_collect(struct job *job, struct pj_err *err)
{
    struct collect_result fresh = {0};
    struct held *held;
    int rc;

    if (job->agent_box != NULL && job_take_tree(job, job->agent_box, err) < 0)
        return -1;
    held = job_hold_agent(job);
    rc = collect_run(job->ws, job->tree_fd, job->baseline, NULL, &fresh, err);
    family_let_go(held);
    if (rc < 0) {
        collect_result_release(&fresh);
        return -1;
    }
    if (job->has_collected)
        collect_result_release(&job->collected);
    job->collected = fresh;
    job->has_collected = true;
    return 0;
}
