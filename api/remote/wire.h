/* wire.h - what pj-api asks pj-remote, and what it is told: one JSON document each way, over the helper's standard input and output.
 *
 * Credentials travel in the question only: an argument or a variable of the environment could be read by others of the host. */
#ifndef API_REMOTE_WIRE_H
#define API_REMOTE_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

#define REMOTE_QUESTION_MAX 65536
#define REMOTE_ANSWER_MAX 16384

struct remote_question {
    char *url;    /* normalised */
    char *login;  /* not NULL: what may this person do there? Nothing else is asked then */
    char *branch; /* NULL: the remote's default */
    char *token, *username;                  /* the repository's own credential; NULL: none */
    char *env_token;                         /* GITHUB_TOKEN */
    char *app_id, *app_private_key;          /* of the GitHub App */
    char *ca_file, *forges, *github_api_url; /* as the settings of these names */
    int64_t timeout_ms;                      /* of each call that is made */
};

struct remote_answer {
    bool reached;
    char *branch;              /* the branch asked for, else the remote's default */
    char *permission;          /* of `login`: "admin", "write", "read" or "none" */
    int64_t credential_source; /* enum pj_credential_source, -1: none was used */
    int64_t cls; /* when not reached: enum pj_err_class and the texts of a struct pj_err */
    char *code, *message, *remedy;
};

/* Append the document. -1 when it does not fit. */
int remote_question_put(const struct remote_question *q, struct pj_str *out) PJ_MUST_CHECK;
int remote_answer_put(const struct remote_answer *a, struct pj_str *out) PJ_MUST_CHECK;
/* Read one; strict. The caller releases it, also after a failure. */
int remote_question_read(struct pj_view text, struct remote_question *out,
                         struct pj_err *err) PJ_MUST_CHECK;
int remote_answer_read(struct pj_view text, struct remote_answer *out,
                       struct pj_err *err) PJ_MUST_CHECK;
void remote_question_release(struct remote_question *q); /* wipes what is secret */
void remote_answer_release(struct remote_answer *a);

#endif
