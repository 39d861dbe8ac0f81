/* codec.h - structs to JSON and back by a table of fields; strict on the way in.
 *
 * Decoding refuses unknown fields by name, wrong types, missing required fields and values out of bounds, and collects every
 * fault (at most PJ_FIELD_ERRORS_MAX), so that a user sees them all at once. Encoding writes the fields in table order;
 * absent values are null. Documents are parsed with a depth limit of ours before jansson's own. */
#ifndef PJ_JSON_CODEC_H
#define PJ_JSON_CODEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

enum pj_field_type {
    PJ_F_STR,   /* char *, owned; min and max are bytes of UTF-8 */
    PJ_F_INT,   /* int64_t within min..max */
    PJ_F_BOOL,  /* bool */
    PJ_F_WORD,  /* int: index into `words`; absent or null: -1 */
    PJ_F_MONEY, /* int64_t micro-dollars, written as decimal dollars; absent or null: -1 */
    PJ_F_TIME,  /* int64_t Unix ms, written as RFC 3339; absent or null: 0 */
    PJ_F_STRS,  /* char **, owned, NULL-terminated array; max entries `max`; absent or null: NULL */
    PJ_F_OBJ, /* struct in place, described by sub/sub_count; PJ_FF_PRESENCE tells whether it was there */
    PJ_F_JSON, /* json_t *, owned reference; any value; max is bytes when dumped (0: no bound) */
};

enum pj_field_flag {
    PJ_FF_REQUIRED = 1,  /* decoding: must be there and not null */
    PJ_FF_NULL_ZERO = 2, /* encoding: an INT of 0 is written as null */
    PJ_FF_OMIT = 4,      /* encoding: leave out instead of null (also false and empty) */
    PJ_FF_NULL_NEG =
        8, /* encoding: a negative INT is written as null; decoding: absent or null gives -1 */
    PJ_FF_READ_ONLY = 16 /* decoding: refused like an unknown field */
};

struct pj_field {
    const char *name;
    enum pj_field_type type;
    size_t offset;
    unsigned flags;
    int64_t min, max;         /* both 0: no bounds */
    const char *const *words; /* NULL-terminated */
    const struct pj_field *sub;
    size_t sub_count;
    size_t
        presence_offset; /* of a bool set when the field was in the document (also as null); SIZE_MAX or 0: none */
};

#define PJ_FIELD_ERRORS_MAX 16
struct pj_field_error {
    char field[80]; /* dotted path */
    char detail[160];
};
struct pj_field_errors {
    size_t count;
    struct pj_field_error item[PJ_FIELD_ERRORS_MAX];
};

#define PJ_JSON_DEPTH_MAX 32
#define PJ_JSON_VALUES_MAX 1000000

/* Parse a document: valid UTF-8, no duplicate names, depth at most PJ_JSON_DEPTH_MAX, at most PJ_JSON_VALUES_MAX values (LIMIT),
 * nothing after it. The caller decrefs. */
int pj_json_parse(struct pj_view text, json_t **out, struct pj_err *err) PJ_MUST_CHECK;
/* Fill *out (zeroed by the caller) from an object. `faults` may be NULL; the error's message lists the first fault. On failure
 * pj_json_release() is still right to call on *out. */
int pj_json_decode(const json_t *doc, const struct pj_field *table, size_t count, void *out,
                   struct pj_field_errors *faults, struct pj_err *err) PJ_MUST_CHECK;
/* A new object. */
json_t *pj_json_encode(const struct pj_field *table, size_t count, const void *in);
/* Free what decode filled. */
void pj_json_release(const struct pj_field *table, size_t count, void *out);
/* Compact dump appended to `out`; -1 when it does not fit. */
int pj_json_dump(const json_t *doc, struct pj_str *out) PJ_MUST_CHECK;
/* Compact dump, owned by the caller (bounded by the document itself). */
char *pj_json_text(const json_t *doc);
/* Append a quoted and escaped JSON string. Invalid UTF-8 becomes U+FFFD. */
int pj_json_quote(struct pj_str *out, struct pj_view text);
/* Micro-dollars as decimal dollars text ("0.0123"), trailing zeros cut. buf holds 32. */
const char *pj_money_text(int64_t microusd, char *buf);

void pj_json_decrefp(json_t **doc); /* for PJ_CLEANUP */
void pj_strs_free(char **strs);     /* NULL-terminated owned array */

/* Lenient readers for peers' documents: a missing name or another type gives the default. Strings are borrowed. */
const char *pj_json_str(const json_t *obj, const char *name, const char *def);
int64_t pj_json_i64(const json_t *obj, const char *name, int64_t def);
bool pj_json_bool(const json_t *obj, const char *name, bool def);

#endif
