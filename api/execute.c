#include "api/execute.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "api/api.h"
#include "api/reply.h"
#include "lib/forge/hosts.h"
#include "lib/task/repo.h"
#include "lib/task/state.h"

int execute_choose(const struct request *req, const struct pj_repo *repo, int wish)
{
    if (wish >= 0)
        return wish;
    if (repo != NULL && repo->executor >= 0)
        return repo->executor;
    return pj_word_index(pj_task_executor_words, req->api->settings.executor);
}

static bool is_github(const struct request *req, const struct pj_repo *repo)
{
    struct pj_repo_address address = {0};
    struct pj_err err;

    if (pj_repo_address_parse(req->api->forges, repo->url, &address, &err) < 0)
        return false;
    bool github = !address.is_path && address.forge->kind == PJ_FORGE_GITHUB;
    pj_repo_address_release(&address);
    return github;
}

/* Would a workflow elsewhere call itself? */
static bool is_loopback(const char *url)
{
    static const char *const hosts[] = {"localhost", "127.", "[::1]", "0.0.0.0"};
    const char *host = strstr(url, "://");

    host = host != NULL ? host + 3 : url;
    for (size_t i = 0; i < PJ_COUNT_OF(hosts); i++)
        if (strncasecmp(host, hosts[i], strlen(hosts[i])) == 0)
            return true;
    return false;
}

static bool is_unreachable(const struct api *api)
{
    return is_loopback(api->public_url) && !api->settings.allow_loopback_callback;
}

bool execute_would_be_allowed(const struct request *req, const struct pj_repo *repo, int executor)
{
    return repo->status == PJ_REPO_CONNECTED &&
           (executor != PJ_EXECUTOR_GITHUB_ACTIONS ||
            (is_github(req, repo) && !is_unreachable(req->api)));
}

static bool actions_allowed(struct request *req, const struct pj_repo *repo)
{
    const struct api *api = req->api;

    if (!is_github(req, repo)) {
        reply_problem(
            req, 422, "executor_unavailable", "use the executor sandbox",
            "the executor github_actions works for repositories on a forge of kind github");
        return false;
    }
    if (is_unreachable(api)) {
        reply_problem(req, 422, "public_url_unreachable",
                      "set PJ_PUBLIC_URL to an address that GitHub's runners reach, or "
                      "PJ_ALLOW_LOOPBACK_CALLBACK=1 for "
                      "self-hosted ones on this machine",
                      "a workflow could not report to %s", api->public_url);
        return false;
    }
    return true;
}

bool execute_allowed(struct request *req, const struct pj_repo *repo, int executor)
{
    if (repo == NULL || repo->status != PJ_REPO_CONNECTED) {
        char cause[500] = "it was removed";
        if (repo != NULL)
            snprintf(cause, sizeof cause, "%s",
                     repo->status_cause != NULL ? repo->status_cause : "it is invalid");
        reply_problem(
            req, 422, "repository_not_connected",
            repo != NULL
                ? "repair its credential or branch with PATCH /api/v1/repositories/{id}, then POST "
                  "/api/v1/repositories/{id}/verify"
                : "connect it with POST /api/v1/repositories and make the task there",
            "the task's repository is not connected: %s", cause);
        return false;
    }
    return executor != PJ_EXECUTOR_GITHUB_ACTIONS || actions_allowed(req, repo);
}
