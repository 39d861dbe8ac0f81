/* repos.h - handlers of /repositories. */
#ifndef API_REPOS_H
#define API_REPOS_H

struct request;

void repo_create(struct request *req);
void repo_list(struct request *req);
void repo_get(struct request *req);
void repo_edit(struct request *req);
void repo_delete(struct request *req);
void repo_verify(struct request *req);
void repo_webhook_secret(struct request *req);
/* analysis.c */
void analysis_put(struct request *req);
void analysis_get(struct request *req);
void analysis_delete(struct request *req);

#endif
