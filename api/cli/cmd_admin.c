/* pj runner …, pj admin …, pj login. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "api/cli/cmd.h"
#include "api/cli/config.h"
#include "api/cli/table.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/json/codec.h"

static const struct table_column runner_columns[] = {
    {"NAME", "name", 30},           {"STATE", "state", 0},     {"SLOTS", "slots", 0},
    {"ISOLATION", "isolation", 30}, {"VERSION", "version", 0}, {"HEARTBEAT", "heartbeatAgeMs", 0},
};

static const struct table_column user_columns[] = {
    {"ID", "id", 0},
    {"EMAIL", "email", 40},
    {"ROLE", "role", 0},
    {"CREATED", "createdAt", 0},
};

static const struct table_column token_columns[] = {
    {"ID", "id", 0},
    {"NAME", "name", 30},
    {"EXPIRES", "expiresAt", 0},
    {"CREATED", "createdAt", 0},
};

static const struct table_column bucket_columns[] = {
    {"START", "start", 0},
    {"COMPLETED", "tasks.completed", 0},
    {"FAILED", "tasks.failed", 0},
    {"SUCCESS", "successRate", 0},
    {"TOKENS", "tokens.total", 0},
    {"USD", "costUsd", 0},
    {"MEAN MS", "durationMs.mean", 0},
    {"P95 MS", "durationMs.p95", 0},
};

static int print_list(struct cli *cli, const char *path, const struct table_column *columns,
                      size_t count, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *all = NULL;
    struct client *c;

    if (client_of(cli, &c, err) < 0 || client_list(c, path, 10000, &all, err) < 0)
        return -1;
    table_print(cli, columns, count, all);
    return 0;
}

int cmd_runner_list(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    (void)args;
    return print_list(cli, "/admin/runners", runner_columns, PJ_COUNT_OF(runner_columns), err);
}

int cmd_runner_drain(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *name = client_quote(args->word[0]);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/admin/runners/%s/drain", name);
    struct client *c;

    if (client_of(cli, &c, err) < 0)
        return -1;
    return client_call(c, "POST", path, NULL, NULL, err);
}

static int delete_at(struct cli *cli, const char *folder, const char *id, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/%s/%s", folder, id);
    struct client *c;

    if (client_of(cli, &c, err) < 0)
        return -1;
    return client_call(c, "DELETE", path, NULL, NULL, err);
}

/* POST, and print the answer, which holds a secret once. */
static int make_at(struct cli *cli, const char *path, const json_t *body, struct pj_err *err)
{
    static const struct table_column fields[] = {
        {"id", "id", 0},
        {"email", "email", 0},
        {"name", "name", 0},
        {"token", "token", 0},
    };
    PJ_CLEANUP(pj_json_decrefp) json_t *made = NULL;
    struct client *c;

    if (client_of(cli, &c, err) < 0 || client_call(c, "POST", path, body, &made, err) < 0)
        return -1;
    table_record(cli, fields, PJ_COUNT_OF(fields), made);
    return 0;
}

int cmd_admin_users(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    const char *add = cli_option_get(args, "add"), *remove = cli_option_get(args, "remove");

    if (remove)
        return delete_at(cli, "users", remove, err);
    if (!add)
        return print_list(cli, "/users", user_columns, PJ_COUNT_OF(user_columns), err);
    PJ_CLEANUP(pj_json_decrefp)
    json_t *body = json_pack("{s:s, s:s}", "email", add, "role",
                             cli_option_get(args, "admin") ? "admin" : "user");
    return make_at(cli, "/users", body, err);
}

int cmd_admin_tokens(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    const char *add = cli_option_get(args, "add"), *revoke = cli_option_get(args, "revoke");
    const char *scopes = cli_option_get(args, "scopes"), *expires = cli_option_get(args, "expires");

    if (revoke)
        return delete_at(cli, "tokens", revoke, err);
    if (!add)
        return print_list(cli, "/tokens", token_columns, PJ_COUNT_OF(token_columns), err);
    PJ_CLEANUP(pj_json_decrefp) json_t *body = json_pack("{s:s}", "name", add);
    if (expires)
        json_object_set_new(body, "expiresAt", json_string(expires));
    if (scopes) {
        struct pj_view rest = pj_view_of(scopes), part;
        json_t *list = json_array();

        while (pj_view_cut(&rest, ',', &part))
            json_array_append_new(list, json_stringn(part.p, part.n));
        json_object_set_new(body, "scopes", list);
    }
    return make_at(cli, "/tokens", body, err);
}

int cmd_admin_stats(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    static const char *const names[] = {"bucket", "from", "to"};
    PJ_CLEANUP(pj_str_release) struct pj_str path;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    PJ_CLEANUP(pj_str_release) struct pj_str csv;
    struct client *c;

    pj_str_init(&path, 4000);
    pj_str_init(&csv, 16u << 20);
    pj_str_puts(&path, "/admin/analytics?");
    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        const char *value = cli_option_get(args, names[i]);
        PJ_CLEANUP(pj_freep) char *quoted = value ? client_quote(value) : NULL;

        if (quoted)
            pj_str_putf(&path, "%s=%s&", names[i], quoted);
    }
    if (client_of(cli, &c, err) < 0)
        return -1;
    if (cli_option_get(args, "csv")) {
        pj_str_puts(&path, "format=csv");
        if (client_text(c, pj_str_cstr(&path), "text/csv", &csv, err) < 0)
            return -1;
        (void)fwrite(pj_str_cstr(&csv), 1, csv.len, stdout);
        return 0;
    }
    if (client_call(c, "GET", pj_str_cstr(&path), NULL, &doc, err) < 0)
        return -1;
    if (cli->json)
        table_json(cli, doc);
    else
        table_print(cli, bucket_columns, PJ_COUNT_OF(bucket_columns),
                    json_object_get(doc, "buckets"));
    return 0;
}

/* ---- login ---- */

/* Read the token without showing it when a person types it. */
static int ask_token(char **token, struct pj_err *err)
{
    struct termios before, quiet;
    bool typed = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before) == 0;
    char line[512];

    if (!typed)
        return cmd_read_file("-", true, token, err);
    (void)fputs("Token: ", stderr);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    bool read = fgets(line, sizeof line, stdin) != NULL;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    (void)fputc('\n', stderr);
    if (!read)
        return pj_fail(err, PJ_E_INVALID, "no token was given");
    line[strcspn(line, "\r\n")] = '\0';
    *token = pj_strdup(line);
    pj_wipe(line, sizeof line);
    return 0;
}

int cmd_login(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    const char *url = cli_option_get(args, "url"), *file = cli_option_get(args, "token-file");
    PJ_CLEANUP(cmd_secret_freep) char *token = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *me = NULL;

    if (!url)
        url = cli->settings.url;
    if ((file ? cmd_read_file(file, true, &token, err) : ask_token(&token, err)) < 0)
        return -1;
    cli->client = client_new(url, token, cli->settings.ca_file);
    if (client_call(cli->client, "GET", "/me", NULL, &me, err) < 0)
        return pj_err_wrap(err, "%s", url);
    if (config_save(cli, client_url(cli->client), token, err) < 0)
        return -1;
    PJ_CLEANUP(pj_freep) char *email = table_value(me, "email");
    PJ_CLEANUP(pj_freep) char *nested = table_value(me, "user.email");
    (void)printf("logged in to %s as %s; kept in %s\n", client_url(cli->client),
                 email    ? email
                 : nested ? nested
                          : "this token's user",
                 cli->config_path);
    return 0;
}
