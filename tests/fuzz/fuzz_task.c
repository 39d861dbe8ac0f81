/* JSON of any kind into the nouns: what is taken must come back the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "lib/json/codec.h"
#include "lib/task/outcome.h"
#include "lib/task/repo.h"
#include "lib/task/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(json_t *first, json_t *second)
{
    if (!json_equal(first, second))
        abort();
    json_decref(first);
    json_decref(second);
}

static void try_task(const json_t *doc)
{
    struct pj_task task, again;
    struct pj_err err;
    json_t *wire;

    if (pj_task_from_wire(doc, &task, &err) < 0)
        return;
    wire = pj_task_wire(&task);
    if (pj_task_from_wire(wire, &again, &err) < 0)
        abort();
    check_same(wire, pj_task_wire(&again));
    if (task.id && task.repository_id)
        json_decref(pj_task_json(&task));
    pj_task_release(&task);
    pj_task_release(&again);
}

static void try_outcome(const json_t *doc)
{
    struct pj_outcome outcome, again;
    struct pj_err err;
    json_t *wire;

    if (pj_outcome_from_json(doc, &outcome, &err) < 0)
        return;
    wire = pj_outcome_json(&outcome);
    if (pj_outcome_from_json(wire, &again, &err) < 0)
        abort();
    check_same(wire, pj_outcome_json(&again));
    pj_outcome_release(&outcome);
    pj_outcome_release(&again);
}

static void try_repo(const json_t *doc)
{
    struct pj_repo repo, again;
    struct pj_err err;
    json_t *wire;

    if (pj_repo_from_wire(doc, &repo, &err) < 0)
        return;
    wire = pj_repo_wire(&repo);
    if (pj_repo_from_wire(wire, &again, &err) < 0)
        abort();
    check_same(wire, pj_repo_wire(&again));
    json_decref(pj_repo_json(&repo));
    pj_repo_release(&repo);
    pj_repo_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pj_err err;
    json_t *doc;

    if (pj_json_parse(pj_view_n((const char *)data, size), &doc, &err) < 0)
        return 0;
    try_task(doc);
    try_outcome(doc);
    try_repo(doc);
    json_decref(doc);
    return 0;
}
