/* GitHub Actions: workflows are files of the repository, runs live in memory. Nothing is carried out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/support/forge_impl.h"

/* Under the lock; borrowed. */
static json_t *run_of(struct forge_server *f, int64_t id)
{
    json_t *run;
    size_t i;

    json_array_foreach(f->runs, i, run) if (pj_json_i64(run, "id", 0) == id) return run;
    return NULL;
}

/* Under the lock; borrowed. The title is what `run-name: Pithy Jaunt ${{ inputs.task_id }}` makes of it. */
static json_t *new_run(struct forge_server *f, const char *repo, const char *file,
                       const json_t *want)
{
    int64_t id = f->next_run++;
    char at[PJ_RFC3339_SIZE];
    PJ_CLEANUP(pj_freep)
    char *title =
        pj_asprintf("Pithy Jaunt %s", pj_json_str(json_object_get(want, "inputs"), "task_id", ""));
    PJ_CLEANUP(pj_freep)
    char *url = pj_asprintf("%s" API "/repos/%s/actions/runs/%lld", stand_in_url(f->http), repo,
                            (long long)id);
    PJ_CLEANUP(pj_freep)
    char *html = pj_asprintf("%s/%s/actions/runs/%lld", stand_in_url(f->http), repo, (long long)id);
    json_t *run = json_pack("{s:I, s:s, s:s, s:s, s:O, s:s, s:n, s:s, s:s, s:s, s:s, s:i}", "id",
                            (json_int_t)id, "repo", repo, "file", file, "ref",
                            pj_json_str(want, "ref", ""), "inputs", json_object_get(want, "inputs"),
                            "status", "queued", "conclusion", "event", "workflow_dispatch",
                            "display_title", title, "url", url, "html_url", html, "cancels", 0);

    json_object_set_new(run, "created_at", json_string(pj_rfc3339(pj_now_ms(), at)));
    json_array_append_new(f->runs, run);
    return run;
}

static void dispatch(struct forge_server *f, const char *repo, const char *file,
                     const struct stand_in_request *r, struct stand_in_exchange *x)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *want = json_loadb(r->body, r->body_len, 0, NULL);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf(".github/workflows/%s", file);
    bool asked = json_object_get(want, "return_run_details") != NULL;

    if (!forge_has_file(f, repo, "HEAD", path)) {
        forge_error(f, x, 404, "Not Found");
        return;
    }
    if (!forge_has_file(f, repo, pj_json_str(want, "ref", ""), path)) {
        forge_error(f, x, 422, "No ref found for the workflow");
        return;
    }
    if (asked && f->dispatch == FORGE_DISPATCH_OLD) {
        forge_error(f, x, 422,
                    "Invalid request.\n\n\"return_run_details\" is not a permitted key.");
        return;
    }
    pthread_mutex_lock(&f->lock);
    json_t *run = new_run(f, repo, file, want);
    json_t *details =
        json_pack("{s:O, s:O, s:O}", "workflow_run_id", json_object_get(run, "id"), "run_url",
                  json_object_get(run, "url"), "html_url", json_object_get(run, "html_url"));
    pthread_mutex_unlock(&f->lock);
    if (asked && f->dispatch == FORGE_DISPATCH_DETAILS) {
        forge_json(f, x, 200, details);
        return;
    }
    json_decref(details);
    forge_json(f, x, 204, NULL);
}

/* Newest first, as GitHub lists them. */
static void runs_list(struct forge_server *f, const char *repo, const char *file,
                      const struct stand_in_request *r, struct stand_in_exchange *x)
{
    char most[20] = "30";
    json_t *found = json_array();

    (void)forge_query(r->query, "per_page", most, sizeof most);
    pthread_mutex_lock(&f->lock);
    for (size_t i = json_array_size(f->runs); i-- > 0;) {
        const json_t *run = json_array_get(f->runs, i);
        if (f->hidden_from > 0 && pj_json_i64(run, "id", 0) >= f->hidden_from)
            continue;
        if (json_array_size(found) < strtoul(most, NULL, 10) &&
            strcmp(pj_json_str(run, "repo", ""), repo) == 0 &&
            strcmp(pj_json_str(run, "file", ""), file) == 0)
            json_array_append_new(found, json_deep_copy(run));
    }
    pthread_mutex_unlock(&f->lock);
    forge_json(f, x, 200,
               json_pack("{s:i, s:o}", "total_count", (int)json_array_size(found), "workflow_runs",
                         found));
}

static void run_get(struct forge_server *f, int64_t id, struct stand_in_exchange *x)
{
    pthread_mutex_lock(&f->lock);
    json_t *run = json_deep_copy(run_of(f, id));
    pthread_mutex_unlock(&f->lock);
    if (run != NULL)
        forge_json(f, x, 200, run);
    else
        forge_error(f, x, 404, "Not Found");
}

/* Asked to end, a run ends. */
static void run_cancel(struct forge_server *f, int64_t id, struct stand_in_exchange *x)
{
    pthread_mutex_lock(&f->lock);
    json_t *run = run_of(f, id);
    bool ended = strcmp(pj_json_str(run, "status", ""), "completed") == 0;
    if (run != NULL) {
        json_object_set_new(run, "cancels", json_integer(pj_json_i64(run, "cancels", 0) + 1));
        if (!ended) {
            json_object_set_new(run, "status", json_string("completed"));
            json_object_set_new(run, "conclusion", json_string("cancelled"));
        }
    }
    pthread_mutex_unlock(&f->lock);
    if (run == NULL)
        forge_error(f, x, 404, "Not Found");
    else if (ended)
        forge_error(f, x, 409, "Cannot cancel a workflow run that is completed.");
    else
        forge_json(f, x, 202, json_object());
}

static void workflow_get(struct forge_server *f, const char *repo, const char *file,
                         struct stand_in_exchange *x)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf(".github/workflows/%s", file);

    if (forge_has_file(f, repo, "HEAD", path))
        forge_json(f, x, 200, json_pack("{s:s, s:s}", "path", path, "state", "active"));
    else
        forge_error(f, x, 404, "Not Found");
}

void forge_actions(struct forge_server *f, const char *repo, const char *path,
                   const struct stand_in_request *r, struct stand_in_exchange *x)
{
    bool get = strcmp(r->method, "GET") == 0;
    char file[120] = "", what[40] = "";
    long long id = 0;

    if (sscanf(path, "workflows/%119[^/]/%39s", file, what) == 2 && !get &&
        strcmp(what, "dispatches") == 0)
        dispatch(f, repo, file, r, x);
    else if (get && strcmp(what, "runs") == 0)
        runs_list(f, repo, file, r, x);
    else if (get && file[0] != '\0' && what[0] == '\0')
        workflow_get(f, repo, file, x);
    else if (sscanf(path, "runs/%lld/%39s", &id, what) == 2 && !get && strcmp(what, "cancel") == 0)
        run_cancel(f, id, x);
    else if (get && sscanf(path, "runs/%lld", &id) == 1 && what[0] == '\0')
        run_get(f, id, x);
    else if (get &&
             strcmp(path, "runs") == 0) /* nobody asks which: that it may be asked is the answer */
        forge_json(f, x, 200, json_pack("{s:i, s:[]}", "total_count", 0, "workflow_runs"));
    else
        forge_error(f, x, 404, "Not Found");
}

/* ---- for the test ---- */

void forge_server_dispatch(struct forge_server *f, enum forge_dispatch how)
{
    pthread_mutex_lock(&f->lock);
    f->dispatch = how;
    pthread_mutex_unlock(&f->lock);
}

json_t *forge_server_runs(struct forge_server *f)
{
    pthread_mutex_lock(&f->lock);
    json_t *copy = json_deep_copy(f->runs);
    pthread_mutex_unlock(&f->lock);
    return copy;
}

void forge_server_set_run(struct forge_server *f, int64_t id, const char *status,
                          const char *conclusion)
{
    pthread_mutex_lock(&f->lock);
    json_t *run = run_of(f, id);
    if (run == NULL)
        abort();
    json_object_set_new(run, "status", json_string(status));
    json_object_set_new(run, "conclusion",
                        conclusion != NULL ? json_string(conclusion) : json_null());
    pthread_mutex_unlock(&f->lock);
}

void forge_server_hide_runs(struct forge_server *f, bool hidden)
{
    pthread_mutex_lock(&f->lock);
    f->hidden_from = hidden ? f->next_run : 0;
    pthread_mutex_unlock(&f->lock);
}
