/* coderabbit.h - the configuration file that R4.3 adds where it is missing. */
#ifndef RUNNER_CODERABBIT_H
#define RUNNER_CODERABBIT_H

#include <stdbool.h>
#include "lib/base/err.h"
#include "runner/workspace.h"

#define CODERABBIT_FILE ".coderabbit.yaml"
#define CODERABBIT_COMMENT "@coderabbitai review"

/* The file's content, valid by CodeRabbit's schema v2. Static. */
const char *coderabbit_yaml(void);
/* Add the file to *tree_sha unless it has one (also as .coderabbit.yml); *added tells. */
int coderabbit_add(struct workspace *ws, char tree_sha[PJ_SHA_SIZE], bool *added,
                   struct pj_err *err) PJ_MUST_CHECK;

#endif
