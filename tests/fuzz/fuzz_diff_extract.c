/* The diff in a model's answer. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "lib/base/mem.h"
#include "runner/agent/diff.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = pj_strndup((const char *)data, size);
    struct pj_str out;

    pj_str_init(&out, 1 << 20);
    if (diff_extract(text, &out) && out.len > size + 1)
        abort();
    pj_str_release(&out);
    free(text);
    return 0;
}
