/* loop.c - one turn after the other: ask the model, carry out its calls in order, hand back the results. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/agent.h"
#include "runner/agent/diff.h"
#include "runner/agent/prompt.h"
#include "runner/agent/tools.h"

#define BAD_CALLS_MAX 3
#define IDLE_TURNS_MAX 3
#define REPEATS_MAX 8
#define TEXT_LOGGED_MAX 4000
#define DIFF_MAX ((size_t)8 << 20)
#define HISTORY_MAX                                                                                \
    ((size_t)800 << 10) /* bytes: below 272,000 tokens, from where providers charge more */

int agent_give_up(struct agent *a, const char *code, const char *why, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *frame = json_pack("{s:s, s:s, s:s}", "type", "fail", "code", code, "message", why);
    PJ_CLEANUP(pj_json_decrefp) json_t *reply = NULL;
    struct pj_err ignored;

    if (agent_send(a, frame, err) < 0)
        return -1;
    (void)!agent_recv(a, &reply, &ignored); /* so that the frame is read before we are gone */
    return pj_fail(err, PJ_E_PROTOCOL, "%s", why);
}

/* Ask for the next turn; compacts when the model's window or our own bound is passed. */
static int ask(struct agent *a, json_t **turn, struct pj_err *err)
{
    bool full = agent_history_bytes(a->messages) > HISTORY_MAX;

    for (;;) {
        PJ_CLEANUP(pj_json_decrefp) json_t *frame = NULL;
        const char *type;

        if (full && (a->just_compacted || !agent_compact(a->messages)))
            return agent_give_up(a, "llm_context", "the conversation has grown too long to go on",
                                 err);
        a->just_compacted = full;
        frame = json_pack("{s:s, s:s, s:O, s:O}", "type", "turn", "system", a->system, "messages",
                          a->messages, "tools", a->tools);
        if (agent_send(a, frame, err) < 0 || agent_recv(a, turn, err) < 0)
            return -1;
        type = pj_json_str(*turn, "type", "");
        if (strcmp(type, "turn") == 0)
            return 0;
        full = strcmp(type, "overflow") == 0;
        if (strcmp(type, "no_tools") == 0 && !a->diff_mode && !a->called) {
            if (diff_begin(a, err) < 0)
                return -1;
        } else if (!full) {
            pj_fail(err, PJ_E_PROTOCOL, "the gateway answered \"%.40s\" instead of a turn", type);
            json_decref(*turn);
            *turn = NULL;
            return -1;
        }
        json_decref(*turn);
        *turn = NULL;
    }
}

static void add_user(struct agent *a, const char *prompt, const struct prompt_value *values,
                     size_t count)
{
    struct pj_str text;
    struct pj_err err;

    pj_str_init(&text, 65536);
    if (prompt_render(prompt, values, count, &text, &err) < 0)
        (void)pj_str_puts(&text, "Go on.");
    json_array_append_new(a->messages,
                          json_pack("{s:s, s:s}", "role", "user", "text", pj_str_cstr(&text)));
    pj_str_release(&text);
}

/* A notice at two thirds and at nine tenths of the nearest limit, or NULL. Owned by the caller. */
static char *budget_notice(struct agent *a, const json_t *turn)
{
    const json_t *budget = json_object_get(turn, "budget");
    int64_t used = pj_json_i64(budget, "used", 0), limit = pj_json_i64(budget, "limit", 0);
    int level = limit <= 0 ? 0 : used >= limit - limit / 10 ? 2 : used >= limit - limit / 3 ? 1 : 0;
    char share[16];
    struct pj_str text;
    struct pj_err err;

    if (level <= a->notices)
        return NULL;
    a->notices = level;
    (void)snprintf(share, sizeof share, "%lld", (long long)(used * 100 / limit));
    struct prompt_value values[] = {
        {"name", pj_json_str(budget, "name", "budget")},
        {"share", share},
    };
    pj_str_init(&text, 4096);
    if (prompt_render("notice.md", values, 2, &text, &err) < 0)
        pj_str_clear(&text);
    return pj_str_take(&text);
}

static json_t *clean_result(const char *id, const char *text)
{
    struct pj_str clean;
    json_t *result;

    pj_str_init(&clean, strlen(text) * 3 + 1);
    (void)pj_utf8_append_clean(&clean, pj_view_of(text));
    result = json_pack("{s:s, s:s}", "id", id, "text", pj_str_cstr(&clean));
    pj_str_release(&clean);
    return result;
}

/* Every call gets its result; after the end, or after too many mistakes, the rest is only answered. */
static int do_calls(struct agent *a, const json_t *turn, const json_t *calls, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *notice = budget_notice(a, turn);
    json_t *results = json_array();
    size_t n = json_array_size(calls);

    json_array_append_new(a->messages, json_pack("{s:s, s:o}", "role", "tool", "results", results));
    for (size_t i = 0; i < n; i++) {
        const json_t *call = json_array_get(calls, i);
        PJ_CLEANUP(pj_freep) char *text = tools_call(a, call);
        PJ_CLEANUP(pj_freep) char *full = NULL;

        /* Notices ride on the last result: an extra message after tool results makes some models end their turn. */
        full = i + 1 < n ? pj_strdup(text)
                         : pj_asprintf("%s%s%s%s", text, notice ? "\n\n" : "", notice ? notice : "",
                                       json_is_true(json_object_get(turn, "callCut"))
                                           ? "\n\n[your answer was cut by its length; the call "
                                             "after this one was not made]"
                                           : "");
        json_array_append_new(results, clean_result(pj_json_str(call, "id", ""), full));
        if (a->end == AGENT_DONE)
            return 0;
        if (a->bad_calls >= BAD_CALLS_MAX)
            return agent_give_up(a, "model_protocol",
                                 "the model made three calls in a row that no tool understands",
                                 err);
        if (a->repeats >= REPEATS_MAX)
            return agent_give_up(a, "model_protocol",
                                 "the model repeats the same call without getting on", err);
    }
    return 0;
}

static void log_text(struct agent *a, const char *text)
{
    PJ_CLEANUP(pj_freep) char *shown = NULL;

    if (!*text)
        return;
    shown = pj_strndup(text, TEXT_LOGGED_MAX);
    agent_log(a, "info", shown, NULL);
}

/* A turn without calls: a diff where that counts as an answer, else the model is told what is expected. */
static int no_calls(struct agent *a, const json_t *turn, struct pj_err *err)
{
    const char *text = pj_json_str(turn, "text", "");
    bool cut = strcmp(pj_json_str(turn, "stop", ""), "length") == 0;
    PJ_CLEANUP(pj_str_release) struct pj_str diff;
    PJ_CLEANUP(pj_freep) char *feedback = NULL;

    pj_str_init(&diff, DIFF_MAX);
    /* A model that was given tools and answers with nothing but a diff means it as its answer. */
    if (!cut && !a->called && diff_extract(text, &diff) &&
        (a->diff_mode || strstr(pj_str_cstr(&diff), "\n@@ -"))) {
        PJ_CLEANUP(pj_freep) char *summary = pj_strndup(text, strcspn(text, "`"));
        int rc = diff_hand_over(a, pj_str_cstr(&diff), summary, &feedback, err);
        struct prompt_value values[] = {
            {"feedback", feedback},
        };

        if (rc <= 0)
            return rc;
        add_user(a, "diff_wrong.md", values, 1);
        return 0;
    }
    if (++a->idle_turns >= IDLE_TURNS_MAX)
        return agent_give_up(a, "model_protocol",
                             a->diff_mode
                                 ? "the model answered three times in a row without a diff"
                                 : "the model answered three times in a row without calling a tool",
                             err);
    add_user(a, cut ? "cut.md" : a->diff_mode ? "diff_again.md" : "idle.md", NULL, 0);
    return 0;
}

int agent_loop(struct agent *a, struct pj_err *err)
{
    while (a->end == AGENT_GOES_ON) {
        PJ_CLEANUP(pj_json_decrefp) json_t *turn = NULL;
        json_t *calls;
        const char *text;

        if (ask(a, &turn, err) < 0)
            return -1;
        calls = json_object_get(turn, "calls");
        text = pj_json_str(turn, "text", "");
        log_text(a, text);
        json_array_append_new(a->messages, json_pack("{s:s, s:s, s:s, s:O}", "role", "assistant",
                                                     "turn", pj_json_str(turn, "turn", ""), "text",
                                                     text, "calls", calls));
        if (json_array_size(calls) > 0) {
            a->idle_turns = 0;
            a->called = true;
            if (do_calls(a, turn, calls, err) < 0)
                return -1;
        } else if (no_calls(a, turn, err) < 0) {
            return -1;
        }
    }
    return 0;
}
