/* Requests of foreign agents in the box. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "lib/base/err.h"
#include "runner/gateway/http_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pj_view bytes = pj_view_n((const char *)data, size);
    struct http_in in;
    int rc = http_in_parse(bytes, &in);

    if (rc != 0 && rc != PJ_NONE && rc < 400)
        abort();
    if (rc == 0) {
        struct pj_view v = http_in_header(bytes, &in, "accept");
        if (in.head_len + in.body.n > size || v.n > size)
            abort();
    }
    return 0;
}
