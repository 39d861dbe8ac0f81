/* jsonw.h - just enough JSON writing for a plan and a result: the sandbox links no JSON library. */
#ifndef SANDBOX_JSONW_H
#define SANDBOX_JSONW_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/str.h"

/* A quoted, escaped string; invalid UTF-8 becomes U+FFFD; NULL becomes null. */
void jsonw_string(struct pj_str *out, const char *s);
/* `"name":` with a comma before it unless the object or array has just begun. */
void jsonw_key(struct pj_str *out, const char *name);
void jsonw_member_string(struct pj_str *out, const char *name, const char *value);
void jsonw_member_int(struct pj_str *out, const char *name, int64_t value);
/* The same, where 0 stands for "absent": null. */
void jsonw_member_limit(struct pj_str *out, const char *name, int64_t value);
void jsonw_member_bool(struct pj_str *out, const char *name, bool value);
/* A comma unless the object or array has just begun. */
void jsonw_comma(struct pj_str *out);

#endif
