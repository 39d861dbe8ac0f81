/* doctor.h - what `pj doctor` found out, and the parts that look. A part notes what it sees and never fails; no value of a secret is
 * ever printed. */
#ifndef API_CLI_DOCTOR_H
#define API_CLI_DOCTOR_H

#include "api/cli/client.h"
#include "lib/base/settings.h"
#include "lib/store/conn.h"

enum doctor_level { DOCTOR_FINE, DOCTOR_WARNING, DOCTOR_WRONG };

/* What the doctor needs of the programs' settings, to ask those whom they name. */
struct doctor_settings {
    struct pj_redis_settings redis;
    char *secret_key;
    char *anthropic_key, *anthropic_url, *openai_key, *openai_url;
    char *github_token, *github_api_url, *app_id, *app_key, *forges, *ca_file, *executor;
};

struct doctor {
    struct cli *cli;
    json_t *findings;
    size_t wrong;
    const char *api_config,
        *runner_config; /* files of the settings; NULL: the environment alone, or PJ_CONFIG */
    struct doctor_settings settings; /* of the runner, which knows all of these */
    bool has_settings;
    bool client_only;     /* no settings of a server are here, and the API that is used answers */
    json_t *repositories; /* connected ones, when the API told; NULL otherwise */
};

/* `remedy` may be NULL. */
void doctor_note(struct doctor *d, const char *check, enum doctor_level level, const char *remedy,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* doctor_host.c: gates for boxes, Redis, clock. */
void doctor_check_box(struct doctor *d);
void doctor_check_redis(struct doctor *d);
/* doctor_keys.c: keys of models and forges, by name; each is shown to whom it belongs to, and nobody else. */
void doctor_check_keys(struct doctor *d);
/* Differs this host's clock from `their_ms`, the time at `whom`? */
void doctor_check_clock(struct doctor *d, const char *whom, int64_t their_ms);

#endif
