/* client.h - calls to the API. Answers are documents; a problem document becomes an error with its code, detail and remedy. */
#ifndef API_CLI_CLIENT_H
#define API_CLI_CLIENT_H

#include "api/cli/cli.h"
#include "lib/base/pump.h"
#include "lib/base/str.h"

struct client;

struct client *client_new(const char *url, const char *token, const char *ca_file);
void client_free(struct client *c);
/* The client of the command line; AUTH when there is no token. */
int client_of(struct cli *cli, struct client **out, struct pj_err *err) PJ_MUST_CHECK;
/* Served while calls wait; may be NULL. */
void client_set_pump(struct client *c, const struct pj_pump *pump);
const struct pj_pump *client_pump(const struct client *c);
const char *client_url(const struct client *c);

/* `path` below /api/v1. `body` (borrowed) may be NULL. *out (may be NULL) is the caller's: json_null for an empty answer. */
int client_call(struct client *c, const char *method, const char *path, const json_t *body,
                json_t **out, struct pj_err *err) PJ_MUST_CHECK;
/* The same for an answer that is text. */
int client_text(struct client *c, const char *path, const char *accept, struct pj_str *out,
                struct pj_err *err) PJ_MUST_CHECK;
/* All pages of a list, as one array; stops at `max` items. `path` may have a query. */
int client_list(struct client *c, const char *path, size_t max, json_t **items,
                struct pj_err *err) PJ_MUST_CHECK;
/* Read a stream until it ends: *status is the answer's. `on_data` as in lib/http/client.h. */
int client_stream(struct client *c, const char *path, const char *last_event_id,
                  int (*on_data)(void *ctx, const char *bytes, size_t n, struct pj_err *err),
                  void *ctx, int *status, struct pj_err *err) PJ_MUST_CHECK;
/* Is something of ours listening there? Any status of /livez counts. */
int client_alive(struct client *c, struct pj_err *err) PJ_MUST_CHECK;
/* Wait, serving the pump. */
int client_pause(struct client *c, int64_t ms, struct pj_err *err) PJ_MUST_CHECK;
/* Percent-encode for a query value; owned by the caller. */
char *client_quote(const char *text);

#endif
