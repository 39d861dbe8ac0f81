/* schema.h - the part of OpenAPI 3.0's schemas that GitHub's description uses: judging a document, and completing one. */
#ifndef TESTS_SUPPORT_SCHEMA_H
#define TESTS_SUPPORT_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include "lib/base/str.h"

/* Append to `problems` what in `value` goes against `schema`; `root` holds components/schemas, `where` names the value. With
 * `closed`, members that the schema does not name are problems too. True when there was none. */
bool schema_check(const json_t *root, const json_t *schema, json_t *value, const char *where,
                  bool closed, struct pj_str *problems);
/* The least value that fits: members that are required, null where that is allowed. */
json_t *schema_make(const json_t *root, const json_t *schema);
/* Add to an object, and to objects inside it, the required members they lack. */
void schema_fill(const json_t *root, const json_t *schema, json_t *value);

#endif
