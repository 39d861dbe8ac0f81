#include "lib/forge/actions.h"

#include <stdio.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define RUNS_LOOKED_AT 50

/* "/repos/o/r/actions/…", escaped; owned by the caller. */
static char *path_of(const struct pj_workflow *w, const char *rest)
{
    struct pj_str out;
    char *path;

    pj_str_init(&out, 4096);
    (void)pj_str_puts(&out, "/repos/");
    pj_url_escape(&out, w->owner);
    (void)pj_str_putc(&out, '/');
    pj_url_escape(&out, w->name);
    (void)pj_str_putf(&out, "/actions/%s", rest);
    path = pj_str_take(&out);
    pj_str_release(&out);
    return path;
}

static char *workflow_path(const struct pj_workflow *w, const char *what)
{
    struct pj_str out;
    char *path;

    pj_str_init(&out, 1024);
    (void)pj_str_puts(&out, "workflows/");
    pj_url_escape(&out, w->file);
    (void)pj_str_puts(&out, what);
    path = path_of(w, pj_str_cstr(&out));
    pj_str_release(&out);
    return path;
}

static int refused(const struct pj_workflow *w, const struct pj_rest_answer *answer,
                   struct pj_err *err)
{
    (void)pj_rest_fail(answer, "start of the workflow", err);
    if (answer->status == 403 && !answer->rate_limited)
        return pj_err_remedy(err, "give the token Actions: write in %s/%s", w->owner, w->name);
    if (answer->status == 404) {
        (void)pj_err_code(err, "github_permission");
        return pj_err_remedy(
            err, "commit %s to %s (pj repo workflow prints it) and give the token Actions: write",
            w->file, w->ref);
    }
    if (answer->status == 422) {
        (void)pj_err_code(err, "github_permission");
        return pj_err_remedy(err, "commit the workflow that `pj repo workflow` prints: inputs "
                                  "task_id and callback, by workflow_dispatch");
    }
    return -1;
}

int pj_actions_dispatch(const struct pj_rest *rest, const struct pj_workflow *workflow,
                        const json_t *inputs, struct pj_run *out, struct pj_rest_answer *answer,
                        struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = workflow_path(workflow, "/dispatches");
    PJ_CLEANUP(pj_json_decrefp)
    json_t *body = json_pack("{s:s, s:O, s:b}", "ref", workflow->ref, "inputs", inputs,
                             "return_run_details", 1);

    *out = (struct pj_run){0};
    if (pj_rest_call(rest, "POST", path, body, answer, err) < 0)
        return -1;
    if (answer->status == 422 && strstr(answer->message, "return_run_details") != NULL) {
        (void)json_object_del(body, "return_run_details");
        pj_rest_answer_release(answer);
        if (pj_rest_call(rest, "POST", path, body, answer, err) < 0)
            return -1;
    }
    if (answer->status < 200 || answer->status > 299)
        return refused(workflow, answer, err);
    if (json_is_object(answer->doc))
        pj_run_read(answer->doc, out);
    return 0;
}

int pj_actions_find(const struct pj_rest *rest, const struct pj_workflow *workflow,
                    const char *mark, int64_t floor, struct pj_run *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep)
    char *query = pj_asprintf("/runs?event=workflow_dispatch&per_page=%d", RUNS_LOOKED_AT);
    PJ_CLEANUP(pj_freep) char *path = workflow_path(workflow, query);
    struct pj_rest_answer answer;
    size_t i;
    const json_t *run;
    int rc = pj_rest_call(rest, "GET", path, NULL, &answer, err);

    if (rc == 0 && answer.status != 200)
        rc = pj_rest_fail(&answer, "list of workflow runs", err);
    if (rc == 0) {
        rc = PJ_NONE;
        json_array_foreach(json_object_get(answer.doc, "workflow_runs"), i, run)
        {
            if (strstr(pj_json_str(run, "display_title", ""), mark) == NULL ||
                pj_json_i64(run, "id", 0) <= floor)
                continue;
            pj_run_read(run, out);
            rc = 0;
            break;
        }
    }
    pj_rest_answer_release(&answer);
    return rc;
}

int pj_actions_get(const struct pj_rest *rest, const struct pj_workflow *workflow, int64_t run_id,
                   struct pj_run *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *tail = pj_asprintf("runs/%lld", (long long)run_id);
    PJ_CLEANUP(pj_freep) char *path = path_of(workflow, tail);
    struct pj_rest_answer answer;
    int rc = pj_rest_call(rest, "GET", path, NULL, &answer, err);

    if (rc == 0 && answer.status == 404)
        rc = PJ_NONE;
    else if (rc == 0 && answer.status != 200)
        rc = pj_rest_fail(&answer, "look at the workflow run", err);
    if (rc == 0)
        pj_run_read(answer.doc, out);
    pj_rest_answer_release(&answer);
    return rc;
}

int pj_actions_cancel(const struct pj_rest *rest, const struct pj_workflow *workflow,
                      int64_t run_id, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *tail = pj_asprintf("runs/%lld/cancel", (long long)run_id);
    PJ_CLEANUP(pj_freep) char *path = path_of(workflow, tail);
    struct pj_rest_answer answer;
    int rc = pj_rest_call(rest, "POST", path, NULL, &answer, err);

    /* 409: it has ended. */
    if (rc == 0 && answer.status != 409 && (answer.status < 200 || answer.status > 299))
        rc = pj_rest_fail(&answer, "cancel of the workflow run", err);
    pj_rest_answer_release(&answer);
    return rc;
}
