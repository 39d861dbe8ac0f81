#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/audit.h"
#include "lib/store/keys.h"
#include "lib/store/outbox.h"
#include "lib/store/repos.h"
#include "lib/store/runners.h"
#include "tests/lib/store/fixture.h"

static struct fixture f;

static void up(void)
{
    fixture_up(&f);
}

static void down(void)
{
    fixture_down(&f);
}

TestSuite(rest, .init = up, .fini = down);

static int put_repo(const char *id, const char *owner, const char *url, int visibility,
                    struct pj_err *err)
{
    struct pj_repo repo, made;
    struct pj_cmd cmd = {0};
    int rc;

    pj_repo_init(&repo);
    repo.id = pj_strdup(id);
    repo.owner = pj_strdup(owner);
    repo.url = pj_strdup(url);
    repo.default_branch = pj_strdup("main");
    repo.visibility = visibility;
    repo.credential_sealed = pj_strdup("v1:sealed");
    repo.network_allow = pj_alloc(2, sizeof(char *));
    repo.network_allow[0] = pj_strdup("registry.example:443");
    pj_repo_create_cmd(&cmd, &repo);
    pj_repo_release(&repo);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    rc = pj_repo_reply(reply, &made, err);
    if (rc == 0) {
        PJ_CLEANUP(pj_json_decrefp) json_t *shown = pj_repo_json(&made);
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(shown);

        cr_assert_str_eq(made.credential_sealed, "v1:sealed");
        cr_assert_str_eq(made.network_allow[0], "registry.example:443");
        cr_assert_gt(made.created_ms, 0);
        cr_assert_null(strstr(text, "sealed"), "what clients see has no credential");
        pj_repo_release(&made);
    }
    return rc;
}

static size_t repos_of(const char *viewer)
{
    struct pj_cmd cmd = {0};
    struct pj_repo_page page;
    struct pj_err err = {0};
    size_t count;

    pj_repo_list_cmd(&cmd, viewer, NULL, 100);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_repo_list_reply(reply, &page, &err), 0, "%s", err.message);
    count = page.count;
    pj_repo_page_release(&page);
    return count;
}

Test(rest, repository_is_seen_by_its_owner_and_when_shared_by_all)
{
    struct pj_err err = {0};
    struct pj_cmd cmd = {0};
    struct pj_repo repo;
    char **shared;

    cr_assert_eq(put_repo("r1", "u1", "https://h/o/a", PJ_REPO_PRIVATE, &err), 0, "%s",
                 err.message);
    cr_assert_eq(put_repo("r2", "u1", "https://h/o/b", PJ_REPO_SHARED, &err), 0);
    cr_assert_lt(put_repo("r3", "u1", "https://h/o/a", PJ_REPO_PRIVATE, &err), 0);
    cr_assert_str_eq(err.code, "repository_exists");
    cr_assert_eq(put_repo("r4", "u2", "https://h/o/a", PJ_REPO_PRIVATE, &err), 0,
                 "another owner may");
    cr_assert_eq(repos_of("u1"), 2);
    cr_assert_eq(repos_of("u2"), 2);
    cr_assert_eq(repos_of("u3"), 1);
    cr_assert_eq(repos_of(NULL), 3);
    pj_repo_shared_cmd(&cmd);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_repo_shared_reply(reply, &shared, &err), 0);
        cr_assert_str_eq(shared[0], "r2");
        cr_assert_null(shared[1]);
        pj_strs_free(shared);
    }
    pj_repo_status_cmd(&cmd, "r1", PJ_REPO_INVALID, "gone");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_repo_reply(reply, &repo, &err), 0);
        cr_assert_eq(repo.status, PJ_REPO_INVALID);
        cr_assert_str_eq(repo.status_cause, "gone");
    }
    pj_repo_update_cmd(&cmd, &repo); /* an edit keeps what it read */
    pj_repo_release(&repo);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_repo_reply(reply, &repo, &err), 0);
        cr_assert_eq(repo.status, PJ_REPO_INVALID);
        pj_repo_release(&repo);
    }
    pj_repo_delete_cmd(&cmd, "r2");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_repo_delete_reply(reply, &err), 0);
    }
    cr_assert_eq(repos_of("u3"), 0);
    cr_assert_eq(put_repo("r5", "u1", "https://h/o/b", PJ_REPO_SHARED, &err), 0,
                 "its place is free again");
}

static size_t list_ids(const struct pj_task_query *query, char ids[][PJ_ID_SIZE], size_t cap,
                       char **next)
{
    struct pj_cmd cmd = {0};
    struct pj_task_page page;
    struct pj_err err = {0};
    size_t count;

    pj_task_list_cmd(&cmd, 0, query);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_task_list_reply(reply, &page, &err), 0, "%s", err.message);
    count = page.count;
    for (size_t i = 0; i < count && i < cap; i++)
        (void)snprintf(ids[i], PJ_ID_SIZE, "%s", page.items[i]->id);
    free(*next);
    *next = page.next;
    page.next = NULL;
    pj_task_page_release(&page);
    return count;
}

Test(rest, tasks_are_listed_newest_first_and_filtered)
{
    char made[25][PJ_ID_SIZE], got[50][PJ_ID_SIZE], *next = NULL;
    struct pj_task_query query = {.status = -1, .limit = 10};
    static const char *const shared[] = {"0000000000000000repo01", NULL};
    size_t total = 0, n;

    for (int i = 0; i < 25; i++)
        make_task(&f, i % 5 ? "alice" : "bob", i % 2, made[i]);
    do {
        query.before = next;
        n = list_ids(&query, got + total, 10, &next);
        total += n;
    } while (next && total < 50);
    cr_assert_eq(total, 25);
    for (size_t i = 1; i < total; i++)
        cr_assert_gt(strcmp(got[i - 1], got[i]), 0);
    query = (struct pj_task_query){.status = -1, .limit = 50, .viewer = "bob"};
    cr_assert_eq(list_ids(&query, got, 50, &next), 5);
    query.shared = shared;
    cr_assert_eq(list_ids(&query, got, 50, &next), 25);
    query.owner = "alice";
    cr_assert_eq(list_ids(&query, got, 50, &next), 20);
    query.status = PJ_TASK_QUEUED;
    n = list_ids(&query, got, 50, &next);
    cr_assert_eq(n, 10);
    query.text = "HELLO";
    cr_assert_eq(list_ids(&query, got, 50, &next), n);
    query.text = "nowhere";
    cr_assert_eq(list_ids(&query, got, 50, &next), 0);
    free(next);
}

/* Each looks at a hundred candidates at a time: one that is not found in the first hundred is found once, and then it is the end. */
Test(rest, pages_of_a_search_through_many_tasks_show_each_once)
{
    char id[PJ_ID_SIZE], got[20][PJ_ID_SIZE], *next = NULL;
    struct pj_task_query query = {.status = -1, .limit = 10, .text = "needle"};
    size_t total = 0, pages = 0;

    for (int i = 0; i < 130; i++) {
        struct pj_cmd cmd = {0};
        struct pj_err err = {0};

        make_task(&f, "alice", false, id);
        if (i != 5 && i != 125)
            continue;
        pj_task_edit_cmd(&cmd, id, &(struct pj_task_edit){.title = "A needle"});
        cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0, "%s", err.message);
    }
    do {
        query.before = next;
        total += list_ids(&query, got + total, 20 - total, &next);
        pages++;
    } while (next && pages < 10);
    cr_assert_eq(total, 2, "%zu", total);
    cr_assert_eq(pages, 1, "%zu", pages);
    free(next);
}

static void read_repo(const char *id, struct pj_repo *out)
{
    struct pj_err err = {0};
    struct pj_cmd cmd = {0};

    pj_repo_get_cmd(&cmd, id);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_repo_reply(reply, out, &err), 0, "%s", err.message);
}

static int write_repo(struct pj_repo *repo, struct pj_err *err)
{
    struct pj_cmd cmd = {0};
    struct pj_repo now;

    pj_repo_update_cmd(&cmd, repo);
    cr_assert_not(cmd.repeatable);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    if (pj_repo_reply(reply, &now, err) < 0)
        return -1;
    pj_repo_release(&now);
    return 0;
}

/* A check of the remote takes its time; a new webhook secret meanwhile must not be undone by what it read before. */
Test(rest, the_slower_of_two_edits_does_not_undo_the_other)
{
    struct pj_err err = {0};
    struct pj_cmd cmd = {0};
    struct pj_repo slow, quick;

    cr_assert_eq(put_repo("r1", "u1", "https://h/o/a", PJ_REPO_PRIVATE, &err), 0);
    read_repo("r1", &slow);
    read_repo("r1", &quick);
    pj_str_set(&quick.webhook_sealed, "v1:new");
    cr_assert_eq(write_repo(&quick, &err), 0, "%s", err.message);
    pj_repo_release(&quick);
    cr_assert_lt(write_repo(&slow, &err), 0);
    cr_assert_eq(err.cls, PJ_E_CONFLICT);
    cr_assert_str_eq(err.code, "changed");
    pj_repo_release(&slow);
    read_repo("r1", &slow);
    cr_assert_str_eq(slow.webhook_sealed, "v1:new");
    pj_repo_status_cmd(&cmd, "r1", PJ_REPO_INVALID, "a runner could not reach it");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
    }
    cr_assert_lt(write_repo(&slow, &err), 0, "that it is invalid must not be forgotten");
    pj_repo_release(&slow);
    read_repo("r1", &slow);
    cr_assert_eq(slow.status, PJ_REPO_INVALID);
    cr_assert_eq(write_repo(&slow, &err), 0, "%s", err.message);
    pj_repo_release(&slow);
}

Test(rest, queued_task_can_be_edited_and_deleted_and_a_running_one_not)
{
    char id[PJ_ID_SIZE];
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_task_limits limits = {5000, -1, 250000, -1};
    struct pj_task_edit edit = {.title = "New title", .limits = &limits};
    struct pj_task task;

    make_task(&f, "u", false, id);
    pj_task_edit_cmd(&cmd, id, &edit);
    cr_assert_eq(run_move(&f, &cmd, &task, &err), 0, "%s", err.message);
    cr_assert_str_eq(task.title, "New title");
    cr_assert_eq(task.limits.timeout_ms, 5000);
    cr_assert_eq(task.limits.tokens, -1);
    cr_assert_eq(task.limits.cost_microusd, 250000);
    pj_task_release(&task);
    pj_task_execute_cmd(&cmd, id, PJ_EXECUTOR_GITHUB_ACTIONS);
    cr_assert_eq(run_move(&f, &cmd, &task, &err), 0);
    cr_assert_eq(task.executor, PJ_EXECUTOR_GITHUB_ACTIONS);
    pj_task_release(&task);
    pj_task_edit_cmd(&cmd, id, &edit);
    cr_assert_lt(run_move(&f, &cmd, NULL, &err), 0);
    cr_assert_str_eq(err.code, "not_queued");
    pj_task_delete_cmd(&cmd, id);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_lt(pj_task_delete_reply(reply, &err), 0);
        cr_assert_str_eq(err.code, "still_running");
    }
    pj_task_cancel_cmd(&cmd, id);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0);
    pj_task_delete_cmd(&cmd, id);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_task_delete_reply(reply, &err), 0, "%s", err.message);
    }
    pj_task_get_cmd(&cmd, id);
    cr_assert_lt(run_move(&f, &cmd, NULL, &err), 0);
    cr_assert_eq(err.cls, PJ_E_NOT_FOUND);
}

static size_t claim(struct pj_outbox *records, size_t cap)
{
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    size_t count;

    pj_outbox_claim_cmd(&cmd, 0, (int64_t)cap, 60000);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    cr_assert_eq(pj_outbox_claim_reply(reply, records, cap, &count, &err), 0);
    return count;
}

Test(rest, notification_is_claimed_by_one_and_settled)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_outbox records[4];
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    PJ_CLEANUP(pj_freep) char *want = NULL;

    make_task(&f, "u", true, id);
    take_one(&f, "r1", &lease);
    cr_assert_eq(finish_as(&f, id, lease.epoch, 0, "patch_conflict", NULL, &err), 0);
    want = pj_asprintf("msg_%s_%lld_needs_review", id, (long long)lease.task->executed_ms);
    pj_leases_release(&lease, 1);
    cr_assert_eq(claim(records, 4), 1);
    cr_assert_str_eq(records[0].id, want);
    cr_assert_str_eq(records[0].template_name, "needs_review");
    cr_assert_str_eq(records[0].owner, "u");
    cr_assert_eq(records[0].attempts, 1);
    pj_outbox_release(records, 1);
    cr_assert_eq(claim(records, 4), 0, "hidden while one delivers");
    pj_outbox_settle_cmd(&cmd, 0, want, 1, PJ_OUTBOX_PENDING, "u@example.com", "refused", 0);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_outbox_reply(reply, &err), 0);
    }
    cr_assert_eq(claim(records, 4), 1);
    cr_assert_eq(records[0].attempts, 2);
    cr_assert_str_eq(records[0].last_error, "refused");
    pj_outbox_release(records, 1);
    pj_outbox_add_cmd(&cmd, 0, want, "hook", "webhook", "https://example.com/hook");
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
    }
    pj_outbox_settle_cmd(&cmd, 0, want, 2, PJ_OUTBOX_SENT, NULL, NULL, 0);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
    }
    pj_outbox_list_cmd(&cmd, 0, id, NULL, 10);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
        PJ_CLEANUP(pj_json_decrefp) json_t *list = NULL;

        cr_assert_eq(pj_outbox_list_reply(reply, &list, &err), 0);
        cr_assert_eq(json_array_size(json_object_get(list, "items")), 2);
        cr_assert_str_eq(
            pj_json_str(json_array_get(json_object_get(list, "items"), 0), "state", ""), "sent");
        cr_assert_str_eq(pj_json_str(json_array_get(json_object_get(list, "items"), 1), "kind", ""),
                         "webhook");
    }
}

Test(rest, runner_beats_drains_and_comes_back)
{
    struct pj_runner_beat beat = {.name = "r1",
                                  .instance = "i1",
                                  .version = "1",
                                  .state = "ready",
                                  .slots = 4,
                                  .tasks = "a,b"};
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    bool drain = true;

    for (int i = 0; i < 3; i++) {
        if (i == 1) {
            pj_runner_drain_cmd(&cmd, "r1", true);
            PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

            cr_assert_eq(pj_runner_drain_reply(reply, &err), 0);
        }
        beat.instance = i == 2 ? "i2" : "i1";
        pj_runner_beat_cmd(&cmd, &beat);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_runner_beat_reply(reply, &drain, &err), 0);
        cr_assert_eq(drain, i == 1, "a new process under the name starts afresh");
    }
    pj_runner_list_cmd(&cmd);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
        PJ_CLEANUP(pj_json_decrefp) json_t *list = NULL;

        cr_assert_eq(pj_runner_list_reply(reply, &list, &err), 0);
        cr_assert_eq(json_array_size(list), 1);
        cr_assert_str_eq(pj_json_str(json_array_get(list, 0), "state", ""), "ready");
        cr_assert_eq(json_array_size(json_object_get(json_array_get(list, 0), "tasks")), 2);
    }
}

Test(rest, audit_is_read_newest_first)
{
    struct pj_audit entry = {.actor = "u1", .action = "task.publish", .target = "t1"};
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    for (int i = 0; i < 3; i++) {
        entry.detail = i == 2 ? "last" : "earlier";
        pj_audit_add_cmd(&cmd, &entry);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
    }
    pj_audit_list_cmd(&cmd, NULL, 2);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    cr_assert_eq(pj_audit_list_reply(reply, &doc, &err), 0);
    cr_assert_eq(json_array_size(json_object_get(doc, "items")), 2);
    cr_assert_str_eq(pj_json_str(json_array_get(json_object_get(doc, "items"), 0), "detail", ""),
                     "last");
}
