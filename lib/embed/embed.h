/* embed.h - files compiled into a program by pj_embed() (lib/embed/embed.cmake). */
#ifndef PJ_EMBED_EMBED_H
#define PJ_EMBED_EMBED_H

#include <stddef.h>

struct pj_embedded {
    const char *name;          /* NULL ends the table */
    const unsigned char *data; /* a NUL follows the last byte */
    size_t size;
};

#endif
