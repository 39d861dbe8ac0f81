/* pj task …, and pj run. */
#include "api/cli/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/cli/follow.h"
#include "api/cli/table.h"
#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "lib/json/codec.h"

static const struct table_column list_columns[] = {
    {"ID", "id", 0},        {"STATUS", "status", 0}, {"STAGE", "stage", 0},
    {"TITLE", "title", 50}, {"PR", "prUrl", 60},     {"CREATED", "createdAt", 0},
};

static const struct table_column record_fields[] = {
    {"id", "id", 0},
    {"title", "title", 0},
    {"status", "status", 0},
    {"stage", "stage", 0},
    {"attempt", "attempt", 0},
    {"repository", "repositoryId", 0},
    {"model", "model.name", 0},
    {"branch", "branch", 0},
    {"pull request", "prUrl", 0},
    {"base", "baseSha", 0},
    {"commit", "commitSha", 0},
    {"runner", "runner", 0},
    {"question", "question", 0},
    {"error", "error.code", 0},
    {"detail", "error.detail", 0},
    {"remedy", "error.remedy", 0},
    {"tokens", "usage.totalTokens", 0},
    {"cost in USD", "usage.costUsd", 0},
    {"created", "createdAt", 0},
    {"started", "startedAt", 0},
    {"finished", "finishedAt", 0},
};

void cmd_task_print(const struct cli *cli, const json_t *task)
{
    table_record(cli, record_fields, PJ_COUNT_OF(record_fields), task);
}

int cmd_task_exit_code(const json_t *task)
{
    const char *status = pj_json_str(task, "status", "");
    const char *code = pj_json_str(json_object_get(task, "error"), "code", "");

    if (strcmp(status, "completed") == 0)
        return 0;
    if (strcmp(status, "queued") == 0 || strcmp(status, "running") == 0)
        return EXIT_PENDING;
    return strcmp(code, "task_timeout") == 0 ? EXIT_TIMED_OUT : EXIT_FAILED;
}

/* ---- making one ---- */

static int add_limits(json_t *body, const struct cli_args *args, struct pj_err *err)
{
    const char *timeout = cli_option_get(args, "timeout"), *tokens = cli_option_get(args, "tokens");
    json_t *limits = json_object();
    int64_t n;

    json_object_set_new(body, "limits", limits);
    if (timeout) {
        if (pj_parse_duration_ms(pj_view_of(timeout), &n) < 0)
            return pj_fail(err, PJ_E_INVALID, "--timeout wants a duration like 20m, not %s",
                           timeout);
        json_object_set_new(limits, "timeoutMs", json_integer(n));
    }
    if (tokens) {
        if (pj_parse_i64(pj_view_of(tokens), &n) < 0)
            return pj_fail(err, PJ_E_INVALID, "--tokens wants a number, not %s", tokens);
        json_object_set_new(limits, "tokens", json_integer(n));
    }
    if (json_object_size(limits) == 0)
        json_object_del(body, "limits");
    return 0;
}

static int add_model(json_t *body, const char *text, struct pj_err *err)
{
    const char *slash = text ? strchr(text, '/') : NULL;

    if (!text)
        return 0;
    if (!slash || slash == text || !slash[1])
        return pj_fail(err, PJ_E_INVALID, "--model wants PROVIDER/NAME, not %s", text);
    json_object_set_new(
        body, "model",
        json_pack("{s:s%, s:s}", "provider", text, (size_t)(slash - text), "name", slash + 1));
    return 0;
}

static int add_description(json_t *body, const struct cli_args *args, struct pj_err *err)
{
    const char *text = cli_option_get(args, "description"), *file = cli_option_get(args, "file");
    PJ_CLEANUP(pj_freep) char *read = NULL;

    if (text && file)
        return pj_fail(err, PJ_E_INVALID, "--description and --file exclude each other");
    if (file && cmd_read_file(file, false, &read, err) < 0)
        return -1;
    if (read)
        text = read;
    json_object_set_new(body, "description", json_string(text ? text : args->word[1]));
    return 0;
}

int cmd_task_body(struct client *c, const struct cli_args *args, bool execute, json_t **body,
                  struct pj_err *err)
{
    static const struct {
        const char *option, *field;
    } plain[] = {
        {"base", "baseBranch"},
        {"executor", "executor"},
        {"priority", "priority"},
    };
    PJ_CLEANUP(pj_freep) char *repo = NULL;

    if (cmd_repo_or_connect(c, args->word[0], &repo, err) < 0)
        return -1;
    PJ_CLEANUP(pj_json_decrefp)
    json_t *doc = json_pack("{s:s, s:s}", "repositoryId", repo, "title", args->word[1]);
    for (size_t i = 0; i < PJ_COUNT_OF(plain); i++)
        if (cli_option_get(args, plain[i].option))
            json_object_set_new(doc, plain[i].field,
                                json_string(cli_option_get(args, plain[i].option)));
    if (add_description(doc, args, err) < 0 || add_limits(doc, args, err) < 0 ||
        add_model(doc, cli_option_get(args, "model"), err) < 0)
        return -1;
    if (execute)
        json_object_set_new(doc, "execute", json_true());
    *body = doc;
    doc = NULL;
    return 0;
}

int cmd_task_create(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *body = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *task = NULL;
    struct client *c;

    if (client_of(cli, &c, err) < 0 ||
        cmd_task_body(c, args, cli_option_get(args, "execute") != NULL, &body, err) < 0 ||
        client_call(c, "POST", "/tasks", body, &task, err) < 0)
        return -1;
    if (cli->json || cli->tty)
        cmd_task_print(cli, task);
    else
        (void)puts(pj_json_str(task, "id", ""));
    return 0;
}

int cmd_run(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *body = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *task = NULL;
    struct client *c;

    if (client_of(cli, &c, err) < 0 || cmd_task_body(c, args, true, &body, err) < 0 ||
        client_call(c, "POST", "/tasks", body, &task, err) < 0)
        return -1;
    if (cli_option_get(args, "follow"))
        return follow_to_end(cli, c, pj_json_str(task, "id", ""), err);
    if (cli->json)
        table_json(cli, task);
    else
        (void)puts(pj_json_str(task, "id", ""));
    return 0;
}

/* ---- one task ---- */

static int on_task(struct cli *cli, const struct cli_args *args, const char *method,
                   const char *suffix, const json_t *body, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *task = NULL;
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s%s", args->word[0], suffix);
    struct client *c;

    if (client_of(cli, &c, err) < 0 || client_call(c, method, path, body, &task, err) < 0)
        return -1;
    if (json_is_object(task))
        cmd_task_print(cli, task);
    return 0;
}

int cmd_task_show(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    return on_task(cli, args, "GET", "", NULL, err);
}

int cmd_task_execute(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    return on_task(cli, args, "POST", "/execute", NULL, err);
}

int cmd_task_cancel(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    return on_task(cli, args, "POST", "/cancel", NULL, err);
}

int cmd_task_publish(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    return on_task(cli, args, "POST", "/publish", NULL, err);
}

int cmd_task_answer(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    const char *file = cli_option_get(args, "file");
    PJ_CLEANUP(pj_freep) char *text = NULL;

    if (args->count == 2)
        text = pj_strdup(args->word[1]);
    else if (!file)
        return pj_fail(err, PJ_E_INVALID, "the answer is missing: give it as TEXT or with --file");
    else if (cmd_read_file(file, true, &text, err) < 0)
        return -1;
    PJ_CLEANUP(pj_json_decrefp)
    json_t *body =
        json_pack("{s:s, s:b}", "answer", text, "execute", cli_option_get(args, "execute") != NULL);
    return on_task(cli, args, "POST", "/answer", body, err);
}

int cmd_task_retry(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *body = json_pack("{s:b}", "execute", cli_option_get(args, "execute") != NULL);

    if (cli_option_get(args, "feedback"))
        json_object_set_new(body, "feedback", json_string(cli_option_get(args, "feedback")));
    return on_task(cli, args, "POST", "/retry", body, err);
}

int cmd_task_patch(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep)
    char *path = pj_asprintf("/tasks/%s/patch%s", args->word[0], cli->json ? "?format=json" : "");
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct client *c;

    pj_str_init(&text, 64u << 20);
    if (client_of(cli, &c, err) < 0 ||
        client_text(c, path, cli->json ? "application/json" : "text/x-diff", &text, err) < 0)
        return -1;
    if (cli->tty)
        table_put_text(stdout, pj_str_cstr(&text), true);
    else
        (void)fwrite(pj_str_cstr(&text), 1, text.len, stdout);
    return 0;
}

int cmd_task_list(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    static const struct {
        const char *option, *name;
    } plain[] = {
        {"owner", "owner"},
        {"query", "q"},
        {"status", "status"},
    };
    PJ_CLEANUP(pj_json_decrefp) json_t *all = NULL;
    PJ_CLEANUP(pj_str_release) struct pj_str path;
    const char *limit = cli_option_get(args, "limit"), *repo = cli_option_get(args, "repo");
    int64_t max = 50;
    struct client *c;

    pj_str_init(&path, 8000);
    if (limit && (pj_parse_i64(pj_view_of(limit), &max) < 0 || max < 1))
        return pj_fail(err, PJ_E_INVALID, "--limit wants a number from 1, not %s", limit);
    if (client_of(cli, &c, err) < 0)
        return -1;
    pj_str_putf(&path, "/tasks?limit=%lld", (long long)(max < 200 ? max : 200));
    for (size_t i = 0; i < PJ_COUNT_OF(plain); i++) {
        const char *value = cli_option_get(args, plain[i].option);
        PJ_CLEANUP(pj_freep) char *quoted = value ? client_quote(value) : NULL;

        if (quoted)
            pj_str_putf(&path, "&%s=%s", plain[i].name, quoted);
    }
    if (repo) {
        PJ_CLEANUP(pj_freep) char *id = NULL;

        if (cmd_find_repo(c, repo, &id, err) < 0)
            return -1;
        pj_str_putf(&path, "&repositoryId=%s", id);
    }
    if (client_list(c, pj_str_cstr(&path), (size_t)max, &all, err) < 0)
        return -1;
    table_print(cli, list_columns, PJ_COUNT_OF(list_columns), all);
    return 0;
}
