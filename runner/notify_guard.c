#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include "lib/base/mem.h"
#include "runner/notify.h"

/* Ranges that are not the public internet: RFC 6890 and its registry. `bits` of the first four bytes. */
static const struct {
    uint32_t net;
    unsigned bits;
} private4[] = {
    {0x00000000, 8},  /* this network */
    {0x0a000000, 8},  /* private */
    {0x64400000, 10}, /* carriers' */
    {0x7f000000, 8},  /* loopback */
    {0xa9fe0000, 16}, /* link-local, metadata services */
    {0xac100000, 12}, /* private */
    {0xc0000000, 24}, /* protocol assignments */
    {0xc0a80000, 16}, /* private */
    {0xc6120000, 15}, /* benchmarks */
    {0xe0000000, 3},  /* multicast and reserved */
};

static bool is_public4(uint32_t address)
{
    for (size_t i = 0; i < PJ_COUNT_OF(private4); i++)
        if (address >> (32 - private4[i].bits) == private4[i].net >> (32 - private4[i].bits))
            return false;
    return true;
}

static bool is_public(const struct sockaddr *addr)
{
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    const uint8_t *b;

    if (addr->sa_family != AF_INET && addr->sa_family != AF_INET6)
        return false;
    if (addr->sa_family == AF_INET) {
        memcpy(&in4, addr, sizeof(in4));
        return is_public4(ntohl(in4.sin_addr.s_addr));
    }
    memcpy(&in6, addr, sizeof(in6));
    b = in6.sin6_addr.s6_addr;
    /* Global unicast is 2000::/3; 2002:: and 2001:0:: carry an IPv4 address inside. */
    return (b[0] & 0xe0) == 0x20 && !(b[0] == 0x20 && b[1] == 0x02) &&
           !(b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3] == 0);
}

static bool is_listed(const struct pj_forges *forges, const char *authority)
{
    for (size_t i = 0; i < pj_forges_count(forges); i++) {
        const struct pj_forge *f = pj_forges_get(forges, i);

        if (f->host != NULL && strcasecmp(f->host, authority) == 0)
            return true;
    }
    return false;
}

/* The part between "//" and the path, when it is a plain host[:port]; NULL else. Owned by the caller. */
static char *authority_of(const char *url)
{
    const char *start = strstr(url, "://");
    size_t n = start == NULL ? 0 : strcspn(start + 3, "/?#");

    if (n == 0 || n > 253 || memchr(start + 3, '@', n) != NULL)
        return NULL;
    return pj_strndup(start + 3, n);
}

static int check_addresses(const char *authority, struct pj_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    PJ_CLEANUP(pj_freep) char *host = pj_strdup(authority);
    struct addrinfo *list = NULL;
    bool ok = true;
    char *name = host;

    if (host[0] == '[') {
        name = host + 1;
        name[strcspn(name, "]")] = '\0';
    } else {
        name[strcspn(name, ":")] = '\0';
    }
    if (getaddrinfo(name, NULL, &hints, &list) != 0)
        return pj_fail(err, PJ_E_UNAVAILABLE, "the name %.100s is not known", name);
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
        ok = ok && is_public(a->ai_addr);
    freeaddrinfo(list);
    if (ok)
        return 0;
    (void)pj_fail(err, PJ_E_INVALID, "%.100s is not a public address", name);
    return pj_err_remedy(err, "list the host in PJ_FORGES if notifications may go there");
}

int notify_guard(const struct pj_forges *forges, const char *url, struct notify_way *way,
                 struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *authority = authority_of(url);
    bool secure = strncasecmp(url, "https://", 8) == 0;

    *way = (struct notify_way){.may_dial = is_public};
    if (authority == NULL || (!secure && strncasecmp(url, "http://", 7) != 0))
        return pj_fail(err, PJ_E_INVALID, "the notification address is not a plain https:// URL");
    if (is_listed(forges, authority)) {
        *way = (struct notify_way){.plain = !secure};
        return 0;
    }
    if (!secure)
        return pj_fail(err, PJ_E_INVALID, "the notification address is not https://");
    return check_addresses(authority, err);
}
