/* Tasks of many users over several partitions: each has its own queue, leases, changes and sums; nobody outside notices. */
#include <stdio.h>
#include "lib/base/id.h"
#include "lib/store/meta.h"
#include "tests/scenarios/scene.h"

#define USERS 6
#define PARTITIONS 3

static const struct model_answer work[] = {
    {.repeat = true,
     .text = "I do it.",
     .calls = {{"write_file", "{\"path\":\"done.txt\",\"content\":\"done\"}"},
               {"finish", "{\"summary\":\"Done.\"}"}}}};

/* Before anybody else opens it. */
static void divide(struct world *w)
{
    struct pj_redis *redis = test_redis_connect(&w->redis);
    struct pj_meta meta;
    struct pj_err err = {0};

    cr_assert_eq(pj_store_open(redis, PARTITIONS, &meta, &err), 0, "%s", err.message);
    cr_assert_eq(meta.partitions, PARTITIONS);
    pj_redis_free(redis);
}

/* Records of the outbox, page by page: one partition after the other. */
static size_t count_owed(struct world *w)
{
    char *cursor = pj_strdup("0:");
    size_t count = 0;

    while (cursor) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/admin/outbox?cursor=%s", cursor);
        PJ_CLEANUP(pj_json_decrefp) json_t *page = world_call(w, "GET", path, NULL, 200);

        count += json_array_size(json_object_get(page, "items"));
        free(cursor);
        cursor = pj_strdup_or_null(pj_json_str(page, "nextCursor", NULL));
    }
    return count;
}

/* A new user's token. */
static char *make_user(struct scene *s, size_t i)
{
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"email\":\"u%zu@example.com\",\"role\":\"user\"}", i);
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_call(&s->w, "POST", "/users", body, 201);

    return pj_strdup(pj_json_str(doc, "token", ""));
}

Test(partitions, tasks_of_all_partitions_run_and_add_up)
{
    struct scene s;
    bool used[PARTITIONS] = {false};
    char *task[USERS];
    size_t spread = 0;

    scene_prepare(&s, work, 1);
    divide(&s.w);
    world_set(&s.w, "PJ_RUNNER_SLOTS", "2");
    scene_open(&s, ",\"visibility\":\"shared\"");
    for (size_t i = 0; i < USERS; i++) {
        PJ_CLEANUP(pj_freep) char *token = make_user(&s, i);
        PJ_CLEANUP(pj_freep)
        char *body = pj_asprintf("{\"repositoryId\":\"%s\",\"title\":\"Task "
                                 "%zu\",\"description\":\"Do it.\",\"execute\":true}",
                                 s.repo, i);
        PJ_CLEANUP(pj_json_decrefp)
        json_t *doc = world_call_as(&s.w, token, "POST", "/tasks", body, 201);
        int partition;

        task[i] = pj_strdup(pj_json_str(doc, "id", ""));
        partition = pj_id_partition(task[i]);
        cr_assert(partition >= 0 && partition < PARTITIONS, "%s", task[i]);
        used[partition] = true;
    }
    for (size_t i = 0; i < PARTITIONS; i++)
        spread += used[i];
    cr_assert_geq(spread, 2, "six users in one partition of three");
    for (size_t i = 0; i < USERS; i++)
        json_decref(world_wait_status(&s.w, task[i], "completed"));
    PJ_CLEANUP(pj_json_decrefp)
    json_t *list = world_call(&s.w, "GET", "/tasks?status=completed", NULL, 200);
    PJ_CLEANUP(pj_json_decrefp)
    json_t *sums = world_call(&s.w, "GET", "/admin/analytics?bucket=hour", NULL, 200);
    cr_expect_eq(json_array_size(json_object_get(list, "items")), USERS);
    cr_expect_eq(count_owed(&s.w), USERS);
    cr_expect_eq(
        pj_json_i64(json_object_get(json_object_get(sums, "totals"), "tasks"), "completed", 0),
        USERS);
    for (size_t i = 0; i < USERS; i++)
        free(task[i]);
    scene_stop(&s);
}
