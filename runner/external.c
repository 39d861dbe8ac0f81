#include "runner/external.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/http/client.h"
#include "lib/store/keys.h"
#include "lib/store/lease.h"
#include "lib/store/tasks.h"
#include "runner/forge_view.h"

#define LOOK_FACTOR 15   /* of PJ_RETRY_BASE: between looks at a run that nobody wants to end */
#define URGENT_FACTOR 20 /* how long after a cancel its run is looked at each time */
#define UNSEEN_FACTOR 60 /* a run that is not listed by then will not come */
#define DEFAULT_WORKFLOW "pithy-jaunt.yml"

/* One repository's forge as it is spoken to. */
struct view {
    struct forge_view forge;
    struct external_workflow workflow;
    struct pj_rest rest;
    int64_t until_ms; /* by pj_mono_ms(); 0: empty */
};

/* Kept for a while: with a GitHub App, every opening costs calls and a new token. */
#define VIEWS 16
#define VIEW_MS 60000

struct external {
    const struct runner_settings *settings;
    struct pj_redis *redis;
    struct pj_http *http;
    struct pj_forges *forges;
    int64_t next_look_ms[PJ_PARTITIONS_MAX];
    struct view views[VIEWS];
};

int external_workflow_of(const struct runner_settings *settings,
                         const struct pj_repo_address *address, const struct pj_repo *repo,
                         struct external_workflow *out, struct pj_err *err)
{
    struct pj_view rest = pj_view_of(settings->actions_repository), owner = {0};
    bool own = settings->actions_repository == NULL;

    *out = (struct external_workflow){0};
    if (!own && (!pj_view_cut(&rest, '/', &owner) || owner.n == 0 || rest.n == 0 ||
                 memchr(rest.p, '/', rest.n) != NULL)) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_ACTIONS_REPOSITORY: %s is not owner/name",
                      settings->actions_repository);
        return pj_err_code(err, "github_permission");
    }
    out->owner = own ? pj_strdup(address->owner) : pj_strndup(owner.p, owner.n);
    out->name = own ? pj_strdup(address->name) : pj_strndup(rest.p, rest.n);
    out->workflow = (struct pj_workflow){
        .owner = out->owner,
        .name = out->name,
        .file = settings->actions_workflow != NULL ? settings->actions_workflow : DEFAULT_WORKFLOW,
        .ref = settings->actions_ref != NULL ? settings->actions_ref : repo->default_branch,
    };
    return 0;
}

void external_workflow_release(struct external_workflow *workflow)
{
    free(workflow->owner);
    free(workflow->name);
    *workflow = (struct external_workflow){0};
}

struct external *external_new(const struct runner_settings *settings, struct pj_redis *redis,
                              struct pj_http *http, struct pj_err *err)
{
    const struct pj_forges_spec spec = {.file = settings->forges,
                                        .github_api_url = settings->github_api_url,
                                        .redact = settings->redact};
    struct external *w = pj_alloc(1, sizeof(*w));

    *w = (struct external){.settings = settings, .redis = redis, .http = http};
    if (pj_forges_load(&spec, &w->forges, err) < 0) {
        free(w);
        return NULL;
    }
    return w;
}

static void view_release(struct view *v)
{
    external_workflow_release(&v->workflow);
    forge_view_release(&v->forge);
    *v = (struct view){0};
}

void external_free(struct external *watch)
{
    for (size_t i = 0; watch != NULL && i < VIEWS; i++)
        view_release(&watch->views[i]);
    if (watch != NULL)
        pj_forges_free(watch->forges);
    free(watch);
}

static int ask(struct external *w, struct pj_cmd *cmd, struct redisReply **reply,
               struct pj_err *err)
{
    int rc = pj_redis_do(w->redis, cmd, reply, err);

    pj_cmd_release(cmd);
    return rc;
}

/* ---- one task's forge ---- */

static int view_open(struct external *w, const struct pj_task *task, struct view *v,
                     struct pj_err *err)
{
    const struct forge_view_spec spec = {
        .settings = w->settings, .redis = w->redis, .forges = w->forges, .actions = true};

    if (forge_view_open(&spec, task->repository_id, &v->forge, err) < 0 ||
        external_workflow_of(w->settings, &v->forge.address, &v->forge.repo, &v->workflow, err) < 0)
        return -1;
    v->rest = (struct pj_rest){
        .http = w->http, .forge = v->forge.address.forge, .token = v->forge.credential.token};
    v->until_ms = pj_mono_ms() + VIEW_MS;
    return 0;
}

/* The task's view, kept or opened in the place of the oldest one. Borrowed; NULL: *err tells. */
static struct view *view_of(struct external *w, const struct pj_task *task, struct pj_err *err)
{
    struct view *v = &w->views[0];

    for (size_t i = 0; i < VIEWS; i++) {
        struct view *one = &w->views[i];
        bool its = one->until_ms > 0 && strcmp(one->forge.repo.id, task->repository_id) == 0;

        if (its && one->until_ms > pj_mono_ms())
            return one;
        if (its || one->until_ms < v->until_ms)
            v = one;
        if (its)
            break;
    }
    view_release(v);
    if (view_open(w, task, v, err) == 0)
        return v;
    view_release(v);
    return NULL;
}

/* ---- ends ---- */

static void finish(struct external *w, const struct pj_task *task, const struct pj_outcome *outcome)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_cmd cmd = {0};
    struct pj_finished done;
    struct pj_err err;

    pj_lease_finish_cmd(&cmd, task->id, -1, task->attempt, outcome);
    if (ask(w, &cmd, &reply, &err) < 0 || pj_lease_finish_reply(reply, &done, &err) < 0) {
        /* Its own webhook may have been faster. */
        if (err.cls != PJ_E_CONFLICT)
            pj_log_err(PJ_LOG_WARN, "finish_refused", &err, "taskId", task->id);
        return;
    }
    pj_log(PJ_LOG_INFO, "task_finished", "taskId", task->id, "status",
           pj_task_status_word((enum pj_task_status)done.status), "by", "watch", NULL);
}

static void end(struct external *w, const struct pj_task *task, const struct pj_run *run)
{
    struct pj_outcome out;

    pj_run_outcome(run, task->cancel_ms > 0, &out);
    finish(w, task, &out);
    pj_outcome_release(&out);
}

static int find_run(const struct view *v, const struct pj_task *task, struct pj_run *run,
                    struct pj_err *err)
{
    const struct pj_workflow *workflow = &v->workflow.workflow;

    if (task->run_id > 0)
        return pj_actions_get(&v->rest, workflow, task->run_id, run, err);
    return pj_actions_find(&v->rest, workflow, task->id, task->run_floor, run, err);
}

static int look(struct external *w, const struct pj_task *task, struct pj_err *err)
{
    int64_t unseen_ms = w->settings->retry_base_ms * UNSEEN_FACTOR;
    bool cancel = task->cancel_ms > 0;
    struct pj_run run = {0};
    struct view *v = view_of(w, task, err);
    int rc = v != NULL ? find_run(v, task, &run, err) : -1;

    if (rc == 0 && cancel && !run.ended)
        rc = pj_actions_cancel(&v->rest, &v->workflow.workflow, run.id, err);
    else if (rc == 0 && run.ended)
        end(w, task, &run);
    else if (rc == PJ_NONE && cancel && pj_now_ms() - task->cancel_ms > unseen_ms)
        end(w, task, &run);
    if (rc < 0 && v != NULL)
        v->until_ms = 1; /* opened anew next time: it may have been the token */
    return rc < 0 ? -1 : 0;
}

/* A cancel that is new: somebody waits. One that a run takes its time to heed is looked at like the others, within the rate limit. */
static bool is_urgent(const struct external *w, const struct pj_task *task)
{
    return task->cancel_ms > 0 &&
           pj_now_ms() - task->cancel_ms < w->settings->retry_base_ms * URGENT_FACTOR;
}

int external_tick(struct external *watch, unsigned partition, struct pj_err *err)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *ids = NULL;
    struct pj_cmd cmd = {0};
    char key[PJ_KEY_SIZE];
    int64_t now = pj_mono_ms();
    bool all = now >= watch->next_look_ms[partition];

    pj_cmd_start(&cmd, "SMEMBERS");
    cmd.repeatable = true;
    pj_cmd_text(&cmd, pj_key_part(key, partition, "external"));
    if (ask(watch, &cmd, &ids, err) < 0)
        return -1;
    if (all)
        watch->next_look_ms[partition] = now + watch->settings->retry_base_ms * LOOK_FACTOR;
    for (size_t i = 0; i < pj_reply_count(ids); i++) {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
        PJ_CLEANUP(pj_freep) char *id = pj_reply_dup(pj_reply_at(ids, i));
        struct pj_task task;
        struct pj_err why;

        pj_task_init(&task);
        pj_task_get_cmd(&cmd, id);
        if (ask(watch, &cmd, &reply, &why) == 0 && pj_task_get_reply(reply, &task, &why) == 0 &&
            task.status == PJ_TASK_RUNNING && (all || is_urgent(watch, &task)) &&
            look(watch, &task, &why) < 0)
            pj_log_err(PJ_LOG_WARN, "github_error", &why, "taskId", task.id);
        pj_task_release(&task);
    }
    return 0;
}
