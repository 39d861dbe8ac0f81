/* The verb table: what `pj` can do. Help, completion and the manual are made from it. */
#include "api/cli/cli.h"

#define END                                                                                        \
    {                                                                                              \
        NULL                                                                                       \
    }

static const struct cli_option connect_options[] = {
    {"branch", 'b', "NAME", "base branch; default: the remote's"},
    {"check", 'c', "COMMAND", "the repository's check command"},
    {"coderabbit", 0, "on|off", "add .coderabbit.yaml and ask for a review"},
    {"executor", 0, "sandbox|github_actions", "where its tasks run"},
    {"set", 0, "NAME=VALUE", "any other field of the API; VALUE is JSON or text"},
    {"setup", 0, "COMMAND", "run in the box before the agent"},
    {"shared", 0, NULL, "every user may use it"},
    {"token-file", 0, "FILE", "credential for this repository, - for standard input"},
    END,
};
static const struct cli_option create_options[] = {
    {"base", 'b', "BRANCH", "base branch"},
    {"description", 'd', "TEXT", "what to do"},
    {"execute", 'x', NULL, "execute it at once"},
    {"executor", 0, "sandbox|github_actions", "where it runs"},
    {"file", 'f', "FILE", "description from a file, - for standard input"},
    {"model", 'm', "PROVIDER/NAME", "model for this task"},
    {"priority", 'p', "low|normal|high", "priority"},
    {"timeout", 't', "DURATION", "time limit, say 20m"},
    {"tokens", 0, "N", "token limit"},
    END,
};
static const struct cli_option run_options[] = {
    {"base", 'b', "BRANCH", "base branch"},
    {"description", 'd', "TEXT", "what to do; default: the title"},
    {"executor", 0, "sandbox|github_actions", "where it runs"},
    {"file", 'f', "FILE", "description from a file, - for standard input"},
    {"follow", 0, NULL, "show the log and wait for the end"},
    {"model", 'm', "PROVIDER/NAME", "model for this task"},
    {"priority", 'p', "low|normal|high", "priority"},
    {"timeout", 't', "DURATION", "time limit, say 20m"},
    {"tokens", 0, "N", "token limit"},
    END,
};
static const struct cli_option list_options[] = {
    {"limit", 'n', "N", "at most that many (50)"},
    {"owner", 0, "USER", "only that user's"},
    {"query", 'q', "TEXT", "title contains"},
    {"repo", 'r', "REPO", "only of that repository"},
    {"status", 's', "STATUS", "only with that status"},
    END,
};
static const struct cli_option answer_options[] = {
    {"execute", 'x', NULL, "run again at once"},
    {"file", 'f', "FILE", "answer from a file, - for standard input"},
    END,
};
static const struct cli_option retry_options[] = {
    {"execute", 'x', NULL, "run again at once"},
    {"feedback", 'm', "TEXT", "what to do better"},
    END,
};
static const struct cli_option logs_options[] = {
    {"attempt", 0, "N", "only that attempt"},
    {"follow", 'f', NULL, "go on until the task has ended"},
    END,
};
static const struct cli_option login_options[] = {
    {"token-file", 0, "FILE", "read the token there; default: asked for, or standard input"},
    {"url", 'u', "URL", "address of the API"},
    END,
};
static const struct cli_option stats_options[] = {
    {"bucket", 0, "hour|day", "size of a bucket"},
    {"csv", 0, NULL, "as CSV"},
    {"from", 0, "TIME", "RFC 3339"},
    {"to", 0, "TIME", "RFC 3339"},
    END,
};
static const struct cli_option users_options[] = {
    {"add", 0, "EMAIL", "make a user; prints the first token once"},
    {"admin", 0, NULL, "the new user is an admin"},
    {"remove", 0, "ID", "delete a user"},
    END,
};
static const struct cli_option tokens_options[] = {
    {"add", 0, "NAME", "make a token; prints it once"},
    {"expires", 0, "TIME", "RFC 3339"},
    {"revoke", 0, "ID", "revoke a token"},
    {"scopes", 0, "A,B", "only these scopes"},
    END,
};
static const struct cli_option up_options[] = {
    {"data", 0, "DIR", "where state is kept; default: ~/.local/share/pithyjaunt"},
    {"no-sample", 0, NULL, "no sample repository and task"},
    {"once", 0, NULL, "leave after the sample task; exit 0 only if it completed"},
    {"port", 'p', "N", "port on 127.0.0.1 (8080)"},
    END,
};

static const struct cli_option workflow_options[] = {
    {"image", 0, "IMAGE", "container image with the programs; default: PJ_ACTIONS_IMAGE"},
    END,
};

const struct cli_verb cli_verbs[] = {
    {NULL, "completion", "bash|zsh|fish", 1, 1, NULL, cmd_completion, "Print a completion script"},
    {NULL, "doctor", "", 0, 0, NULL, cmd_doctor,
     "Check settings, Redis, host gates, keys and the API"},
    {NULL, "login", "", 0, 0, login_options, cmd_login,
     "Remember the API's address and your token"},
    {NULL, "logs", "TASK", 1, 1, logs_options, cmd_logs, "Print a task's log"},
    {NULL, "run", "REPO TITLE", 2, 2, run_options, cmd_run, "Create a task and execute it"},
    {NULL, "sandbox", "[OPTION]... -- COMMAND", 0, 0, NULL, NULL,
     "Run a command in a fresh box: pj-sandbox"},
    {NULL, "up", "", 0, 0, up_options, cmd_up,
     "Run Redis, API and runner here, with a sample task"},
    {"admin", "reset-token", "EMAIL", 1, 1, NULL, cmd_admin_reset_token,
     "New token for a user, on the host, over Redis"},
    {"admin", "stats", "", 0, 0, stats_options, cmd_admin_stats,
     "Tasks, tokens, cost and times by period"},
    {"admin", "tokens", "", 0, 0, tokens_options, cmd_admin_tokens,
     "List, make and revoke your tokens"},
    {"admin", "users", "", 0, 0, users_options, cmd_admin_users, "List, make and delete users"},
    {"repo", "connect", "URL", 1, 1, connect_options, cmd_repo_connect, "Connect a repository"},
    {"repo", "list", "", 0, 0, NULL, cmd_repo_list, "List repositories"},
    {"repo", "remove", "REPO", 1, 1, NULL, cmd_repo_remove, "Disconnect a repository"},
    {"repo", "show", "REPO", 1, 1, NULL, cmd_repo_show, "Show a repository"},
    {"repo", "verify", "REPO", 1, 1, NULL, cmd_repo_verify, "Reach the remote again"},
    {"repo", "workflow", "REPO", 1, 1, workflow_options, cmd_repo_workflow,
     "Print the GitHub Actions workflow file"},
    {"runner", "drain", "NAME", 1, 1, NULL, cmd_runner_drain,
     "Let a runner finish and take nothing new"},
    {"runner", "list", "", 0, 0, NULL, cmd_runner_list, "List runners"},
    {"task", "answer", "TASK [TEXT]", 1, 2, answer_options, cmd_task_answer,
     "Answer a task's question"},
    {"task", "cancel", "TASK", 1, 1, NULL, cmd_task_cancel, "Cancel a task"},
    {"task", "create", "REPO TITLE", 2, 2, create_options, cmd_task_create, "Create a task"},
    {"task", "execute", "TASK", 1, 1, NULL, cmd_task_execute, "Execute a queued task"},
    {"task", "list", "", 0, 0, list_options, cmd_task_list, "List tasks, newest first"},
    {"task", "patch", "TASK", 1, 1, NULL, cmd_task_patch, "Print the task's diff"},
    {"task", "publish", "TASK", 1, 1, NULL, cmd_task_publish, "Push a kept patch as it is"},
    {"task", "retry", "TASK", 1, 1, retry_options, cmd_task_retry, "Queue an ended task again"},
    {"task", "show", "TASK", 1, 1, NULL, cmd_task_show, "Show a task"},
};
const size_t cli_verb_count = sizeof cli_verbs / sizeof cli_verbs[0];
