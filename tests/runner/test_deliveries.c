/* Deliveries by the real outbox process when a receiver takes its time. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/lease.h"
#include "lib/store/outbox.h"
#include "runner/patience.h"
#include "tests/runner/fleet.h"
#include "tests/support/stand_in.h"

static void answer(struct stand_in_exchange *x, void *arg)
{
    (void)arg;
    stand_in_reply_text(x, 204, "text/plain", "");
}

static void refuse(struct stand_in_exchange *x, void *arg)
{
    (void)arg;
    stand_in_reply_text(x, 500, "text/plain", "");
}

static void refuse_when_released(void *ctx, const struct stand_in_request *r,
                                 struct stand_in_exchange *x)
{
    (void)ctx;
    (void)r;
    stand_in_hold(x, refuse, NULL);
}

static void wait_for_release(void *ctx, const struct stand_in_request *r,
                             struct stand_in_exchange *x)
{
    (void)ctx;
    (void)r;
    stand_in_hold(x, answer, NULL);
}

static struct redisReply *ask(struct fleet *fleet, struct pj_cmd *cmd)
{
    struct redisReply *reply = NULL;
    struct pj_err err;

    cr_assert_eq(pj_redis_do(fleet->store, cmd, &reply, &err), 0, "%s", err.message);
    pj_cmd_release(cmd);
    return reply;
}

/* Ended before there is a runner: its notification is due when one comes. */
static void end_task(struct fleet *f, const char *repo)
{
    PJ_CLEANUP(pj_freep) char *id = fleet_task(f, repo, "Greet the world", NULL);
    struct pj_outcome outcome;
    struct pj_finished done;
    struct pj_cmd cmd = {0};
    struct pj_err err;

    pj_outcome_init(&outcome);
    outcome.status = PJ_TASK_COMPLETED;
    pj_lease_finish_cmd(&cmd, id, -1, 0, &outcome);
    pj_outcome_release(&outcome);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = ask(f, &cmd);

    cr_assert_eq(pj_lease_finish_reply(reply, &done, &err), 0, "%s", err.message);
}

/* How many webhooks there are, how many of them are on record as sent, and all their attempts. */
struct webhooks {
    size_t count, sent, spared;
    int64_t attempts;
};

static struct webhooks webhooks_of(struct fleet *f)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *list = NULL;
    struct webhooks sum = {0};
    struct pj_cmd cmd = {0};
    struct pj_err err;
    const json_t *item;
    size_t i;

    pj_outbox_list_cmd(&cmd, 0, NULL, NULL, 100);
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = ask(f, &cmd);

    cr_assert_eq(pj_outbox_list_reply(reply, &list, &err), 0, "%s", err.message);
    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        if (strcmp(pj_json_str(item, "kind", ""), "webhook") != 0)
            continue;
        sum.attempts += pj_json_i64(item, "attempts", 0);
        sum.sent += strcmp(pj_json_str(item, "state", ""), "sent") == 0;
        sum.spared += strncmp(pj_json_str(item, "lastError", ""), "not tried: ", 11) == 0;
        sum.count++;
    }
    return sum;
}

static struct fleet f;
static struct stand_in *inbox;

/* A runner with that many ends to tell of, the first webhook of which has reached its receiver. */
static void up_with(int ends, stand_in_handler *handle)
{
    inbox = stand_in_start(0, handle, NULL);
    fleet_start(&f);
    PJ_CLEANUP(pj_freep) char *hook = pj_asprintf("%s/ends", stand_in_url(inbox));
    fleet_set(&f, "PJ_NOTIFY_URL", hook);
    fleet_set(&f, "PJ_NOTIFY_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    PJ_CLEANUP(pj_freep) char *remote = fleet_remote(&f, "sample");
    PJ_CLEANUP(pj_freep) char *repo = fleet_repo(&f, remote, NULL);
    for (int i = 0; i < ends; i++)
        end_task(&f, repo);
    fleet_runner(&f, 0);
    cr_assert(stand_in_wait(inbox, 1, FLEET_SOON_MS));
}

/* What is claimed is hidden from other runners for a time. Were all that is due claimed at once, the first receiver could let that time
 * pass for the others: another runner would deliver them, and then we. */
Test(deliveries, a_receiver_that_takes_its_time_uses_up_nobody_elses_claim)
{
    struct webhooks w;

    up_with(3, wait_for_release);
    w = webhooks_of(&f);
    cr_expect_eq(w.count, 3);
    cr_expect_eq(w.attempts, 1, "the one under way is claimed");
    stand_in_release(inbox);
    cr_assert(stand_in_wait(inbox, 3, FLEET_SOON_MS));
    fleet_stop(&f);
    cr_expect_eq(stand_in_count(inbox), 3, "each once");
    stand_in_stop(inbox);
}

/* Were its process ended with the runner, the delivery would be on nobody's record, and made again. */
Test(deliveries, a_runner_that_leaves_brings_its_delivery_to_an_end)
{
    struct webhooks w;

    up_with(2, wait_for_release);
    cr_assert_eq(kill(f.runner[0].pid, SIGTERM), 0);
    cr_expect_not(stand_in_wait_abandoned(inbox, 1, 1000), "it was ended in the middle");
    stand_in_release(inbox);
    cr_assert_eq(program_wait(&f.runner[0], FLEET_SOON_MS), 0);
    w = webhooks_of(&f);
    cr_expect_geq(w.sent, 1);
    cr_expect_eq(w.attempts, (int64_t)w.sent, "what was begun is done");
    fleet_stop(&f);
    stand_in_stop(inbox);
}

/* One that is slow to refuse would be tried for each of its records, one after the other, while everybody else's wait. */
Test(deliveries, a_receiver_that_is_slow_to_refuse_is_left_alone_for_a_while)
{
    int64_t deadline;
    struct webhooks w;

    up_with(4, refuse_when_released);
    cr_expect_not(stand_in_wait(inbox, 2, PATIENCE_SLOW_MS + 100), "one after the other");
    stand_in_release(inbox);
    deadline = pj_mono_ms() + FLEET_SOON_MS;
    do
        w = webhooks_of(&f);
    while (w.spared < 3 && pj_mono_ms() < deadline);
    cr_expect_geq(w.spared, 3);
    cr_expect_eq(w.sent, 0);
    cr_expect_eq(stand_in_count(inbox), 1, "it was asked once");
    fleet_stop(&f);
    stand_in_stop(inbox);
}

Test(deliveries, patience_is_with_those_who_answer)
{
    static struct patience p;
    char name[PATIENCE_NAME_SIZE], other[PATIENCE_NAME_SIZE];

    patience_name("https://inbox.example:8443/a/b?c", name);
    cr_assert_str_eq(name, "https://inbox.example:8443");
    cr_assert_eq(patience_rest_ms(&p, name, 1000), 0, "nobody is known");
    patience_note(&p, name, false, PATIENCE_SLOW_MS - 1, 1000);
    cr_assert_eq(patience_rest_ms(&p, name, 1000), 0, "it failed at once");
    patience_note(&p, name, false, 20000, 1000);
    cr_assert_eq(patience_rest_ms(&p, name, 1000), 200000);
    cr_assert_eq(patience_rest_ms(&p, name, 200999), 1);
    cr_assert_eq(patience_rest_ms(&p, name, 201000), 0);
    patience_note(&p, name, false, 3600000, 1000);
    cr_assert_eq(patience_rest_ms(&p, name, 1000), PATIENCE_REST_MAX_MS);
    patience_note(&p, name, true, 20000, 1000);
    cr_assert_eq(patience_rest_ms(&p, name, 1000), 0, "slow, but it took it");
    for (int i = 0; i <= PATIENCE_MAX; i++) {
        (void)snprintf(other, sizeof(other), "https://inbox-%d.example", i);
        patience_note(&p, other, false, 5000, 1000 + i);
    }
    cr_assert_gt(patience_rest_ms(&p, other, 2000), 0);
    cr_assert_eq(patience_rest_ms(&p, "https://inbox-0.example", 2000), 0, "the first gave way");
    cr_assert_gt(patience_rest_ms(&p, "https://inbox-1.example", 2000), 0);
}
