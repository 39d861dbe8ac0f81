/* forge_server.h - a forge on loopback: GitHub's REST API (what the product uses of it) and git over smart HTTP.
 *
 * One address serves both: "<url>/api/v3/repos/…" and "<url>/owner/name(.git)/info/refs…", the latter by running
 * `git http-backend` (git-http-backend(1)) over real bare repositories. Reading and pushing need the token: Basic
 * authentication for git (any user name), "Bearer" or "token" for the API, as GitHub does. Pull requests, comments and workflow
 * runs live in memory. Every request and every answer of the API is judged by GitHub's own description (forge_contract.h); what goes
 * against it ends the test at forge_server_stop().
 *
 * PJ_FORGES entry: forge_server_forges() writes the file. */
#ifndef TESTS_SUPPORT_FORGE_SERVER_H
#define TESTS_SUPPORT_FORGE_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "tests/support/stand_in.h"

#define FORGE_TOKEN "ghp_test_forge_token_0123456789abcdef"
/* May only read, as a workflow's own may: 403 for all else. */
#define FORGE_READ_TOKEN "ghs_test_read_token_0123456789abcdef"

struct forge_server;

/* `root`: folder of bare repositories root/<owner>/<name>.git (gitfix_bare() makes them). Token FORGE_TOKEN. */
struct forge_server *forge_server_start(const char *root);
void forge_server_stop(struct forge_server *f);
const char *forge_server_url(const struct forge_server *f);
/* "127.0.0.1:PORT" */
const char *forge_server_host(const struct forge_server *f);
/* "<url>/owner/name", owned by the caller: what a user connects. */
char *forge_server_repo_url(const struct forge_server *f, const char *repo);
/* Write the PJ_FORGES file: this server as kind "github" (or "git"), with its API and, when `with_token`, the token. */
void forge_server_forges(const struct forge_server *f, const char *kind, bool with_token,
                         const char *path);

/* The next `times` calls of `method` (NULL: any) whose path contains `path_part` are answered with this status, headers
 * ("Name: value\n…" or NULL) and body (NULL: GitHub's error document). Rules are tried in the order they were added. */
void forge_server_fail(struct forge_server *f, const char *method, const char *path_part,
                       unsigned times, int status, const char *headers, const char *body);
/* The next `times` calls like that are cut off: before they are looked at, or (`done`) after they were carried out. */
void forge_server_cut(struct forge_server *f, const char *method, const char *path_part,
                      unsigned times, bool done);
/* After the next successful creation of a pull request the connection is cut: made, but the client cannot know. */
void forge_server_cut_after_create(struct forge_server *f);
/* The next call of `method` whose path or query contains `part` is never answered: before anything was done, or, with `after`,
 * when it was done. forge_server_stalled() waits for it. */
void forge_server_stall(struct forge_server *f, const char *method, const char *part, bool after);
bool forge_server_stalled(struct forge_server *f, int deadline_ms);
/* Refuse every token from now on (a credential that was revoked), or accept again. */
void forge_server_revoke(struct forge_server *f, bool revoked);

/* ---- GitHub Actions ---- */

/* How a dispatch is answered: with the run's details when asked for them; with 204 and nothing; or, as older servers do, 422 to a
 * member they do not know. */
enum forge_dispatch { FORGE_DISPATCH_DETAILS, FORGE_DISPATCH_SILENT, FORGE_DISPATCH_OLD };
void forge_server_dispatch(struct forge_server *f, enum forge_dispatch how);
/* Runs begun so far: {id,repo,file,ref,inputs,status,conclusion,cancels,…}. The caller decrefs. */
json_t *forge_server_runs(struct forge_server *f);
/* "in_progress", or "completed" with its conclusion. */
void forge_server_set_run(struct forge_server *f, int64_t id, const char *status,
                          const char *conclusion);
/* The list of runs lags behind: it shows none that is begun from now on. */
void forge_server_hide_runs(struct forge_server *f, bool hidden);

/* ---- people and issues ---- */

/* What `login` may do in every repository: "admin", "write", "read" or "none" (who is not named). */
void forge_server_role(struct forge_server *f, const char *login, const char *permission);
/* Comments on an issue or pull request: array of {body,…}. The caller decrefs. */
json_t *forge_server_comments(struct forge_server *f, const char *repo, int number);

/* What went against GitHub's description so far, a line each, and forget it; owned by the caller. */
char *forge_server_problems(struct forge_server *f);

/* Pull requests made so far: {number,title,body,state,html_url,head:{ref},base:{ref},draft}. The caller decrefs. */
json_t *forge_server_pulls(struct forge_server *f, const char *repo);
/* Close or merge one. */
void forge_server_set_pull_state(struct forge_server *f, const char *repo, int number,
                                 const char *state);
struct stand_in *forge_server_stand_in(struct forge_server *f);
/* Requests of `method` whose path contains `path_part`. */
size_t forge_server_count(struct forge_server *f, const char *method, const char *path_part);
/* How often something was to be written with FORGE_READ_TOKEN. */
size_t forge_server_overreached(struct forge_server *f);
/* How often a request came without the right token. */
size_t forge_server_refused(struct forge_server *f);

#endif
