/* repos.h - connected repositories. */
#ifndef PJ_STORE_REPOS_H
#define PJ_STORE_REPOS_H

#include "lib/store/cmd.h"
#include "lib/task/repo.h"

/* A new one. CONFLICT `repository_exists` when its owner has that url already. */
void pj_repo_create_cmd(struct pj_cmd *cmd, const struct pj_repo *repo);
/* Replace all members of an existing one that a user or we may change (not id, owner, created). NOT_FOUND; CONFLICT `changed` when it is
 * no longer as it was when it was read (repo->version): else the slower of two edits would undo the other. */
void pj_repo_update_cmd(struct pj_cmd *cmd, const struct pj_repo *repo);
void pj_repo_get_cmd(struct pj_cmd *cmd, const char *id);
/* connected | invalid; `cause` NULL clears it. */
void pj_repo_status_cmd(struct pj_cmd *cmd, const char *id, enum pj_repo_status status,
                        const char *cause);
/* Reply of the four above: the repository as it is now. */
int pj_repo_reply(const struct redisReply *reply, struct pj_repo *out,
                  struct pj_err *err) PJ_MUST_CHECK;

/* Its tasks stay readable. */
void pj_repo_delete_cmd(struct pj_cmd *cmd, const char *id);
int pj_repo_delete_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;

#define PJ_REPO_PAGE_MAX 200
struct pj_repo_page {
    struct pj_repo **items;
    size_t count;
    char *next;
};
/* A viewer's own and all shared ones (viewer NULL: all), newest first, ids below `before` (may be NULL). */
void pj_repo_list_cmd(struct pj_cmd *cmd, const char *viewer, const char *before, int64_t limit);
int pj_repo_list_reply(const struct redisReply *reply, struct pj_repo_page *out,
                       struct pj_err *err) PJ_MUST_CHECK;
void pj_repo_page_release(struct pj_repo_page *page);

/* Ids of all shared repositories as an owned NULL-terminated array (pj_strs_free). */
void pj_repo_shared_cmd(struct pj_cmd *cmd);
int pj_repo_shared_reply(const struct redisReply *reply, char ***ids,
                         struct pj_err *err) PJ_MUST_CHECK;

/* Repositories connected under a normalised url (any owner), for the forge's own webhooks. */
void pj_repo_by_url_cmd(struct pj_cmd *cmd, const char *url);

/* The CodeRabbit analysis: a JSON text as put. get: NOT_FOUND `no_analysis`; *text owned. */
void pj_repo_analysis_put_cmd(struct pj_cmd *cmd, const char *id, struct pj_view text);
/* The same, but only over `before` (p NULL: over none): else CONFLICT `changed`, for who read it first to read it again. */
void pj_repo_analysis_swap_cmd(struct pj_cmd *cmd, const char *id, struct pj_view before,
                               struct pj_view text);
int pj_repo_analysis_swap_reply(const struct redisReply *reply, struct pj_err *err) PJ_MUST_CHECK;
void pj_repo_analysis_delete_cmd(struct pj_cmd *cmd, const char *id);
void pj_repo_analysis_get_cmd(struct pj_cmd *cmd, const char *id);
int pj_repo_analysis_get_reply(const struct redisReply *reply, char **text,
                               struct pj_err *err) PJ_MUST_CHECK;

#endif
