#include "api/cli/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/cli/cmd.h"
#include "api/cli/live.h"
#include "api/cli/table.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/pump.h"
#include "lib/base/view.h"
#include "lib/http/sse_read.h"
#include "lib/json/codec.h"

#define EVENT_MAX (1u << 20)
#define FIRST_MS 5000  /* the same before it was ever heard */
#define RESUME_MS 2000 /* what the stream's `retry:` says, CONTRACT.md section 4 */
#define AWAY_MS 60000  /* an API that stays away longer is reported */

struct stream {
    struct follow *f;
    struct live live;
    struct pj_sse_reader reader;
    char *last_id;
    char stage[40];
    int64_t heard_ms;
    bool ended;
};

/* ---- lines ---- */

static const char *colour_of(const char *type)
{
    static const struct {
        const char *type, *code;
    } colours[] = {
        {"check", "\033[36m"}, {"error", "\033[31m"},      {"llm_request", "\033[2m"},
        {"patch", "\033[35m"}, {"pr_created", "\033[32m"}, {"status", "\033[1m"},
        {"tool", "\033[34m"},  {"warn", "\033[33m"},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(colours); i++)
        if (strcmp(colours[i].type, type) == 0)
            return colours[i].code;
    return "";
}

void follow_print_entry(const struct cli *cli, const json_t *entry)
{
    const char *ts = pj_json_str(entry, "ts", ""), *stream = pj_json_str(entry, "stream", "");
    const char *type = pj_json_str(entry, "type", "info");
    const char *message = pj_json_str(entry, "message", "");
    const char *clock = strchr(ts, 'T');

    if (cli->json) {
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(entry);

        (void)puts(text);
        return;
    }
    (void)printf("%s%.8s%s %-6s %s", cli->colour ? "\033[2m" : "", clock ? clock + 1 : ts,
                 cli->colour ? "\033[0m" : "", stream, cli->colour ? colour_of(type) : "");
    if (!cli->colour && (strcmp(type, "error") == 0 || strcmp(type, "warn") == 0))
        (void)printf("%s: ", type);
    table_put_text(stdout, message, false);
    (void)puts(cli->colour ? "\033[0m" : "");
}

static void show_stage(struct stream *s, const json_t *status)
{
    const struct cli *cli = s->f->cli;
    const char *stage = pj_json_str(status, "stage", pj_json_str(status, "status", ""));

    if (strcmp(stage, s->stage) == 0)
        return;
    (void)snprintf(s->stage, sizeof s->stage, "%s", stage);
    live_stage(&s->live, stage);
    if (cli->json)
        return;
    live_clear(&s->live);
    (void)printf("%s-- %s%s\n", cli->colour ? "\033[1m" : "", stage, cli->colour ? "\033[0m" : "");
}

/* ---- events ---- */

static int on_event(void *ctx, const char *event, struct pj_view data, struct pj_err *err)
{
    struct stream *s = ctx;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    if (strcmp(event, "end") == 0) {
        s->ended = true;
        return 0;
    }
    if (pj_json_parse(data, &doc, err) < 0)
        return pj_err_wrap(err, "event %s of the log stream", event);
    if (strcmp(event, "log") == 0) {
        live_clear(&s->live);
        follow_print_entry(s->f->cli, doc);
        live_say(&s->live, pj_json_str(doc, "message", ""));
        pj_str_set(&s->last_id, pj_json_str(doc, "id", s->last_id));
    } else if (strcmp(event, "status") == 0) {
        show_stage(s, doc);
        json_decref(s->f->last);
        s->f->last = json_incref(doc);
    }
    (void)fflush(stdout);
    return 0;
}

static int on_data(void *ctx, const char *bytes, size_t n, struct pj_err *err)
{
    struct stream *s = ctx;

    s->heard_ms = pj_mono_ms(); /* heartbeats count */
    return pj_sse_reader_feed(&s->reader, bytes, n, err);
}

/* True for what comes and goes: the connection, a restart, a full house. */
static bool may_pass(const struct pj_err *err, int status)
{
    return (status == 0 || (status >= 200 && status <= 299) || status == 429 || status == 503) &&
           (err->cls == PJ_E_UNAVAILABLE || err->cls == PJ_E_TIMEOUT || err->cls == PJ_E_RATE);
}

int follow_log(struct follow *f, struct pj_err *err)
{
    struct stream s = {.f = f, .heard_ms = pj_mono_ms()};
    PJ_CLEANUP(pj_freep)
    char *path = f->attempt > 0 ? pj_asprintf("/tasks/%s/logs/stream?attempt=%lld", f->task,
                                              (long long)f->attempt)
                                : pj_asprintf("/tasks/%s/logs/stream", f->task);
    int rc = live_start(&s.live, f->cli, f->client, f->task, err), status = 0;

    while (!s.ended && rc == 0) {
        struct pj_err now = {0};

        pj_sse_reader_init(&s.reader, EVENT_MAX, on_event, &s);
        int end = client_stream(f->client, path, s.last_id, on_data, &s, &status, &now);
        pj_sse_reader_release(&s.reader);
        if (end == 0 && status == 204)
            break; /* nothing more will come */
        if (s.ended)
            break;
        if (end < 0 && (!may_pass(&now, status) || pj_mono_ms() - s.heard_ms > AWAY_MS)) {
            *err = now;
            rc = now.cls == PJ_E_CANCELLED ? -1 : pj_err_wrap(err, "log of task %s", f->task);
        } else {
            rc = client_pause(f->client, end < 0 ? RESUME_MS : 0, err);
        }
    }
    live_stop(&s.live);
    free(s.last_id);
    return rc;
}

static void print_end(const struct cli *cli, json_t *task)
{
    static const struct table_column fields[] = {
        {"task", "id", 0},
        {"status", "status", 0},
        {"branch", "branch", 0},
        {"commit", "commitSha", 0},
        {"question", "question", 0},
        {"error", "error.code", 0},
        {"detail", "error.detail", 0},
        {"remedy", "error.remedy", 0},
        {"pull request", "prUrl", 0},
        {"exit code", "exitCode", 0},
    };

    if (!cli->json) {
        (void)putchar('\n');
        json_object_set_new(task, "exitCode", json_integer(cmd_task_exit_code(task)));
    }
    table_record(cli, fields, PJ_COUNT_OF(fields), task);
}

/* An API that is being restarted is waited for: for_ms, after which it may never have been there. */
static int read_task(struct client *c, const char *task, int64_t for_ms, json_t **out,
                     struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s", task);
    int64_t until = pj_mono_ms() + for_ms;

    while (client_call(c, "GET", path, NULL, out, err) < 0)
        if (!may_pass(err, 0) || pj_mono_ms() > until || client_pause(c, RESUME_MS, err) < 0)
            return -1;
    return 0;
}

int follow_task(struct cli *cli, struct client *client, const char *task, json_t **out,
                struct pj_err *err)
{
    struct follow f = {.cli = cli, .client = client, .task = task};
    int rc = follow_log(&f, err);

    json_decref(f.last);
    return rc < 0 ? -1 : read_task(client, task, AWAY_MS, out, err);
}

int follow_to_end(struct cli *cli, struct client *client, const char *task, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    if (follow_task(cli, client, task, &doc, err) < 0)
        return -1;
    print_end(cli, doc);
    return cmd_task_exit_code(doc);
}

/* ---- pj logs ---- */

static int print_pages(struct cli *cli, struct client *c, const char *task, const char *attempt,
                       struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *after = NULL;

    for (;;) {
        PJ_CLEANUP(pj_freep) char *quoted = after ? client_quote(after) : NULL;
        PJ_CLEANUP(pj_freep)
        char *path =
            pj_asprintf("/tasks/%s/logs?limit=1000%s%s%s%s", task, quoted ? "&after=" : "",
                        quoted ? quoted : "", attempt ? "&attempt=" : "", attempt ? attempt : "");
        PJ_CLEANUP(pj_json_decrefp) json_t *page = NULL;
        size_t i;
        json_t *entry;

        if (client_call(c, "GET", path, NULL, &page, err) < 0)
            return -1;
        const json_t *items = json_object_get(page, "items");
        json_array_foreach(items, i, entry)
        {
            follow_print_entry(cli, entry);
            pj_str_set(&after, pj_json_str(entry, "id", ""));
        }
        if (json_array_size(items) == 0 || !pj_json_str(page, "nextCursor", NULL))
            return 0;
    }
}

int cmd_logs(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    const char *attempt = cli_option_get(args, "attempt");
    PJ_CLEANUP(pj_json_decrefp) json_t *task = NULL;
    struct follow f = {.cli = cli, .task = args->word[0]};

    if (attempt && (pj_parse_i64(pj_view_of(attempt), &f.attempt) < 0 || f.attempt < 1))
        return pj_fail(err, PJ_E_INVALID, "--attempt wants a number from 1, not %s", attempt);
    if (client_of(cli, &f.client, err) < 0)
        return -1;
    if (!cli_option_get(args, "follow"))
        return print_pages(cli, f.client, f.task, attempt, err);
    if (read_task(f.client, f.task, FIRST_MS, &task, err) < 0)
        return -1;
    json_decref(task);
    task = NULL;
    int rc = follow_log(&f, err);
    json_decref(f.last);
    if (rc < 0 || read_task(f.client, f.task, AWAY_MS, &task, err) < 0)
        return -1;
    return cmd_task_exit_code(task);
}
