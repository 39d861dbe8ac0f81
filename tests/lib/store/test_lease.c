#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/keys.h"
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

TestSuite(lease, .init = up, .fini = down);

Test(lease, task_goes_from_queue_to_end_once)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_finished done;
    struct pj_err err = {0};
    struct pj_task task;
    struct pj_cmd cmd = {0};

    make_task(&f, "user1", false, id);
    cr_assert_eq(take(&f, "r1", 1, &lease, 15000), 0, "a queued task is not for runners");
    pj_task_execute_cmd(&cmd, id, -1);
    cr_assert_eq(run_move(&f, &cmd, &task, &err), 0, "%s", err.message);
    cr_assert_eq(task.status, PJ_TASK_RUNNING);
    cr_assert_eq(task.stage, PJ_STAGE_WAITING);
    pj_task_release(&task);

    take_one(&f, "r1", &lease);
    cr_assert_str_eq(lease.task->id, id);
    cr_assert_gt(lease.epoch, 0);
    cr_assert_eq(lease.deliveries, 1);
    cr_assert_eq(lease.next_n, 1);
    cr_assert_eq(lease.until_ms - lease.now_ms, 15000);
    cr_assert_eq(lease.deadline_ms - lease.now_ms, 600000);
    cr_assert_eq(finish_as(&f, id, lease.epoch, PJ_TASK_COMPLETED, NULL, &done, &err), 0, "%s",
                 err.message);
    cr_assert_not(done.repeated);
    cr_assert_eq(finish_as(&f, id, lease.epoch, PJ_TASK_COMPLETED, NULL, &done, &err), 0);
    cr_assert(done.repeated, "the same finish again is answered as done");
    cr_assert_lt(finish_as(&f, id, lease.epoch, PJ_TASK_FAILED, "task_timeout", &done, &err), 0);
    cr_assert_str_eq(err.code, "stale_lease");
    cr_assert_eq(status_of(&f, id), PJ_TASK_COMPLETED);
    cr_assert_eq(notices(&f), 1, "one notification");
    cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:lease", NULL), 0);
    cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:deadline", NULL), 0);
    cr_assert_eq(ask_int(&f, "HLEN", "pj:{p0}:run", NULL), 0);
    cr_assert_eq(ask_int(&f, "XLEN", "pj:{p0}:ready", NULL), 0);
    pj_leases_release(&lease, 1);
}

Test(lease, publishing_a_kept_patch_leaves_no_error_behind)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_err err = {0};
    struct pj_task task;
    struct pj_cmd cmd = {0};

    make_task(&f, "user1", true, id);
    take_one(&f, "r1", &lease);
    pj_lease_patch_cmd(&cmd, id, lease.epoch, pj_view_of("--- a\n+++ b\n"));
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_lease_write_reply(reply, &err), 0, "%s", err.message);
    }
    cr_assert_eq(finish_as(&f, id, lease.epoch, 0, "patch_policy", NULL, &err), 0);
    pj_leases_release(&lease, 1);
    pj_task_publish_cmd(&cmd, id);
    cr_assert_eq(run_move(&f, &cmd, &task, &err), 0, "%s", err.message);
    cr_assert_null(task.error.code);
    cr_assert_eq(task.attempt, 1);
    pj_task_release(&task);
    take_one(&f, "r1", &lease);
    cr_assert_str_eq(lease.task->mode, "publish");
    cr_assert_eq(finish_as(&f, id, lease.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0);
    pj_leases_release(&lease, 1);
    pj_task_get_cmd(&cmd, id);
    cr_assert_eq(run_move(&f, &cmd, &task, &err), 0);
    cr_assert_eq(task.status, PJ_TASK_COMPLETED);
    cr_assert_null(task.error.code);
    cr_assert_null(task.error.detail);
    pj_task_release(&task);
    cr_assert_eq(notices(&f), 2, "each end tells");
}

Test(lease, second_execute_is_refused_with_the_status)
{
    char id[PJ_ID_SIZE];
    struct pj_err err = {0};
    struct pj_cmd cmd = {0};

    make_task(&f, "user1", true, id);
    pj_task_execute_cmd(&cmd, id, -1);
    cr_assert_lt(run_move(&f, &cmd, NULL, &err), 0);
    cr_assert_eq(err.cls, PJ_E_CONFLICT);
    cr_assert_str_eq(err.code, "not_queued");
    cr_assert_not_null(strstr(err.message, "running"));
}

static int append_line(const char *id, int64_t epoch, int64_t attempt, int64_t first, int64_t *next,
                       struct pj_err *err)
{
    struct pj_event event = {
        .attempt = attempt, .n = first, .ts_ms = 1, .message = pj_view_of("line")};
    struct pj_cmd cmd = {0};
    struct pj_str text;

    pj_str_init(&text, 4096);
    cr_assert_eq(pj_event_encode(&event, &text), 0);
    (void)pj_str_putc(&text, '\n');
    pj_events_append_cmd(&cmd, id, epoch, attempt, first, 1, pj_view_n(text.data, text.len));
    pj_str_release(&text);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

    return pj_events_append_reply(reply, next, err);
}

Test(lease, late_writer_changes_nothing)
{
    char id[PJ_ID_SIZE];
    struct pj_lease old, new;
    struct pj_reaped reaped[8];
    struct pj_err err = {0};
    struct pj_cmd cmd = {0};
    int64_t next;

    make_task(&f, "user1", true, id);
    take_one(&f, "r1", &old);
    cr_assert_eq(append_line(id, old.epoch, 1, 1, &next, &err), 0, "%s", err.message);
    reaper_ready(&f);
    cr_assert_eq(reap(&f, 15000, reaped, 8), 0, "a live lease stays");
    expire_now(&f, "pj:{p0}:lease", id);
    cr_assert_eq(reap(&f, 15000, reaped, 8), 1);
    cr_assert_eq(reaped[0].kind, PJ_REAPED_REQUEUED);
    cr_assert_str_eq(reaped[0].task_id, id);
    cr_assert_str_eq(reaped[0].runner, "r1");

    /* Before anybody has it again, and after. */
    cr_assert_lt(append_line(id, old.epoch, 1, 3, &next, &err), 0);
    cr_assert_str_eq(err.code, "stale_lease");
    take_one(&f, "r2", &new);
    cr_assert_gt(new.epoch, old.epoch);
    cr_assert_eq(new.deliveries, 2);
    cr_assert_eq(new.next_n, 3, "the reaper's entry is number 2");
    cr_assert_lt(append_line(id, old.epoch, 1, 3, &next, &err), 0);
    pj_lease_stage_cmd(&cmd, id, old.epoch, PJ_STAGE_PUSHING);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_lt(pj_lease_write_reply(reply, &err), 0);
    }
    cr_assert_lt(finish_as(&f, id, old.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0);
    cr_assert_eq(append_line(id, new.epoch, 1, 3, &next, &err), 0, "%s", err.message);
    cr_assert_eq(next, 4);
    cr_assert_eq(finish_as(&f, id, new.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0);
    pj_leases_release(&old, 1);
    pj_leases_release(&new, 1);
}

/* Redis comes back without its last second: who took the task then and who takes it now are two. */
Test(lease, a_take_that_redis_forgot_shares_its_epoch_with_no_other)
{
    char id[PJ_ID_SIZE];
    struct pj_lease forgotten, lease;
    struct pj_renew item;
    enum pj_renewed answer;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    int64_t next;

    make_task(&f, "user1", true, id);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *saved = test_redis_words(f.redis, "SAVE", NULL);
    take_one(&f, "r1", &forgotten);
    test_redis_restart(&f.server);
    pj_redis_free(f.redis);
    f.redis = test_redis_connect(&f.server);
    take_one(&f, "r2", &lease);
    cr_assert_str_eq(lease.task->id, id);
    cr_assert_eq(lease.deliveries, 1, "the other one was forgotten");

    item = (struct pj_renew){id, forgotten.epoch};
    pj_lease_renew_cmd(&cmd, 0, 15000, &item, 1);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_lease_renew_reply(reply, &answer, 1, &err), 0);
    }
    cr_assert_eq(answer, PJ_RENEW_STALE);
    cr_assert_lt(append_line(id, forgotten.epoch, 1, 1, &next, &err), 0);
    cr_assert_lt(finish_as(&f, id, forgotten.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0);
    cr_assert_str_eq(err.code, "stale_lease");
    cr_assert_eq(finish_as(&f, id, lease.epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0);
    pj_leases_release(&forgotten, 1);
    pj_leases_release(&lease, 1);
}

Test(lease, draining_runner_uses_up_no_delivery)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    bool requeued = false;

    make_task(&f, "user1", true, id);
    for (int i = 0; i < 5; i++) {
        take_one(&f, "r1", &lease);
        cr_assert_eq(lease.deliveries, 1);
        pj_lease_release_cmd(&cmd, id, lease.epoch, false, NULL);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_lease_release_reply(reply, &requeued, &err), 0, "%s", err.message);
        cr_assert(requeued);
        pj_leases_release(&lease, 1);
    }
}

Test(lease, renew_tells_fine_stale_and_cancel)
{
    char a[PJ_ID_SIZE], b[PJ_ID_SIZE], c[PJ_ID_SIZE];
    struct pj_lease lease[3];
    struct pj_renew items[3];
    enum pj_renewed answers[3];
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};

    make_task(&f, "user1", true, a);
    make_task(&f, "user1", true, b);
    make_task(&f, "user1", true, c);
    cr_assert_eq(take(&f, "r1", 3, lease, 15000), 3);
    cr_assert_eq(finish_as(&f, b, lease[1].epoch, PJ_TASK_COMPLETED, NULL, NULL, &err), 0);
    pj_task_cancel_cmd(&cmd, c);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0, "%s", err.message);
    cr_assert_eq(status_of(&f, c), PJ_TASK_RUNNING, "not before nothing of it runs");
    for (size_t i = 0; i < 3; i++)
        items[i] = (struct pj_renew){i == 0 ? a : i == 1 ? b : c, lease[i].epoch};
    pj_lease_renew_cmd(&cmd, 0, 15000, items, 3);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_lease_renew_reply(reply, answers, 3, &err), 0, "%s", err.message);
    }
    cr_assert_eq(answers[0], PJ_RENEWED);
    cr_assert_eq(answers[1], PJ_RENEW_STALE);
    cr_assert_eq(answers[2], PJ_RENEW_CANCEL);
    cr_assert_eq(finish_as(&f, c, lease[2].epoch, PJ_TASK_CANCELLED, NULL, NULL, &err), 0);
    cr_assert_eq(status_of(&f, c), PJ_TASK_CANCELLED);
    cr_assert_eq(notices(&f), 1, "a cancel notifies nobody");
    pj_leases_release(lease, 3);
}

Test(lease, cancel_before_start_is_at_once)
{
    char queued[PJ_ID_SIZE], waiting[PJ_ID_SIZE];
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_lease lease;

    make_task(&f, "user1", false, queued);
    make_task(&f, "user1", true, waiting);
    pj_task_cancel_cmd(&cmd, queued);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0);
    pj_task_cancel_cmd(&cmd, waiting);
    cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0);
    cr_assert_eq(status_of(&f, queued), PJ_TASK_CANCELLED);
    cr_assert_eq(status_of(&f, waiting), PJ_TASK_CANCELLED);
    cr_assert_eq(take(&f, "r1", 1, &lease, 15000), 0);
    cr_assert_eq(ask_int(&f, "XLEN", "pj:{p0}:ready", NULL), 0, "the bell went with the take");
    pj_task_cancel_cmd(&cmd, queued);
    cr_assert_lt(run_move(&f, &cmd, NULL, &err), 0);
    cr_assert_str_eq(err.code, "not_cancellable");
}

/* Ends the task as completed, with a pull request at `url` when there is one. */
static void complete(const char *id, struct pj_lease *lease, const char *url)
{
    struct pj_cmd cmd = {0};
    struct redisReply *reply = NULL;
    struct pj_finished done;
    struct pj_outcome outcome;
    struct pj_err err = {0};

    pj_outcome_init(&outcome);
    pj_outcome_complete(&outcome);
    outcome.pr_url = pj_strdup_or_null(url);
    pj_lease_finish_cmd(&cmd, id, lease->epoch, 0, &outcome);
    cr_assert_eq(pj_redis_do(f.redis, &cmd, &reply, &err), 0, "%s", err.message);
    cr_assert_eq(pj_lease_finish_reply(reply, &done, &err), 0, "%s", err.message);
    pj_reply_freep(&reply);
    pj_cmd_release(&cmd);
    pj_outcome_release(&outcome);
    pj_leases_release(lease, 1);
}

Test(lease, a_further_round_needs_an_open_pull_request)
{
    static const struct {
        const char *url, *state;
        bool allowed;
    } rows[] = {
        {NULL, NULL, false},
        {"https://h/o/r/pull/1", NULL, true},
        {"https://h/o/r/pull/1", "open", true},
        {"https://h/o/r/pull/1", "closed", false},
        {"https://h/o/r/pull/1", "merged", false},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        char id[PJ_ID_SIZE];
        struct pj_lease lease;
        struct pj_cmd cmd = {0};
        struct pj_err err = {0};

        make_task(&f, "user1", true, id);
        take_one(&f, "r1", &lease);
        complete(id, &lease, rows[i].url);
        if (rows[i].state) {
            pj_task_pr_state_cmd(&cmd, id, rows[i].state);
            cr_assert_eq(run_move(&f, &cmd, NULL, &err), 0, "%s", err.message);
        }
        pj_task_retry_cmd(&cmd, id, NULL, false);
        cr_assert_eq(run_move(&f, &cmd, NULL, &err), rows[i].allowed ? 0 : -1, "row %zu: %s", i,
                     err.message);
        if (!rows[i].allowed)
            cr_assert_str_eq(err.code, "not_retryable");
    }
}

Test(lease, retry_is_a_new_attempt_with_the_old_log_kept)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_task task;
    struct pj_events_page page;
    int64_t next;

    make_task(&f, "user1", true, id);
    take_one(&f, "r1", &lease);
    cr_assert_eq(append_line(id, lease.epoch, 1, 1, &next, &err), 0);
    cr_assert_eq(finish_as(&f, id, lease.epoch, 0, "no_changes", NULL, &err), 0);
    pj_leases_release(&lease, 1);
    pj_task_retry_cmd(&cmd, id, "look again", true);
    cr_assert_eq(run_move(&f, &cmd, &task, &err), 0, "%s", err.message);
    cr_assert_eq(task.attempt, 2);
    cr_assert_str_eq(task.feedback, "look again");
    cr_assert_null(task.error.code);
    pj_task_release(&task);
    take_one(&f, "r1", &lease);
    cr_assert_eq(lease.next_n, 1);
    cr_assert_lt(append_line(id, lease.epoch, 1, 2, &next, &err), 0);
    cr_assert_str_eq(err.code, "stale_attempt");
    cr_assert_eq(append_line(id, lease.epoch, 2, 1, &next, &err), 0);
    pj_events_page_cmd(&cmd, id, 0, 0, 100, 0);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_events_page_reply(reply, &page, &err), 0, "%s", err.message);
    }
    cr_assert_eq(page.count, 2);
    cr_assert_eq(page.last_attempt, 2);
    cr_assert_eq(page.last_n, 1);
    pj_events_page_release(&page);
    pj_leases_release(&lease, 1);
}

Test(lease, workflow_finishes_at_the_current_epoch)
{
    char id[PJ_ID_SIZE];
    struct pj_lease lease;
    struct pj_cmd cmd = {0};
    struct pj_err err = {0};
    struct pj_outcome outcome;

    make_task(&f, "user1", true, id);
    take_one(&f, "r1", &lease);
    pj_lease_external_cmd(&cmd, id, lease.epoch);
    {
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);

        cr_assert_eq(pj_lease_write_reply(reply, &err), 0, "%s", err.message);
    }
    cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:lease", NULL), 0);
    cr_assert_eq(ask_int(&f, "ZCARD", "pj:{p0}:deadline", NULL), 1);
    for (int attempt = 2; attempt >= 1; attempt--) {
        pj_outcome_init(&outcome);
        pj_outcome_complete(&outcome);
        pj_lease_finish_cmd(&cmd, id, -1, attempt, &outcome);
        PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = run_cmd(&f, &cmd);
        struct pj_finished done;
        int rc = pj_lease_finish_reply(reply, &done, &err);

        cr_assert_eq(rc, attempt == 1 ? 0 : -1);
        if (attempt == 2)
            cr_assert_str_eq(err.code, "stale_attempt");
        pj_outcome_release(&outcome);
    }
    cr_assert_eq(status_of(&f, id), PJ_TASK_COMPLETED);
    cr_assert_lt(finish_as(&f, id, -1, PJ_TASK_FAILED, NULL, NULL, &err), 0);
    cr_assert_str_eq(err.code, "not_running");
    cr_assert_eq(ask_int(&f, "SCARD", "pj:{p0}:external", NULL), 0);
    pj_leases_release(&lease, 1);
}
