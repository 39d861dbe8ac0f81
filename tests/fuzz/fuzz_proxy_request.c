/* Properties of the filtering proxy's request parser: what it accepts names a plain host and a
 * port, and reads the same again when it is written the way the parser understood it. */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sandbox/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_request first, second;
    char *head = malloc(size + 4), again[400];

    if (!head || size > PROXY_HEAD_MAX - 4) {
        free(head);
        return 0;
    }
    memcpy(head, data, size);
    memcpy(head + size, "\r\n\r\n", 4);
    if (proxy_parse_request(head, size + 4, &first)) {
        size_t n = strlen(first.host);

        require(n > 0 && n < sizeof first.host && first.port > 0);
        for (size_t i = 0; i < n; i++)
            require(
                (isalnum((unsigned char)first.host[i]) && !isupper((unsigned char)first.host[i])) ||
                strchr(".-_:", first.host[i]));
        require(first.connect || first.method.n < size);
        snprintf(again, sizeof again, "CONNECT [%s]:%u HTTP/1.1\r\n\r\n", first.host,
                 (unsigned)first.port);
        require(proxy_parse_request(again, strlen(again), &second));
        require(second.port == first.port);
        /* The dot of the root is taken off once. */
        require(strncmp(second.host, first.host, strlen(second.host)) == 0);
    }
    free(head);
    return 0;
}
