#include "api/cidr.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"

struct range {
    uint8_t bytes[16]; /* v4 as v4-mapped v6 */
    unsigned bits;
};

struct cidr_list {
    bool unix_peers;
    size_t count;
    struct range range[64];
};

static int address_bytes(const char *text, uint8_t out[16], bool *v4)
{
    struct in_addr a4;

    if (inet_pton(AF_INET, text, &a4) == 1) {
        memset(out, 0, 10);
        out[10] = out[11] = 0xff;
        memcpy(out + 12, &a4, 4);
        *v4 = true;
        return 0;
    }
    *v4 = false;
    return inet_pton(AF_INET6, text, out) == 1 ? 0 : -1;
}

static int add_range(struct cidr_list *list, struct pj_view item, struct pj_err *err)
{
    char text[64];
    struct pj_view address;
    int64_t bits = -1;
    bool v4;

    snprintf(text, sizeof text, "%.*s", (int)(item.n < 60 ? item.n : 60), item.p);
    if (pj_view_is(item, "unix")) {
        list->unix_peers = true;
        return 0;
    }
    struct pj_view whole = item;
    pj_view_cut(&item, '/', &address);
    if (memchr(whole.p, '/', whole.n) != NULL && (pj_parse_i64(item, &bits) < 0 || bits < 0))
        return pj_fail(err, PJ_E_INVALID, "'%s' is no address range", text);
    char bare[64];
    snprintf(bare, sizeof bare, "%.*s", (int)(address.n < 60 ? address.n : 60), address.p);
    if (list->count == PJ_COUNT_OF(list->range))
        return pj_fail(err, PJ_E_INVALID, "more than %zu address ranges", PJ_COUNT_OF(list->range));
    struct range *r = &list->range[list->count];
    if (address_bytes(bare, r->bytes, &v4) < 0 || bits > (v4 ? 32 : 128))
        return pj_fail(err, PJ_E_INVALID, "'%s' is no address range", text);
    r->bits = bits < 0 ? 128 : (unsigned)bits + (v4 ? 96 : 0);
    list->count++;
    return 0;
}

int cidr_list_new(const char *text, struct cidr_list **out, struct pj_err *err)
{
    struct cidr_list *list = pj_alloc(1, sizeof *list);
    struct pj_view rest = pj_view_of(text), item;

    while (rest.p != NULL && pj_view_cut(&rest, ',', &item)) {
        item = pj_view_trim(item);
        if (item.n > 0 && add_range(list, item, err) < 0) {
            cidr_list_free(list);
            return -1;
        }
    }
    *out = list;
    return 0;
}

void cidr_list_free(struct cidr_list *list)
{
    free(list);
}

bool cidr_list_has(const struct cidr_list *list, const char *address)
{
    uint8_t bytes[16];
    bool v4;

    if (list == NULL)
        return false;
    if (strcmp(address, "unix") == 0)
        return list->unix_peers;
    if (address_bytes(address, bytes, &v4) < 0)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct range *r = &list->range[i];
        unsigned whole = r->bits / 8, rest = r->bits % 8;
        if (memcmp(r->bytes, bytes, whole) == 0 &&
            (rest == 0 || ((r->bytes[whole] ^ bytes[whole]) >> (8 - rest)) == 0))
            return true;
    }
    return false;
}

void cidr_client(const struct cidr_list *list, const char *peer, struct pj_view forwarded_for,
                 char out[64])
{
    snprintf(out, 64, "%s", peer);
    while (forwarded_for.n > 0 && cidr_list_has(list, out)) {
        size_t at = forwarded_for.n;
        while (at > 0 && forwarded_for.p[at - 1] != ',')
            at--;
        struct pj_view item = pj_view_trim(pj_view_n(forwarded_for.p + at, forwarded_for.n - at));
        char text[64];
        uint8_t bytes[16];
        bool v4;
        if (item.n == 0 || item.n >= sizeof text)
            return;
        memcpy(text, item.p, item.n);
        text[item.n] = '\0';
        if (address_bytes(text, bytes, &v4) < 0)
            return;
        memcpy(out, text, item.n + 1);
        forwarded_for.n = at > 0 ? at - 1 : 0;
    }
}

void cidr_party(const char *address, char out[64])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* v4 in v6 */
    uint8_t bytes[16];
    bool v4;

    snprintf(out, 64, "%s", address);
    if (address_bytes(address, bytes, &v4) < 0 || memcmp(bytes, mapped, sizeof mapped) == 0)
        return;
    memset(bytes + 8, 0, 8);
    if (inet_ntop(AF_INET6, bytes, out, INET6_ADDRSTRLEN) != NULL)
        snprintf(out + strlen(out), 64 - strlen(out), "/64");
}
