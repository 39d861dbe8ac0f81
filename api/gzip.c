#include "api/gzip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "lib/base/mem.h"

#define GZIP_WINDOW (15 + 16) /* zlib.h, deflateInit2(): 16 more for a gzip header */

bool gzip_accepted(struct pj_view accept)
{
    struct pj_view item, name;

    while (accept.p != NULL && pj_view_cut(&accept, ',', &item)) {
        struct pj_view weight = pj_view_trim(item);
        if (!pj_view_cut(&weight, ';', &name) || !pj_view_is_nocase(pj_view_trim(name), "gzip"))
            continue;
        weight = weight.p != NULL ? pj_view_trim(weight) : pj_view_of("");
        return !pj_view_is(weight, "q=0") && !pj_view_starts(weight, "q=0.0");
    }
    return false;
}

bool gzip_pack(const void *bytes, size_t n, int level, char **out, size_t *out_n)
{
    z_stream z = {0};

    if (n == 0 || n > (1u << 30) ||
        deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    char *packed = pj_alloc(n, 1);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)packed;
    z.avail_out = (uInt)n; /* no room for more than there was: then it is not worth it */
    int rc = deflate(&z, Z_FINISH);
    *out_n = z.total_out;
    deflateEnd(&z);
    if (rc != Z_STREAM_END) {
        free(packed);
        return false;
    }
    *out = packed;
    return true;
}
