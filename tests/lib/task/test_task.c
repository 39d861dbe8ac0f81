#include <criterion/criterion.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/task/event.h"
#include "lib/task/outcome.h"
#include "lib/task/repo.h"
#include "lib/task/task.h"

static struct pj_task sample(void)
{
    struct pj_task task;

    pj_task_init(&task);
    task.id = pj_strdup("0mi9z8y7x00abcdefghijk");
    task.repository_id = pj_strdup("0mi9z8y7x00repository1");
    task.owner = pj_strdup("u1");
    task.title = pj_strdup("Say \"hello\"");
    task.status = PJ_TASK_QUEUED;
    task.executor = PJ_EXECUTOR_SANDBOX;
    task.created_ms = 1700000000123;
    return task;
}

Test(task, shows_exactly_the_members_of_the_contract_and_null_for_what_is_absent)
{
    static const char *const members[] = {
        "id",        "repositoryId", "owner",     "title",      "description", "status",
        "stage",     "executor",     "priority",  "attempt",    "model",       "branch",
        "prUrl",     "pr",           "baseSha",   "runner",     "question",    "answer",
        "error",     "checks",       "usage",     "limits",     "source",      "links",
        "createdAt", "executedAt",   "startedAt", "finishedAt",
    };
    static const char *const nulls[] = {"stage",     "model",      "branch",     "prUrl",
                                        "pr",        "baseSha",    "runner",     "question",
                                        "answer",    "error",      "source",     "executedAt",
                                        "startedAt", "finishedAt", "description"};
    static const char *const inner[] = {"epoch", "deliveries", "loggedN", "leased",
                                        "mode",  "cancelMs",   "logsGone"};
    struct pj_task task = sample();
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = pj_task_json(&task);

    for (size_t i = 0; i < PJ_COUNT_OF(members); i++)
        cr_assert_not_null(json_object_get(doc, members[i]), "%s", members[i]);
    for (size_t i = 0; i < PJ_COUNT_OF(nulls); i++)
        cr_assert(json_is_null(json_object_get(doc, nulls[i])), "%s", nulls[i]);
    for (size_t i = 0; i < PJ_COUNT_OF(inner); i++)
        cr_assert_null(json_object_get(doc, inner[i]), "%s", inner[i]);
    cr_assert_str_eq(pj_json_str(doc, "createdAt", ""), "2023-11-14T22:13:20.123Z");
    cr_assert_eq(pj_json_i64(doc, "attempt", 0), 1);
    cr_assert(json_is_null(json_object_get(json_object_get(doc, "usage"), "costUsd")));
    cr_assert_str_eq(pj_json_str(json_object_get(doc, "links"), "self", ""),
                     "/api/v1/tasks/0mi9z8y7x00abcdefghijk");
    pj_task_release(&task);
}

Test(task, shows_what_ran_where_nothing_was_chosen_and_chooses_nothing_by_it)
{
    struct pj_task task = sample(), job;
    PJ_CLEANUP(pj_json_decrefp) json_t *shown = NULL, *wire = NULL;
    struct pj_err err = {0};

    task.ran.provider = pj_strdup("openai");
    task.ran.name = pj_strdup("m");
    shown = pj_task_json(&task);
    cr_assert_str_eq(pj_json_str(json_object_get(shown, "model"), "name", ""), "m");
    cr_assert_null(json_object_get(shown, "ran"));
    wire = pj_task_wire(&task);
    cr_assert_eq(pj_task_from_wire(wire, &job, &err), 0, "%s", err.message);
    cr_assert_null(job.model.provider);
    pj_task_release(&job);
    pj_task_release(&task);
}

Test(task, travels_whole_to_the_job)
{
    struct pj_task task = sample(), back;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL, *again = NULL;
    struct pj_err err = {0};

    task.model.name = pj_strdup("m");
    task.ran.provider = pj_strdup("openai");
    task.ran.name = pj_strdup("other");
    task.error.code = pj_strdup("llm_timeout");
    task.error.upstream.status = 529;
    task.pr.url = pj_strdup("https://h/p/1");
    task.limits.cost_microusd = 1500000;
    task.epoch = 7;
    task.logged_n = 41;
    task.mode = pj_strdup("publish");
    task.checks = json_pack("[{s:s}]", "command", "make");
    doc = pj_task_wire(&task);
    cr_assert_eq(pj_task_from_wire(doc, &back, &err), 0, "%s", err.message);
    again = pj_task_wire(&back);
    cr_assert(json_equal(doc, again));
    cr_assert_eq(back.limits.tokens, -1);
    cr_assert_eq(back.limits.cost_microusd, 1500000);
    cr_assert_eq(back.usage.cost_microusd, -1);
    cr_assert_null(back.model.provider);
    (void)json_object_set_new(doc, "surprise", json_true());
    pj_task_release(&back);
    cr_assert_lt(pj_task_from_wire(doc, &back, &err), 0);
    cr_assert_not_null(strstr(err.message, "surprise"));
    pj_task_release(&task);
}

Test(state, moves_start_where_the_table_says)
{
    static const struct {
        enum pj_task_move move;
        unsigned from; /* bits of enum pj_task_status */
        const char *refusal;
    } rules[] = {
        {PJ_MOVE_EXECUTE, 1U << PJ_TASK_QUEUED, "not_queued"},
        {PJ_MOVE_FINISH, 1U << PJ_TASK_RUNNING, "not_running"},
        {PJ_MOVE_CANCEL, 1U << PJ_TASK_QUEUED | 1U << PJ_TASK_RUNNING, "not_cancellable"},
        {PJ_MOVE_ANSWER, 1U << PJ_TASK_NEEDS_CLARIFICATION, "not_waiting_for_answer"},
        {PJ_MOVE_RETRY,
         1U << PJ_TASK_FAILED | 1U << PJ_TASK_NEEDS_REVIEW | 1U << PJ_TASK_CANCELLED |
             1U << PJ_TASK_COMPLETED,
         "not_retryable"},
        {PJ_MOVE_PUBLISH, 1U << PJ_TASK_NEEDS_REVIEW, "not_publishable"},
        {PJ_MOVE_EDIT, 1U << PJ_TASK_QUEUED, "not_queued"},
        {PJ_MOVE_DELETE, (1U << PJ_TASK_STATUS_COUNT) - 1 - (1U << PJ_TASK_RUNNING),
         "still_running"},
    };

    cr_assert_eq(PJ_COUNT_OF(rules), PJ_MOVE_COUNT);
    for (size_t i = 0; i < PJ_COUNT_OF(rules); i++) {
        cr_assert_str_eq(pj_task_move_refusal(rules[i].move), rules[i].refusal);
        for (unsigned s = 0; s < PJ_TASK_STATUS_COUNT; s++)
            cr_assert_eq(pj_task_may(rules[i].move, s), (rules[i].from >> s & 1) == 1,
                         "move %zu from %s", i, pj_task_status_words[s]);
    }
}

Test(state, words_are_the_contracts)
{
    static const char *const words[] = {"queued",   "running",      "completed",
                                        "failed",   "needs_review", "needs_clarification",
                                        "cancelled"};

    for (int i = 0; i < PJ_TASK_STATUS_COUNT; i++) {
        cr_assert_str_eq(pj_task_status_word(i), words[i]);
        cr_assert_eq(pj_word_index(pj_task_status_words, words[i]), i);
        cr_assert_eq(pj_task_is_ended(i), i > PJ_TASK_RUNNING);
    }
    cr_assert_eq(pj_word_index(pj_task_status_words, "done"), -1);
    cr_assert_eq(pj_word_index(pj_task_status_words, NULL), -1);
}

static void encode(struct pj_event *event, struct pj_str *out)
{
    pj_str_init(out, PJ_EVENT_ENTRY_MAX);
    cr_assert_eq(pj_event_encode(event, out), 0);
}

Test(event, entry_has_the_contracts_form)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *data = json_pack("{s:s, s:i}", "tool", "run", "n", 99);
    struct pj_event event = {.attempt = 2,
                             .n = 7,
                             .ts_ms = 1700000000123,
                             .stream = PJ_STREAM_AGENT,
                             .type = PJ_EVENT_TOOL,
                             .message = pj_view_of("say \"hi\"\n\x1b[0m"),
                             .data = data};
    struct pj_str out;
    int64_t attempt, n;

    encode(&event, &out);
    cr_assert_str_eq(out.data, "{\"id\":\"2-7\",\"attempt\":2,\"n\":7,\"ts\":\"2023-11-14T22:13:20."
                               "123Z\",\"stream\":\"agent\",\"type\":\"tool\","
                               "\"message\":\"say \\\"hi\\\"\\n\\u001b[0m\",\"tool\":\"run\"}");
    cr_assert_eq(pj_event_line_id(pj_view_n(out.data, out.len), &attempt, &n), 0);
    cr_assert_eq(attempt, 2);
    cr_assert_eq(n, 7);
    pj_str_release(&out);
}

Test(event, any_bytes_become_valid_json_of_bounded_length)
{
    size_t size = PJ_EVENT_MESSAGE_MAX * 2;
    char *bytes = pj_alloc(size, 1);

    for (int round = 0; round < 4; round++) {
        struct pj_event event = {
            .attempt = 1, .n = 1, .message = pj_view_n(bytes, size - (size_t)round)};
        PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
        struct pj_err err = {0};
        struct pj_str out;

        for (size_t i = 0; i < size; i++) /* NUL, escapes, cut and stray UTF-8 */
            bytes[i] = round == 0   ? (char)(i * 31)
                       : round == 1 ? "\xe2\x82\xac"[(i + 1) % 3]
                       : round == 2 ? '\x01'
                                    : (char)0xff;
        encode(&event, &out);
        cr_assert_eq(pj_json_parse(pj_view_n(out.data, out.len), &doc, &err), 0, "round %d: %s",
                     round, err.message);
        cr_assert_null(strchr(out.data, '\n'));
        cr_assert_not_null(strstr(pj_json_str(doc, "message", ""), " [cut]"));
        pj_str_release(&out);
    }
    free(bytes);
}

Test(event, ids_are_read_strictly)
{
    static const char *const bad[] = {"1",   "-",     "1-",   "-1",   "a-1",
                                      "1-b", "1-1-1", "1--1", " 1-1", "99999999999-1"};
    struct pj_err err = {0};
    int64_t attempt, n;

    cr_assert_eq(pj_event_id_parse(pj_view_of("3-14"), &attempt, &n, &err), 0);
    cr_assert_eq(attempt * 100 + n, 314);
    cr_assert_eq(pj_event_id_parse(pj_view_of(""), &attempt, &n, &err), 0);
    cr_assert_eq(attempt + n, 0);
    for (size_t i = 0; i < PJ_COUNT_OF(bad); i++)
        cr_assert_lt(pj_event_id_parse(pj_view_of(bad[i]), &attempt, &n, &err), 0, "%s", bad[i]);
}

/* CONTRACT.md section 9, row by row. */
Test(outcome, ends_are_the_contracts)
{
    static const struct {
        const char *codes;
        enum pj_task_status status;
        bool retryable;
    } rows[] = {
        {"task_timeout llm_timeout llm_service llm_rate_limited github_service github_rate_limited "
         "pr_failed runner_lost",
         PJ_TASK_FAILED, true},
        {"llm_quota llm_auth llm_model_not_found llm_context llm_refused model_protocol "
         "model_unpriced token_limit cost_limit turn_limit",
         PJ_TASK_FAILED, false},
        {"github_auth github_permission repository_unavailable repository_analysis setup_failed "
         "sandbox_unavailable no_changes",
         PJ_TASK_FAILED, false},
        {"patch_malformed patch_conflict patch_policy push_conflict checks_failed",
         PJ_TASK_NEEDS_REVIEW, true},
        {"needs_clarification", PJ_TASK_NEEDS_CLARIFICATION, false},
    };
    size_t count = 0;

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        struct pj_view rest = pj_view_of(rows[i].codes), code;

        while (pj_view_cut(&rest, ' ', &code)) {
            PJ_CLEANUP(pj_freep) char *word = pj_strndup(code.p, code.n);
            const struct pj_end *end = pj_end_find(word);

            cr_assert_not_null(end, "%s", word);
            cr_assert_eq(end->status, rows[i].status, "%s", word);
            cr_assert_eq(end->retryable, rows[i].retryable, "%s", word);
            cr_assert(end->title[0] && end->remedy[0], "%s", word);
            count++;
        }
    }
    for (size_t i = 0; pj_ends[i].code; i++) {
        cr_assert(i == 0 || strcmp(pj_ends[i - 1].code, pj_ends[i].code) < 0, "sorted: %s",
                  pj_ends[i].code);
        count--;
    }
    cr_assert_eq(count, 0, "no row that the contract does not know");
}

Test(outcome, survives_its_pipe)
{
    struct pj_outcome out, back;
    struct pj_err err = {0};
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    pj_outcome_init(&out);
    pj_outcome_fail(&out, "repository_unavailable", "no such host", "");
    pj_outcome_upstream(&out, 404, "Not Found", "req1");
    pj_str_set(&out.patch, "--- a\n+++ b\n");
    doc = pj_outcome_json(&out);
    cr_assert_eq(pj_outcome_from_json(doc, &back, &err), 0, "%s", err.message);
    cr_assert_eq(back.status, PJ_TASK_FAILED);
    cr_assert(back.repository_invalid);
    cr_assert_str_eq(back.error.code, "repository_unavailable");
    cr_assert_not_null(strstr(back.error.remedy, "verify"));
    cr_assert_eq(back.error.upstream.status, 404);
    cr_assert_str_eq(back.patch, "--- a\n+++ b\n");
    pj_outcome_release(&back);
    pj_outcome_complete(&out);
    cr_assert_null(out.error.code);
    (void)json_object_set_new(doc, "status", json_string("running"));
    cr_assert_lt(pj_outcome_from_json(doc, &back, &err), 0, "no end");
    pj_outcome_release(&out);
}

Test(repo, shows_no_secret_and_says_where_the_credential_is_from)
{
    struct pj_repo repo, back;
    PJ_CLEANUP(pj_json_decrefp) json_t *shown = NULL, *wire = NULL;
    PJ_CLEANUP(pj_freep) char *text = NULL;
    struct pj_err err = {0};

    pj_repo_init(&repo);
    repo.id = pj_strdup("r");
    repo.credential_sealed = pj_strdup("SECRET1");
    repo.webhook_sealed = pj_strdup("SECRET2");
    repo.webhook_old_sealed = pj_strdup("SECRET3");
    repo.credential_source = PJ_REPO_CREDENTIAL_REPOSITORY;
    repo.trigger_label = pj_strdup("pj");
    repo.publish.author_name = pj_strdup("Bot");
    repo.publish.allow = pj_alloc(2, sizeof(char *));
    repo.publish.allow[0] = pj_strdup("secrets");
    shown = pj_repo_json(&repo);
    text = pj_json_text(shown);
    cr_assert_null(strstr(text, "SECRET"));
    cr_assert_str_eq(pj_json_str(json_object_get(shown, "credential"), "source", ""), "repository");
    cr_assert(pj_json_bool(json_object_get(shown, "credential"), "set", false));
    cr_assert_str_eq(pj_json_str(shown, "codeRabbit", ""), "on");
    cr_assert_str_eq(pj_json_str(json_object_get(shown, "trigger"), "label", ""), "pj");
    wire = pj_repo_wire(&repo);
    cr_assert_eq(pj_repo_from_wire(wire, &back, &err), 0, "%s", err.message);
    cr_assert_str_eq(back.webhook_sealed, "SECRET2");
    cr_assert_eq(back.executor, -1);
    cr_assert_str_eq(back.publish.author_name, "Bot");
    cr_assert(pj_repo_allows(&back.publish, "secrets"));
    cr_assert_not(pj_repo_allows(&back.publish, "workflows"));
    cr_assert_eq(back.publish.co_author, 1);
    pj_repo_release(&back);
    /* One that was stored before there was such a member. */
    (void)json_object_del(wire, "publish");
    cr_assert_eq(pj_repo_from_wire(wire, &back, &err), 0, "%s", err.message);
    cr_assert_eq(back.publish.co_author, 1);
    pj_repo_release(&back);
    pj_repo_release(&repo);
}
