#include "lib/store/repos.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/keys.h"
#include "lib/store/sha1.h"
#include "lib/task/state.h"

static const char *repo_key(char out[PJ_KEY_SIZE], const char *id)
{
    char name[PJ_KEY_SIZE];

    (void)snprintf(name, sizeof(name), "repo:%.100s", id);
    return pj_key_global(out, name);
}

static void put(struct pj_cmd *cmd, const char *how, const struct pj_repo *repo,
                const char *version)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = pj_repo_wire(repo);
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "repo_put");
    pj_cmd_text(cmd, repo_key(key, repo->id));
    pj_cmd_text(cmd, how);
    pj_cmd_text(cmd, repo->id);
    pj_cmd_text(cmd, repo->owner);
    pj_cmd_text(cmd, repo->url);
    pj_cmd_int(cmd, repo->visibility == PJ_REPO_SHARED);
    pj_cmd_text(cmd, pj_repo_status_words[repo->status]);
    pj_cmd_text(cmd, repo->status_cause);
    pj_cmd_int(cmd, repo->verified_ms);
    pj_cmd_text(cmd, text);
    pj_cmd_text(cmd, version);
}

void pj_repo_create_cmd(struct pj_cmd *cmd, const struct pj_repo *repo)
{
    put(cmd, "new", repo, "");
}

void pj_repo_update_cmd(struct pj_cmd *cmd, const struct pj_repo *repo)
{
    put(cmd, "old", repo, repo->version);
    cmd->repeatable = false; /* its own change would refuse it */
}

static void repo_script(struct pj_cmd *cmd, const char *name, const char *id)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, name);
    pj_cmd_text(cmd, repo_key(key, id));
}

void pj_repo_get_cmd(struct pj_cmd *cmd, const char *id)
{
    repo_script(cmd, "repo_get", id);
}

void pj_repo_status_cmd(struct pj_cmd *cmd, const char *id, enum pj_repo_status status,
                        const char *cause)
{
    repo_script(cmd, "repo_status", id);
    pj_cmd_text(cmd, pj_repo_status_words[status]);
    pj_cmd_text(cmd, cause);
}

/* Members kept beside the document take its place. */
static void override(struct pj_repo *repo, const struct redisReply *hash)
{
    for (size_t i = 0; i + 1 < pj_reply_count(hash); i += 2) {
        struct pj_view name = pj_reply_view(pj_reply_at(hash, i));
        const struct redisReply *value = pj_reply_at(hash, i + 1);

        if (pj_view_is(name, "status"))
            repo->status = pj_word_index(pj_repo_status_words, pj_reply_view(value).p);
        else if (pj_view_is(name, "created"))
            repo->created_ms = pj_reply_int(value, 0);
        else if (pj_view_is(name, "updated"))
            repo->updated_ms = pj_reply_int(value, 0);
        else if (pj_view_is(name, "verified"))
            repo->verified_ms = pj_reply_int(value, 0);
        else if (pj_view_is(name, "cause")) {
            free(repo->status_cause);
            repo->status_cause = pj_reply_dup(value);
        }
    }
}

/* As lua/repo_put.1.lua reckons it. */
static void set_version(struct pj_repo *repo, struct pj_view doc, struct pj_view status,
                        struct pj_view cause)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;

    pj_str_init(&text, SIZE_MAX); /* what Redis just sent */
    (void)pj_str_append(&text, doc.p, doc.n);
    (void)pj_str_putc(&text, '\n');
    (void)pj_str_append(&text, status.p, status.n);
    (void)pj_str_putc(&text, '\n');
    (void)pj_str_append(&text, cause.p, cause.n);
    pj_sha1_hex(text.data, text.len, repo->version);
}

static int repo_from(const struct redisReply *hash, struct pj_repo *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_view text = {0}, status = {0}, cause = {0};
    struct pj_repo repo;

    for (size_t i = 0; i + 1 < pj_reply_count(hash); i += 2) {
        struct pj_view name = pj_reply_view(pj_reply_at(hash, i)),
                       value = pj_reply_view(pj_reply_at(hash, i + 1));

        if (pj_view_is(name, "doc"))
            text = value;
        else if (pj_view_is(name, "status"))
            status = value;
        else if (pj_view_is(name, "cause"))
            cause = value;
    }
    if (pj_json_parse(text, &doc, err) < 0 || pj_repo_from_wire(doc, &repo, err) < 0)
        return pj_err_wrap(err, "a repository in Redis is damaged");
    override(&repo, hash);
    set_version(&repo, text, status, cause);
    if (repo.id && repo.owner && repo.url && repo.status >= 0) {
        *out = repo;
        return 0;
    }
    pj_repo_release(&repo);
    return pj_fail(err, PJ_E_PROTOCOL, "a repository in Redis is damaged");
}

int pj_repo_reply(const struct redisReply *reply, struct pj_repo *out, struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    return repo_from(pj_reply_at(reply, 1), out, err);
}

void pj_repo_delete_cmd(struct pj_cmd *cmd, const char *id)
{
    repo_script(cmd, "repo_delete", id);
    pj_cmd_text(cmd, id);
}

int pj_repo_delete_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}

void pj_repo_list_cmd(struct pj_cmd *cmd, const char *viewer, const char *before, int64_t limit)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "repo_list");
    pj_cmd_text(cmd, pj_key_global(key, "repos"));
    pj_cmd_int(cmd, limit < 1 ? 1 : limit > PJ_REPO_PAGE_MAX ? PJ_REPO_PAGE_MAX : limit);
    pj_cmd_text(cmd, before);
    pj_cmd_text(cmd, viewer);
}

int pj_repo_list_reply(const struct redisReply *reply, struct pj_repo_page *out, struct pj_err *err)
{
    struct pj_repo_page page = {0};
    size_t n = pj_reply_count(reply);

    if (pj_reply_word(reply, err) < 0)
        return -1;
    page.items = pj_alloc(n, sizeof(struct pj_repo *));
    for (size_t i = 2; i < n; i++) {
        struct pj_repo *repo = pj_alloc(1, sizeof(*repo));

        if (repo_from(pj_reply_at(reply, i), repo, err) < 0) {
            free(repo);
            pj_repo_page_release(&page);
            return -1;
        }
        page.items[page.count++] = repo;
    }
    page.next = pj_reply_dup(pj_reply_at(reply, 1));
    *out = page;
    return 0;
}

void pj_repo_page_release(struct pj_repo_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        pj_repo_free(page->items[i]);
    free(page->items);
    free(page->next);
    *page = (struct pj_repo_page){0};
}

void pj_repo_shared_cmd(struct pj_cmd *cmd)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_start(cmd, "SMEMBERS");
    pj_cmd_text(cmd, pj_key_global(key, "repos:shared"));
    cmd->repeatable = true;
}

int pj_repo_shared_reply(const struct redisReply *reply, char ***ids, struct pj_err *err)
{
    size_t n = pj_reply_count(reply), used = 0;
    char **out = pj_alloc(n + 1, sizeof(*out));

    (void)err;
    for (size_t i = 0; i < n; i++) {
        char *id = pj_reply_dup(pj_reply_at(reply, i));

        if (id)
            out[used++] = id;
    }
    *ids = out;
    return 0;
}

void pj_repo_by_url_cmd(struct pj_cmd *cmd, const char *url)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "repo_by_url");
    pj_cmd_text(cmd, pj_key_global(key, "repos"));
    pj_cmd_text(cmd, url);
}

void pj_repo_analysis_put_cmd(struct pj_cmd *cmd, const char *id, struct pj_view text)
{
    repo_script(cmd, "repo_analysis", id);
    pj_cmd_add(cmd, text.p, text.n);
}

void pj_repo_analysis_swap_cmd(struct pj_cmd *cmd, const char *id, struct pj_view before,
                               struct pj_view text)
{
    char digest[41] = "";

    if (before.p)
        pj_sha1_hex(before.p, before.n, digest);
    pj_repo_analysis_put_cmd(cmd, id, text);
    pj_cmd_text(cmd, digest);
}

int pj_repo_analysis_swap_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}

void pj_repo_analysis_delete_cmd(struct pj_cmd *cmd, const char *id)
{
    repo_script(cmd, "repo_analysis", id);
    pj_cmd_text(cmd, "");
}

void pj_repo_analysis_get_cmd(struct pj_cmd *cmd, const char *id)
{
    repo_script(cmd, "repo_analysis_get", id);
}

int pj_repo_analysis_get_reply(const struct redisReply *reply, char **text, struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    *text = pj_reply_dup(pj_reply_at(reply, 1));
    if (!*text)
        *text = pj_strdup("");
    return 0;
}
