/* pj repo …: repositories may be named by id, by address, or by the last parts of their address. */
#include "api/cli/cmd.h"

#include <stdio.h>
#include <string.h>
#include "api/cli/table.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"

static const struct table_column list_columns[] = {
    {"ID", "id", 0}, {"URL", "url", 60}, {"BRANCH", "defaultBranch", 20}, {"STATUS", "status", 0}};

static const struct table_column record_fields[] = {
    {"id", "id", 0},
    {"url", "url", 0},
    {"branch", "defaultBranch", 0},
    {"status", "status", 0},
    {"cause", "statusDetail", 0},
    {"visibility", "visibility", 0},
    {"executor", "executor", 0},
    {"check", "checkCommand", 0},
    {"setup", "setupCommand", 0},
    {"credential", "credential.source", 0},
    {"webhook secret", "webhookSecret", 0},
};

/* Does the address end in what the user typed ("o/r" or "r"), at a part's border? */
static bool address_matches(const char *url, const char *text)
{
    size_t n = strlen(url), k = strlen(text);

    if (n > 4 && strcmp(url + n - 4, ".git") == 0)
        n -= 4;
    if (k > 4 && strcmp(text + k - 4, ".git") == 0)
        k -= 4;
    if (k == 0 || k > n || strncmp(url + n - k, text, k) != 0)
        return false;
    return k == n || url[n - k - 1] == '/';
}

int cmd_find_repo(struct client *c, const char *text, char **id, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *all = NULL;
    const char *found = NULL;
    size_t i;
    json_t *repo;

    if (client_list(c, "/repositories?limit=200", 10000, &all, err) < 0)
        return -1;
    json_array_foreach(all, i, repo)
    {
        if (strcmp(pj_json_str(repo, "id", ""), text) == 0) {
            found = pj_json_str(repo, "id", "");
            break;
        }
        if (!address_matches(pj_json_str(repo, "url", ""), text))
            continue;
        if (found)
            return pj_fail(err, PJ_E_CONFLICT, "%s could be several repositories: use the id",
                           text);
        found = pj_json_str(repo, "id", "");
    }
    if (!found) {
        (void)pj_fail(err, PJ_E_NOT_FOUND, "no repository %s", text);
        return pj_err_remedy(err, "pj repo list; pj repo connect URL");
    }
    *id = pj_strdup(found);
    return 0;
}

int cmd_repo_or_connect(struct client *c, const char *text, char **id, struct pj_err *err)
{
    bool address = strstr(text, "://") || text[0] == '/' || strncmp(text, "git@", 4) == 0;
    PJ_CLEANUP(pj_json_decrefp) json_t *body = json_pack("{s:s}", "url", text);
    PJ_CLEANUP(pj_json_decrefp) json_t *repo = NULL;
    int rc = cmd_find_repo(c, text, id, err);

    if (rc == 0 || !address || err->cls != PJ_E_NOT_FOUND)
        return rc;
    if (client_call(c, "POST", "/repositories", body, &repo, err) < 0)
        return -1;
    *id = pj_strdup(pj_json_str(repo, "id", ""));
    (void)fprintf(stderr, "pj: connected %s as %s\n", pj_json_str(repo, "url", text), *id);
    return 0;
}

static int set_pair(json_t *body, const char *pair, struct pj_err *err)
{
    const char *equals = strchr(pair, '=');

    if (!equals || equals == pair)
        return pj_fail(err, PJ_E_INVALID, "--set wants NAME=VALUE, not %s", pair);
    PJ_CLEANUP(pj_freep) char *name = pj_strndup(pair, (size_t)(equals - pair));
    json_t *value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);

    json_object_set_new(body, name, value ? value : json_string(equals + 1));
    return 0;
}

int cmd_repo_connect(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    static const struct {
        const char *option, *field;
    } plain[] = {{"branch", "defaultBranch"},
                 {"check", "checkCommand"},
                 {"coderabbit", "codeRabbit"},
                 {"executor", "executor"},
                 {"setup", "setupCommand"}};
    PJ_CLEANUP(pj_json_decrefp) json_t *body = json_pack("{s:s}", "url", args->word[0]);
    PJ_CLEANUP(pj_json_decrefp) json_t *repo = NULL;
    const char *token_file = cli_option_get(args, "token-file");
    struct client *c;

    for (size_t i = 0; i < PJ_COUNT_OF(plain); i++)
        if (cli_option_get(args, plain[i].option))
            json_object_set_new(body, plain[i].field,
                                json_string(cli_option_get(args, plain[i].option)));
    if (cli_option_get(args, "shared"))
        json_object_set_new(body, "visibility", json_string("shared"));
    for (size_t i = 0; i < args->given_count; i++)
        if (strcmp(args->given[i].option->name, "set") == 0 &&
            set_pair(body, args->given[i].value, err) < 0)
            return -1;
    if (token_file) {
        PJ_CLEANUP(cmd_secret_freep) char *token = NULL;

        if (cmd_read_file(token_file, true, &token, err) < 0)
            return -1;
        json_object_set_new(body, "credential", json_pack("{s:s}", "token", token));
    }
    if (client_of(cli, &c, err) < 0 ||
        client_call(c, "POST", "/repositories", body, &repo, err) < 0)
        return -1;
    table_record(cli, record_fields, PJ_COUNT_OF(record_fields), repo);
    return 0;
}

int cmd_repo_list(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *all = NULL;
    struct client *c;

    (void)args;
    if (client_of(cli, &c, err) < 0 ||
        client_list(c, "/repositories?limit=200", 10000, &all, err) < 0)
        return -1;
    table_print(cli, list_columns, PJ_COUNT_OF(list_columns), all);
    return 0;
}

/* One call on /repositories/{id}<suffix>; prints the document when there is one. */
static int on_repo(struct cli *cli, const struct cli_args *args, const char *method,
                   const char *suffix, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *repo = NULL;
    PJ_CLEANUP(pj_freep) char *id = NULL;
    struct client *c;

    if (client_of(cli, &c, err) < 0 || cmd_find_repo(c, args->word[0], &id, err) < 0)
        return -1;
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s%s", id, suffix);
    if (client_call(c, method, path, NULL, &repo, err) < 0)
        return -1;
    if (json_is_object(repo))
        table_record(cli, record_fields, PJ_COUNT_OF(record_fields), repo);
    return 0;
}

int cmd_repo_show(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    return on_repo(cli, args, "GET", "", err);
}

int cmd_repo_remove(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    return on_repo(cli, args, "DELETE", "", err);
}

int cmd_repo_verify(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    return on_repo(cli, args, "POST", "/verify", err);
}
