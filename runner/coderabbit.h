/* coderabbit.h - the configuration file that R4.3 adds where it is missing, and a review asked for by CodeRabbit's own API. */
#ifndef RUNNER_CODERABBIT_H
#define RUNNER_CODERABBIT_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/pump.h"
#include "runner/workspace.h"

#define CODERABBIT_FILE ".coderabbit.yaml"
#define CODERABBIT_COMMENT "@coderabbitai review"

/* The file's content, valid by CodeRabbit's schema v2. Static. */
const char *coderabbit_yaml(void);
/* Add the file to *tree_sha unless it has one (also as .coderabbit.yml); *added tells. */
int coderabbit_add(struct workspace *ws, char tree_sha[PJ_SHA_SIZE], bool *added,
                   struct pj_err *err) PJ_MUST_CHECK;

/* CodeRabbit's REST API (https://api.coderabbit.ai/v1): knows repositories of github.com, by GitHub's number for them. */
struct coderabbit_api {
    const char *base_url, *key;
    const char *ca_file;
    int64_t retry_base_ms; /* transient failures: three retries; 0: 1 s */
    int64_t deadline_ms;   /* pj_mono_ms() after which no retry starts; 0: none */
    const struct pj_pump *pump;
};

/* Ask for a review of pull request `number`. AUTH when the key is refused; the message has CodeRabbit's words. */
int coderabbit_ask(const struct coderabbit_api *api, int64_t repository, int64_t number,
                   struct pj_err *err) PJ_MUST_CHECK;

#endif
