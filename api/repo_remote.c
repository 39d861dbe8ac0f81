#include "api/repo_remote.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/pool.h"
#include "api/reply.h"
#include "lib/base/mem.h"
#include "lib/forge/app_token.h"
#include "lib/forge/hosts.h"
#include "lib/git/remote.h"
#include "lib/http/client.h"

#define CHECK_MS 20000
#define APP_TOKEN_MAX 8192

struct check {
    struct request *req;
    struct pool *pool;
    char *url, *branch, *token, *username; /* the repository's own credential; NULL: none */
    /* Read-only for the life of the process: */
    const struct pj_forges *forges;
    const char *ca_file, *env_token;
    struct pj_app app;
    bool listed; /* the operator named this host: it may be on a private address */
    struct repo_remote_answer answer;
    repo_remote_then *then;
};

int repo_remote_address(struct request *req, const char *text, char **url, char **name)
{
    struct pj_repo_address address = {0};
    struct pj_err err;

    if (pj_repo_address_parse(req->api->forges, text, &address, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND) {
            pj_err_code(&err, "repository_unreachable");
            reply_err_status(req, 422, &err);
        } else if (err.cls == PJ_E_FORBIDDEN) {
            reply_err_status(req, 422, &err);
        } else if (err.cls == PJ_E_INVALID) {
            reply_fault(req, "url", "%.150s", err.message);
        } else {
            reply_err(req, &err);
        }
        return -1;
    }
    *url = pj_strdup(address.url);
    *name = address.owner != NULL && address.owner[0] != '\0'
                ? pj_asprintf("%s/%s", address.owner, address.name)
                : pj_strdup(address.name);
    pj_repo_address_release(&address);
    return 0;
}

static bool is_private_v4(uint32_t a)
{
    return a >> 24 == 0 || a >> 24 == 10 || a >> 24 == 127 || a >> 20 == 0xac1 ||
           a >> 16 == 0xc0a8 || a >> 16 == 0xa9fe || a >> 22 == 0x191 || a >> 28 >= 0xe;
}

/* Public hosts must not lead us into the operator's network (a name can point anywhere). */
static bool may_reach(void *ctx, const struct sockaddr *addr, socklen_t n)
{
    const struct check *check = ctx;

    (void)n;
    if (check->listed)
        return true;
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, addr, sizeof in);
        return !is_private_v4(ntohl(in.sin_addr.s_addr));
    }
    if (addr->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 in6;
    memcpy(&in6, addr, sizeof in6);
    const uint8_t *b = in6.sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
        return !is_private_v4((uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 |
                              b[15]);
    return (b[0] & 0xe0) == 0x20; /* 2000::/3, global unicast (RFC 4291) */
}

static int wait_end(void *ctx, const struct pollfd *fds, size_t n, struct pj_err *err)
{
    const struct check *check = ctx;

    (void)fds;
    (void)n;
    return pool_is_ending(check->pool) ? pj_fail(err, PJ_E_CANCELLED, "the server is stopping") : 0;
}

static size_t wait_want(void *ctx, struct pollfd *fds, size_t cap, int *timeout_ms)
{
    (void)ctx;
    (void)fds;
    (void)cap;
    if (*timeout_ms < 0 || *timeout_ms > 500)
        *timeout_ms = 500; /* a stopping server is noticed within that */
    return 0;
}

static bool wants_app(const struct check *check, const struct pj_repo_address *address)
{
    return check->app.id != NULL && check->app.private_key != NULL && check->token == NULL &&
           !address->is_path && address->forge->kind == PJ_FORGE_GITHUB;
}

/* A token of the GitHub App for this repository; its text is the caller's to wipe. */
static int mint(struct check *check, const struct pj_repo_address *address,
                const struct pj_pump *pump, struct pj_str *token)
{
    struct pj_http *http = pj_http_new(check->ca_file);
    const struct pj_rest rest = {
        .http = http, .forge = address->forge, .timeout_ms = CHECK_MS, .pump = pump};
    int64_t expires_ms;

    int rc = pj_app_token_mint(&rest, &check->app, address->owner, address->name, token,
                               &expires_ms, &check->answer.err);
    pj_http_free(http);
    return rc;
}

static void reach(struct check *check, const struct pj_repo_address *address,
                  const struct pj_pump *pump, const char *app_token)
{
    const struct pj_credential_choice choice = {.repository_token = check->token,
                                                .repository_username = check->username,
                                                .app_token = app_token,
                                                .env_token = check->env_token};
    struct pj_credential credential = {0};
    struct pj_remote_head head;

    enum pj_credential_source source =
        pj_credential_choose(address->forge, &choice, &credential.token, &credential.username);
    check->answer.credential_source =
        source == PJ_CREDENTIAL_NONE ? -1 : (int)source; /* the order of both enums */
    const struct pj_git_net net = {.credential = &credential,
                                   .ca_file = check->ca_file,
                                   .timeout_ms = CHECK_MS,
                                   .pump = pump,
                                   .allow = may_reach,
                                   .allow_ctx = check};
    if (pj_remote_check(check->url, &net, check->branch, &head, &check->answer.err) < 0)
        return;
    check->answer.reached = true;
    snprintf(check->answer.branch, sizeof check->answer.branch, "%s", head.branch);
}

static void work(void *arg)
{
    struct check *check = arg;
    const struct pj_pump pump = {check, wait_want, wait_end};
    struct pj_repo_address address = {0};
    struct pj_str minted;

    if (pj_repo_address_parse(check->forges, check->url, &address, &check->answer.err) < 0)
        return;
    pj_str_init(&minted, APP_TOKEN_MAX);
    if (!wants_app(check, &address) || mint(check, &address, &pump, &minted) == 0)
        reach(check, &address, &pump, minted.len > 0 ? pj_str_cstr(&minted) : NULL);
    if (minted.data != NULL)
        pj_wipe(minted.data, minted.len);
    pj_str_release(&minted);
    pj_repo_address_release(&address);
}

static void free_check(struct check *check)
{
    if (check->token != NULL)
        pj_wipe(check->token, strlen(check->token));
    free(check->url);
    free(check->branch);
    free(check->token);
    free(check->username);
    free(check);
}

static void done(void *arg)
{
    struct check *check = arg;

    if (!check->answer.reached && check->answer.err.cls == PJ_E_OK)
        pj_fail(&check->answer.err, PJ_E_CANCELLED, "the server is stopping");
    check->then(check->req, &check->answer);
    free_check(check);
}

void repo_remote_check(struct request *req, const char *url, const char *branch, const char *token,
                       const char *username, repo_remote_then *then)
{
    const struct settings *settings = &req->api->settings;
    struct check *check = pj_alloc(1, sizeof *check);

    check->req = req;
    check->pool = req->api->pool;
    check->url = pj_strdup(url);
    check->branch = pj_strdup_or_null(branch);
    check->token = token != NULL && token[0] != '\0' ? pj_strdup(token) : NULL;
    check->username = pj_strdup_or_null(username);
    check->forges = req->api->forges;
    check->ca_file = settings->ca_file;
    check->env_token = settings->github_token;
    check->app = (struct pj_app){settings->github_app_id, settings->github_app_private_key};
    check->answer.credential_source = -1;
    check->listed = settings->forges != NULL;
    check->then = then;
    if (!pool_submit(req->api->pool, work, done, check)) {
        free_check(check);
        reply_problem(req, 503, "busy", "try again in a moment",
                      "too many repositories are being checked at once");
    }
}
