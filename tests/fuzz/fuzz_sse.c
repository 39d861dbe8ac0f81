/* Answers of model providers: any bytes, in pieces of any size, through the reader and all three formats. The first byte chooses
 * the format and the size of the pieces. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "lib/model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pj_model_tap *tap;
    struct pj_usage usage;
    size_t piece;

    if (size == 0)
        return 0;
    tap = pj_model_tap_new((enum pj_model_api)(data[0] % 3));
    piece = (size_t)data[0] / 3 + 1;
    for (size_t at = 1; at < size; at += piece)
        pj_model_tap_feed(tap, (const char *)data + at, size - at < piece ? size - at : piece);
    usage = pj_model_tap_usage(tap, 1000);
    if (pj_usage_total(&usage) < 0)
        abort();
    pj_model_tap_free(tap);
    return 0;
}
