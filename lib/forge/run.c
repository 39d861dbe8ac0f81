#include "lib/forge/run.h"

#include <stdio.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

void pj_run_read(const json_t *doc, struct pj_run *out)
{
    *out = (struct pj_run){
        .id = pj_json_i64(doc, "id", pj_json_i64(doc, "workflow_run_id", 0)),
        .ended = strcmp(pj_json_str(doc, "status", ""), "completed") == 0,
    };
    (void)snprintf(out->url, sizeof(out->url), "%s", pj_json_str(doc, "html_url", ""));
    (void)snprintf(out->conclusion, sizeof(out->conclusion), "%s",
                   pj_json_str(doc, "conclusion", ""));
}

void pj_run_outcome(const struct pj_run *run, bool cancel, struct pj_outcome *out)
{
    bool late = strcmp(run->conclusion, "timed_out") == 0;
    PJ_CLEANUP(pj_freep)
    char *detail =
        pj_asprintf("the workflow run ended (%s) without a report: %s", run->conclusion, run->url);

    pj_outcome_init(out);
    if (cancel)
        pj_outcome_cancel(out);
    else
        pj_outcome_fail(out, late ? "task_timeout" : "runner_lost", detail,
                        "read the run's log at GitHub, then retry");
}
