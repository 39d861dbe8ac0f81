/* script.h - the Lua scripts of lua/, embedded, with their digests.
 *
 * `<operation>.<keys>.lua` becomes the script "<operation>" with that many KEYS. Every text starts with lua/prelude.lua (after its
 * #! line). A row of the table in script.c says whether it may be sent twice. */
#ifndef PJ_STORE_SCRIPT_H
#define PJ_STORE_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include "lib/base/err.h"
#include "lib/base/view.h"

struct pj_script {
    const char *name;
    int keys;
    bool repeatable;
    char *text;
    size_t text_len;
    char sha1[41];
};

/* Never NULL: an unknown name is our defect and aborts. Built on first use. */
const struct pj_script *pj_script_find(const char *name);

/* A script's refusal: word -> class, code and message ("%s" gets the script's detail). NULL when there is none. */
struct pj_refusal {
    const char *word;
    enum pj_err_class cls;
    const char *message;
    const char *remedy; /* NULL: none */
};
const struct pj_refusal *pj_refusal_find(struct pj_view word);

#endif
