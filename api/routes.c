#include "api/routes.h"

#include <string.h>
#include "api/admin.h"
#include "api/auth.h"
#include "api/auth_session.h"
#include "api/health.h"
#include "api/hooks.h"
#include "api/http_parse.h"
#include "api/logs.h"
#include "api/pages.h"
#include "api/people.h"
#include "api/repos.h"
#include "api/request.h"
#include "api/tasks.h"

#define K 1024

#define P "/api/v1"
#define IDEM ROUTE_IDEMPOTENT

/* Sorted by path, then method. */
const struct route route_table[] = {
    {METHOD_GET, "/", SCOPE_PUBLIC, 0, ROUTE_PAGE, page_shell},
    {METHOD_GET, "/account", SCOPE_PUBLIC, 0, ROUTE_PAGE, page_shell},
    {METHOD_GET, "/admin", SCOPE_PUBLIC, 0, ROUTE_PAGE, page_shell},
    {METHOD_GET, P "/admin/analytics", SCOPE_ADMIN_READ, 0, 0, admin_analytics}, /* R11.3 */
    {METHOD_GET, P "/admin/audit", SCOPE_ADMIN_READ, 0, 0, admin_audit},
    {METHOD_GET, P "/admin/autoscale", SCOPE_ADMIN_READ, 0, 0, admin_autoscale},
    {METHOD_GET, P "/admin/outbox", SCOPE_ADMIN_READ, 0, 0, admin_outbox},
    {METHOD_GET, P "/admin/runners", SCOPE_ADMIN_READ, 0, 0, admin_runners},
    {METHOD_POST, P "/admin/runners/:name/drain", SCOPE_ADMIN_WRITE, 4 * K, IDEM, admin_drain},
    {METHOD_GET, P "/events", SCOPE_TASKS_READ, 0, 0, events_stream},
    {METHOD_GET, P "/me", SCOPE_SELF, 0, 0, me_get},
    {METHOD_GET, P "/openapi.json", SCOPE_PUBLIC, 0, 0, docs_openapi},
    {METHOD_GET, P "/repositories", SCOPE_REPOS_READ, 0, 0, repo_list},
    {METHOD_POST, P "/repositories", SCOPE_REPOS_WRITE, 64 * K, IDEM, repo_create},
    {METHOD_DELETE, P "/repositories/:id", SCOPE_REPOS_WRITE, 0, 0, repo_delete},
    {METHOD_GET, P "/repositories/:id", SCOPE_REPOS_READ, 0, 0, repo_get},
    {METHOD_PATCH, P "/repositories/:id", SCOPE_REPOS_WRITE, 64 * K, 0, repo_edit},
    {METHOD_DELETE, P "/repositories/:id/analysis", SCOPE_REPOS_WRITE, 0, 0, analysis_delete},
    {METHOD_GET, P "/repositories/:id/analysis", SCOPE_REPOS_READ, 0, 0, analysis_get},
    {METHOD_PUT, P "/repositories/:id/analysis", SCOPE_REPOS_WRITE, 1024 * K, 0,
     analysis_put}, /* R2.2 */
    {METHOD_POST, P "/repositories/:id/verify", SCOPE_REPOS_WRITE, 4 * K, IDEM, repo_verify},
    {METHOD_POST, P "/repositories/:id/webhook-secret", SCOPE_REPOS_WRITE, 4 * K, IDEM,
     repo_webhook_secret},
    {METHOD_DELETE, P "/session", SCOPE_SELF, 0, 0, session_delete},
    {METHOD_POST, P "/session", SCOPE_PUBLIC, 4 * K, 0, session_create},
    {METHOD_GET, P "/tasks", SCOPE_TASKS_READ, 0, 0, task_list},
    {METHOD_POST, P "/tasks", SCOPE_TASKS_WRITE, 512 * K, IDEM, task_create},
    {METHOD_DELETE, P "/tasks/:id", SCOPE_TASKS_WRITE, 0, 0, task_delete},
    {METHOD_GET, P "/tasks/:id", SCOPE_TASKS_READ, 0, 0, task_get},
    {METHOD_PATCH, P "/tasks/:id", SCOPE_TASKS_WRITE, 512 * K, 0, task_edit},
    {METHOD_POST, P "/tasks/:id/answer", SCOPE_TASKS_WRITE, 128 * K, IDEM, task_answer}, /* R2.3 */
    {METHOD_POST, P "/tasks/:id/cancel", SCOPE_TASKS_WRITE, 4 * K, IDEM, task_cancel},
    {METHOD_POST, P "/tasks/:id/execute", SCOPE_TASKS_WRITE, 4 * K, IDEM,
     task_execute},                                                       /* R1.1 R1.2 R1.3 */
    {METHOD_GET, P "/tasks/:id/logs", SCOPE_TASKS_READ, 0, 0, logs_page}, /* R6.3 */
    {METHOD_GET, P "/tasks/:id/logs/stream", SCOPE_TASKS_READ, 0, 0, logs_stream},       /* R6.1 */
    {METHOD_GET, P "/tasks/:id/patch", SCOPE_TASKS_READ, 0, 0, task_patch},              /* R3.2 */
    {METHOD_POST, P "/tasks/:id/publish", SCOPE_TASKS_WRITE, 4 * K, IDEM, task_publish}, /* R3.2 */
    {METHOD_POST, P "/tasks/:id/retry", SCOPE_TASKS_WRITE, 128 * K, IDEM, task_retry},   /* R3.2 */
    {METHOD_GET, P "/tasks/:id/trajectory", SCOPE_TASKS_READ, 0, 0, task_trajectory},
    {METHOD_GET, P "/tasks/:id/usage", SCOPE_TASKS_READ, 0, 0, task_usage}, /* R11.1 */
    {METHOD_GET, P "/tasks/:id/wait", SCOPE_TASKS_READ, 0, 0, task_wait},
    {METHOD_GET, P "/tokens", SCOPE_SELF, 0, 0, token_list},
    {METHOD_POST, P "/tokens", SCOPE_TOKENS_WRITE, 16 * K, IDEM, token_create},
    {METHOD_DELETE, P "/tokens/:id", SCOPE_TOKENS_WRITE, 0, 0, token_delete},
    {METHOD_GET, P "/users", SCOPE_ADMIN_READ, 0, 0, user_list},
    {METHOD_POST, P "/users", SCOPE_ADMIN_WRITE, 16 * K, IDEM, user_create},
    {METHOD_DELETE, P "/users/:id", SCOPE_ADMIN_WRITE, 0, 0, user_delete},
    {METHOD_PATCH, P "/users/:id", SCOPE_ADMIN_WRITE, 16 * K, 0, user_edit},
    {METHOD_POST, P "/webhooks/execution/:repositoryId", SCOPE_PUBLIC, 1024 * K, ROUTE_RAW,
     hook_execution}, /* R5.1-R5.4 */
    {METHOD_POST, P "/webhooks/github", SCOPE_PUBLIC, 1024 * K, ROUTE_RAW, hook_github},
    {METHOD_GET, "/assets/:name", SCOPE_PUBLIC, 0, ROUTE_PAGE, page_asset},
    {METHOD_GET, "/docs", SCOPE_PUBLIC, 0, 0, docs_page},
    {METHOD_GET, "/livez", SCOPE_PUBLIC, 0, ROUTE_METRICS, health_live},
    {METHOD_GET, "/metrics", SCOPE_METRICS, 0, ROUTE_METRICS, metrics_get}, /* R11.3 */
    {METHOD_GET, "/new", SCOPE_PUBLIC, 0, ROUTE_PAGE, page_shell},
    {METHOD_GET, "/readyz", SCOPE_PUBLIC, 0, ROUTE_METRICS, health_ready},
    {METHOD_GET, "/repositories", SCOPE_PUBLIC, 0, ROUTE_PAGE, page_shell},
    {METHOD_GET, "/repositories/:id", SCOPE_PUBLIC, 0, ROUTE_PAGE, page_shell},
    {METHOD_GET, "/setup", SCOPE_PUBLIC, 0, ROUTE_PAGE, page_shell},
    {METHOD_GET, "/tasks/:id", SCOPE_PUBLIC, 0, ROUTE_PAGE, page_shell},
};

const size_t route_count = PJ_COUNT_OF(route_table);

const char *method_name(enum method method)
{
    switch (method) {
    case METHOD_GET:
        return "GET";
    case METHOD_POST:
        return "POST";
    case METHOD_PUT:
        return "PUT";
    case METHOD_PATCH:
        return "PATCH";
    case METHOD_DELETE:
        return "DELETE";
    }
    return "";
}

/* Does `pattern` describe the raw `path`? Parameters are decoded into params. */
static bool match(const char *pattern, struct pj_view path, char (*params)[REQUEST_PARAM_SIZE])
{
    size_t at = 0, count = 0;

    while (*pattern != '\0') {
        if (*pattern != ':') {
            if (at == path.n || path.p[at] != *pattern)
                return false;
            pattern++;
            at++;
            continue;
        }
        size_t begin = at;
        while (at < path.n && path.p[at] != '/')
            at++;
        if (at == begin || count == REQUEST_PARAMS_MAX ||
            http_unescape(pj_view_n(path.p + begin, at - begin), false, params[count],
                          REQUEST_PARAM_SIZE) < 0)
            return false;
        count++;
        pattern += strcspn(pattern, "/");
    }
    return at == path.n;
}

const struct route *route_find(struct pj_view method, struct pj_view path,
                               char (*params)[REQUEST_PARAM_SIZE], unsigned *allowed)
{
    *allowed = 0;
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &route_table[i];
        if (!match(r->path, path, params))
            continue;
        if (pj_view_is(method, method_name(r->method)) ||
            (r->method == METHOD_GET && pj_view_is(method, "HEAD")))
            return r;
        *allowed |= r->method;
    }
    return NULL;
}
