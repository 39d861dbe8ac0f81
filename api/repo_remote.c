#include "api/repo_remote.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/pool.h"
#include "api/reply.h"
#include "lib/base/mem.h"
#include "lib/forge/hosts.h"
#include "lib/git/remote.h"

#define CHECK_MS 20000

struct check {
    struct request *req;
    struct pool *pool;
    char *url, *branch, *token, *username;
    const char *ca_file;
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
    *name = address.owner != NULL && address.owner[0] != '\0' ? pj_asprintf("%s/%s", address.owner, address.name)
                                                              : pj_strdup(address.name);
    pj_repo_address_release(&address);
    return 0;
}

static bool is_private_v4(uint32_t a)
{
    return a >> 24 == 0 || a >> 24 == 10 || a >> 24 == 127 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 ||
           a >> 16 == 0xa9fe || a >> 22 == 0x191 || a >> 28 >= 0xe;
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
        return !is_private_v4((uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 | b[15]);
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

static void work(void *arg)
{
    struct check *check = arg;
    const struct pj_credential credential = {check->username, check->token};
    const struct pj_pump pump = {check, wait_want, wait_end};
    const struct pj_git_net net = {.credential = &credential, .ca_file = check->ca_file, .timeout_ms = CHECK_MS,
                                   .pump = &pump, .allow = may_reach, .allow_ctx = check};
    struct pj_remote_head head;

    if (pj_remote_check(check->url, &net, check->branch, &head, &check->answer.err) < 0)
        return;
    check->answer.reached = true;
    snprintf(check->answer.branch, sizeof check->answer.branch, "%s", head.branch);
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

/* The credential, in the contract's order. */
static int choose(struct check *check, const char *token, const char *username, struct pj_err *err)
{
    const struct api *api = check->req->api;
    const struct pj_credential_choice choice = {.repository_token = token, .repository_username = username,
                                                .env_token = api->settings.github_token};
    struct pj_repo_address address = {0};
    const char *chosen = NULL, *user = NULL;

    if (pj_repo_address_parse(api->forges, check->url, &address, err) < 0)
        return -1;
    enum pj_credential_source source = pj_credential_choose(address.forge, &choice, &chosen, &user);
    const char *word = pj_credential_source_word(source);
    static const char *const words[] = {"repository", "app", "forge", "env"};
    check->answer.credential_source = -1;
    for (size_t i = 0; word != NULL && i < PJ_COUNT_OF(words); i++)
        if (strcmp(words[i], word) == 0)
            check->answer.credential_source = (int)i;
    check->token = pj_strdup_or_null(chosen);
    check->username = pj_strdup_or_null(user);
    pj_repo_address_release(&address);
    return 0;
}

void repo_remote_check(struct request *req, const char *url, const char *branch, const char *token,
                       const char *username, repo_remote_then *then)
{
    struct check *check = pj_alloc(1, sizeof *check);

    check->req = req;
    check->pool = req->api->pool;
    check->url = pj_strdup(url);
    check->branch = pj_strdup_or_null(branch);
    check->ca_file = req->api->settings.ca_file;
    check->listed = req->api->settings.forges != NULL;
    check->then = then;
    if (choose(check, token, username, &check->answer.err) < 0) {
        then(req, &check->answer);
        free_check(check);
        return;
    }
    if (!pool_submit(req->api->pool, work, done, check)) {
        free_check(check);
        reply_problem(req, 503, "busy", "try again in a moment", "too many repositories are being checked at once");
    }
}
