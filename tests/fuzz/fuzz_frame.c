/* Frames between the box and the gateway. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "lib/wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pj_view in = pj_view_n((const char *)data, size), payload;
    struct pj_err err;
    size_t used;

    while (in.n > 0 && pj_frame_decode(in, &payload, &used, &err) == 0) {
        if (used > in.n || payload.n > PJ_FRAME_MAX || payload.n == 0)
            abort();
        in = pj_view_n(in.p + used, in.n - used);
    }
    return 0;
}
