/* repo_secret.h - a repository's credential and webhook secret: made, sealed, opened. */
#ifndef API_REPO_SECRET_H
#define API_REPO_SECRET_H

#include "lib/base/err.h"
#include "lib/task/repo.h"

struct api;

/* "whsec_" and base64 of 24 bytes (Standard Webhooks). */
#define REPO_SECRET_SIZE 48
void repo_secret_make(char out[REPO_SECRET_SIZE]);

/* `token` NULL takes the credential away. */
int repo_secret_seal_credential(const struct api *api, struct pj_repo *repo, const char *token,
                                const char *username, struct pj_err *err) PJ_MUST_CHECK;
int repo_secret_seal_webhook(const struct api *api, struct pj_repo *repo, const char *secret,
                             struct pj_err *err) PJ_MUST_CHECK;
/* *token is owned by the caller, NULL when the repository has none. */
int repo_secret_open_credential(const struct api *api, const struct pj_repo *repo, char **token,
                                struct pj_err *err) PJ_MUST_CHECK;
/* The secret that is valid now, and (`old`) the one before while its 24 h last; NULL when there is none. */
int repo_secret_open_webhook(const struct api *api, const struct pj_repo *repo, bool old,
                             char **secret, struct pj_err *err) PJ_MUST_CHECK;

#endif
