#include "api/execute.h"

#include <stdio.h>
#include "api/api.h"
#include "api/reply.h"
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

bool execute_allowed(struct request *req, const struct pj_repo *repo, int executor)
{
    if (repo == NULL || repo->status != PJ_REPO_CONNECTED) {
        char cause[500] = "it was removed";
        if (repo != NULL)
            snprintf(cause, sizeof cause, "%s", repo->status_cause != NULL ? repo->status_cause : "it is invalid");
        reply_problem(req, 422, "repository_not_connected",
                      repo != NULL ? "repair its credential or branch with PATCH /api/v1/repositories/{id}, then POST "
                                     "/api/v1/repositories/{id}/verify"
                                   : "connect it with POST /api/v1/repositories and make the task there",
                      "the task's repository is not connected: %s", cause);
        return false;
    }
    if (executor == PJ_EXECUTOR_GITHUB_ACTIONS) {
        reply_problem(req, 422, "executor_unavailable", "use the executor sandbox",
                      "no runner of this installation carries out github_actions tasks");
        return false;
    }
    return true;
}
