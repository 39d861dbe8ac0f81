#include "runner/forge_view.h"

#include <stdlib.h>
#include "lib/base/mem.h"
#include "lib/store/repos.h"

static int read_repo(const struct forge_view_spec *spec, const char *id, struct pj_repo *out,
                     struct pj_err *err)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};

    pj_repo_get_cmd(&cmd, id);
    if (pj_redis_do(spec->redis, &cmd, &reply, err) < 0)
        return -1;
    return pj_repo_reply(reply, out, err);
}

static int unseal(const struct runner_settings *settings, const struct pj_repo *repo,
                  struct pj_str *token, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *context = pj_asprintf("repo:%s:credential", repo->id);

    if (repo->credential_sealed == NULL)
        return 0;
    if (pj_unseal(settings->keyring, context, pj_view_of(repo->credential_sealed), token, err) < 0)
        return -1;
    pj_redact_add(settings->redact, pj_str_cstr(token));
    return 0;
}

static int find_credential(const struct forge_view_spec *spec, struct forge_view *v,
                           struct pj_err *err)
{
    const struct runner_settings *s = spec->settings;
    struct pj_str token;
    struct credential_spec want = {
        .address = &v->address,
        .given = {.repository_username = v->repo.credential_username, .env_token = s->github_token},
        .app = {.id = s->github_app_id,
                .private_key = s->github_app_private_key,
                .actions = spec->actions,
                .issues = spec->issues},
        .ca_file = s->ca_file,
        .retry_base_ms = s->retry_base_ms,
        .redact = s->redact,
    };
    int rc;

    pj_str_init(&token, 65536);
    rc = unseal(s, &v->repo, &token, err);
    if (rc == 0) {
        want.given.repository_token = token.len > 0 ? pj_str_cstr(&token) : NULL;
        rc = credential_get(&want, &v->credential, err);
    }
    if (token.data != NULL)
        pj_wipe(token.data, token.len);
    pj_str_release(&token);
    return rc;
}

int forge_view_open(const struct forge_view_spec *spec, const char *repository_id,
                    struct forge_view *out, struct pj_err *err)
{
    *out = (struct forge_view){0};
    pj_repo_init(&out->repo);
    if (read_repo(spec, repository_id, &out->repo, err) < 0 ||
        pj_repo_address_parse(spec->forges, out->repo.url, &out->address, err) < 0)
        return -1;
    return find_credential(spec, out, err);
}

void forge_view_release(struct forge_view *view)
{
    credential_release(&view->credential);
    pj_repo_address_release(&view->address);
    pj_repo_release(&view->repo);
}
