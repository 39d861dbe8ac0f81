#include "runner/spec.h"

#include <stdlib.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"

static const struct pj_field fields[] = {
    {"runner", PJ_F_STR, offsetof(struct job_spec, runner), PJ_FF_REQUIRED, 1, 64},
    {"epoch", PJ_F_INT, offsetof(struct job_spec, epoch), PJ_FF_REQUIRED, 1, INT64_MAX},
    {"deliveries", PJ_F_INT, offsetof(struct job_spec, deliveries), PJ_FF_REQUIRED, 0, INT64_MAX},
    {"nextN", PJ_F_INT, offsetof(struct job_spec, next_n), PJ_FF_REQUIRED, 1, INT64_MAX},
    {"deadlineMonoMs", PJ_F_INT, offsetof(struct job_spec, deadline_mono_ms), PJ_FF_REQUIRED,
     INT64_MIN, INT64_MAX},
};

char *job_spec_text(const struct pj_lease *lease, const struct pj_repo *repo, const char *runner,
                    int64_t deadline_mono_ms)
{
    PJ_CLEANUP(pj_freep) char *name = pj_strdup(runner);
    struct job_spec spec = {
        .runner = name,
        .epoch = lease->epoch,
        .deliveries = lease->deliveries,
        .next_n = lease->next_n,
        .deadline_mono_ms = deadline_mono_ms,
    };
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = pj_json_encode(fields, PJ_COUNT_OF(fields), &spec);

    (void)json_object_set_new(doc, "task", pj_task_wire(lease->task));
    (void)json_object_set_new(doc, "repository", pj_repo_wire(repo));
    return pj_json_text(doc);
}

int job_spec_parse(struct pj_view text, struct job_spec *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *task = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *repo = NULL;

    *out = (struct job_spec){0};
    pj_task_init(&out->task);
    pj_repo_init(&out->repo);
    if (pj_json_parse(text, &doc, err) < 0)
        return pj_err_wrap(err, "job description");
    task = json_incref(json_object_get(doc, "task"));
    repo = json_incref(json_object_get(doc, "repository"));
    (void)json_object_del(doc, "task");
    (void)json_object_del(doc, "repository");
    if (pj_json_decode(doc, fields, PJ_COUNT_OF(fields), out, NULL, err) < 0 ||
        pj_task_from_wire(task, &out->task, err) < 0 ||
        pj_repo_from_wire(repo, &out->repo, err) < 0)
        return pj_err_wrap(err, "job description");
    return 0;
}

void job_spec_release(struct job_spec *spec)
{
    free(spec->runner);
    pj_task_release(&spec->task);
    pj_repo_release(&spec->repo);
    *spec = (struct job_spec){0};
}
