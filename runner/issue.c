#include "runner/issue.h"

#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/pull.h"

#define TRY_MS 30000 /* for one delivery; the outbox tries again later */
#define BEFORE_TASK_MS                                                                             \
    600000 /* clocks differ: a comment of ours is no older than that before the task */

int64_t issue_number(const struct pj_task *task)
{
    if (strcmp(pj_json_str(task->source, "kind", ""), "github_issue") != 0)
        return 0;
    return pj_json_i64(task->source, "number", 0);
}

/* Nothing of the issue's own words: a comment that quotes a trigger would be another one. */
static char *text_of(const struct runner_settings *settings, const char *task_id)
{
    if (settings->public_url == NULL)
        return pj_asprintf(PJ_COMMENT_MARK " %s -->\nPithy Jaunt made a task of this: `%s`",
                           task_id, task_id);
    return pj_asprintf(PJ_COMMENT_MARK
                       " %s -->\nPithy Jaunt made a task of this: [%s](%s/tasks/%s)",
                       task_id, task_id, settings->public_url, task_id);
}

static int comment(const struct forge_view_spec *spec, const struct forge_view *view,
                   const struct pj_task *task, struct pj_err *err)
{
    const struct pull_forge forge = {
        .forge = view->address.forge,
        .token = view->credential.token,
        .ca_file = spec->settings->ca_file,
        .timeout_ms = TRY_MS,
        .retry_base_ms = spec->settings->retry_base_ms,
        .deadline_ms = pj_mono_ms() + TRY_MS,
    };
    const struct pull_spec where = {.owner = view->address.owner,
                                    .name = view->address.name,
                                    .comments_since_ms = task->created_ms - BEFORE_TASK_MS};
    PJ_CLEANUP(pj_freep) char *text = text_of(spec->settings, task->id);
    struct pull_upstream upstream;

    if (pull_comment(&forge, &where, issue_number(task), text, &upstream, err) == 0)
        return 0;
    /* Locked, deleted, or gone with its repository: no later try will do better. */
    if (upstream.status == 404 || upstream.status == 410 || upstream.status == 422)
        err->cls = PJ_E_INVALID;
    return -1;
}

int issue_comment(const struct forge_view_spec *spec, const struct pj_task *task,
                  struct pj_err *err)
{
    struct forge_view view;
    int rc = PJ_NONE;

    if (issue_number(task) <= 0)
        return PJ_NONE;
    if (forge_view_open(spec, task->repository_id, &view, err) < 0)
        rc = err->cls == PJ_E_NOT_FOUND ? PJ_NONE : -1;
    else if (view.address.forge->kind == PJ_FORGE_GITHUB)
        rc = comment(spec, &view, task, err);
    forge_view_release(&view);
    return rc;
}
