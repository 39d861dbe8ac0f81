/* forge_contract.h - GitHub's published description of its REST API, as the judge of what clients send and the stand-in answers.
 *
 * github/openapi.json is cut from the description that GitHub publishes (npm package @octokit/openapi) by github/extract.py; a test
 * holds the two equal. A call that the description does not have, an unknown or malformed parameter, a missing header, a body or an
 * answer against its schema: each is a problem in words. */
#ifndef TESTS_SUPPORT_FORGE_CONTRACT_H
#define TESTS_SUPPORT_FORGE_CONTRACT_H

#include <jansson.h>
#include "lib/base/str.h"
#include "tests/support/stand_in.h"

struct forge_contract;

struct forge_contract *forge_contract_open(void);
void forge_contract_free(struct forge_contract *c);

/* Judge a request; `path` is the one below the API's root. What is wrong is appended to `problems`, a line each. The operation it
 * is (borrowed, for the two below), or NULL when there is none. */
const json_t *forge_contract_request(const struct forge_contract *c,
                                     const struct stand_in_request *r, const char *path,
                                     struct pj_str *problems);
/* Judge an answer to `operation`. */
void forge_contract_answer(const struct forge_contract *c, const json_t *operation, int status,
                           json_t *doc, struct pj_str *problems);
/* Give `doc` the members that an answer of this status must have and it lacks. */
void forge_contract_fill(const struct forge_contract *c, const json_t *operation, int status,
                         json_t *doc);

#endif
