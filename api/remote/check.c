#include "api/remote/check.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/base/pump.h"
#include "lib/forge/app_token.h"
#include "lib/forge/hosts.h"
#include "lib/forge/permissions.h"
#include "lib/git/remote.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"

#define APP_TOKEN_MAX 8192

struct check {
    const struct remote_question *q;
    struct pj_repo_address address;
    struct remote_answer *answer;
};

static bool is_private_v4(uint32_t a)
{
    return a >> 24 == 0 || a >> 24 == 10 || a >> 24 == 127 || a >> 20 == 0xac1 ||
           a >> 16 == 0xc0a8 || a >> 16 == 0xa9fe || a >> 22 == 0x191 || a >> 28 >= 0xe;
}

/* Public hosts must not lead us into the operator's network (a name can point anywhere); hosts that the operator listed may be in
 * it. */
static bool may_reach(void *ctx, const struct sockaddr *addr, socklen_t n)
{
    const struct check *check = ctx;

    (void)n;
    if (check->q->forges != NULL)
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

static bool wants_app(const struct check *check)
{
    const struct remote_question *q = check->q;

    return q->app_id != NULL && q->app_private_key != NULL && q->token == NULL &&
           !check->address.is_path && check->address.forge->kind == PJ_FORGE_GITHUB;
}

/* A token of the GitHub App for this repository; its text is the caller's to wipe. */
static int mint(const struct check *check, struct pj_str *token, struct pj_err *err)
{
    const struct remote_question *q = check->q;
    const struct pj_app app = {q->app_id, q->app_private_key, false};
    struct pj_http *http = pj_http_new(q->ca_file);
    const struct pj_rest rest = {
        .http = http, .forge = check->address.forge, .timeout_ms = q->timeout_ms};
    int64_t expires_ms;

    int rc = pj_app_token_mint(&rest, &app, check->address.owner, check->address.name, token,
                               &expires_ms, err);
    pj_http_free(http);
    return rc;
}

/* A credential that may read but not do what a task ends with: better said now than after a model was paid. */
static int may_publish(const struct check *check, const char *token, struct pj_err *err)
{
    struct pj_http *http = pj_http_new(check->q->ca_file);
    const struct pj_rest rest = {.http = http,
                                 .forge = check->address.forge,
                                 .token = token,
                                 .timeout_ms = check->q->timeout_ms};

    int rc = pj_forge_permissions(&rest, &check->address, false, err);
    pj_http_free(http);
    return rc;
}

static int person(const struct check *check, const char *token, struct pj_err *err)
{
    struct pj_http *http = pj_http_new(check->q->ca_file);
    const struct pj_rest rest = {.http = http,
                                 .forge = check->address.forge,
                                 .token = token,
                                 .timeout_ms = check->q->timeout_ms};
    struct pj_rest_answer answer;
    struct pj_str path;

    pj_str_init(&path, 2048);
    (void)pj_str_puts(&path, "/repos/");
    pj_url_escape(&path, check->address.owner);
    (void)pj_str_putc(&path, '/');
    pj_url_escape(&path, check->address.name);
    (void)pj_str_puts(&path, "/collaborators/");
    pj_url_escape(&path, check->q->login);
    (void)pj_str_puts(&path, "/permission");
    int rc = pj_rest_call(&rest, "GET", pj_str_cstr(&path), NULL, &answer, err);
    if (rc == 0 && answer.status == 404)
        check->answer->permission = pj_strdup("none");
    else if (rc == 0 && answer.status != 200)
        rc = pj_rest_fail(&answer, "ask what a person may do", err);
    else if (rc == 0)
        check->answer->permission = pj_strdup(pj_json_str(answer.doc, "permission", "none"));
    pj_rest_answer_release(&answer);
    pj_str_release(&path);
    pj_http_free(http);
    return rc;
}

static int reach(struct check *check, const char *app_token, struct pj_err *err)
{
    const struct remote_question *q = check->q;
    const struct pj_credential_choice choice = {.repository_token = q->token,
                                                .repository_username = q->username,
                                                .app_token = app_token,
                                                .env_token = q->env_token};
    struct pj_credential credential = {0};
    struct pj_remote_head head;

    enum pj_credential_source source = pj_credential_choose(
        check->address.forge, &choice, &credential.token, &credential.username);
    check->answer->credential_source = source == PJ_CREDENTIAL_NONE ? -1 : (int64_t)source;
    if (q->login != NULL)
        return person(check, credential.token, err);
    const struct pj_git_net net = {.credential = &credential,
                                   .ca_file = q->ca_file,
                                   .timeout_ms = q->timeout_ms,
                                   .allow = may_reach,
                                   .allow_ctx = check};
    if (pj_remote_check(q->url, &net, q->branch, &head, err) < 0)
        return -1;
    if (credential.token != NULL && check->address.forge->kind != PJ_FORGE_GIT &&
        may_publish(check, credential.token, err) < 0)
        return -1;
    check->answer->reached = true;
    check->answer->branch = pj_strdup(head.branch);
    return 0;
}

static int run(struct check *check, struct pj_err *err)
{
    struct pj_forges *forges = NULL;
    struct pj_str minted;
    const struct pj_forges_spec spec = {check->q->forges, check->q->github_api_url, NULL};

    if (pj_forges_load(&spec, &forges, err) < 0)
        return -1;
    pj_str_init(&minted, APP_TOKEN_MAX);
    int rc = pj_repo_address_parse(forges, check->q->url, &check->address, err);
    if (rc == 0 && wants_app(check))
        rc = mint(check, &minted, err);
    if (rc == 0)
        rc = reach(check, minted.len > 0 ? pj_str_cstr(&minted) : NULL, err);
    if (minted.data != NULL)
        pj_wipe(minted.data, minted.len);
    pj_str_release(&minted);
    pj_repo_address_release(&check->address);
    pj_forges_free(forges);
    return rc;
}

void remote_check(const struct remote_question *q, struct remote_answer *out)
{
    struct check check = {.q = q, .answer = out};
    struct pj_err err = {0};

    out->credential_source = -1;
    if (run(&check, &err) == 0)
        return;
    out->cls = err.cls;
    out->code = pj_strdup(err.code);
    out->message = pj_strdup(err.message);
    out->remedy = pj_strdup(err.remedy);
}
