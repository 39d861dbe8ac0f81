/* The forms of PJ_REDIS_URL. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "lib/store/conn.h"

#define SENTINEL_PORT 26379

static int bad_url(struct pj_err *err, const char *why)
{
    (void)pj_fail(err, PJ_E_INVALID, "PJ_REDIS_URL: %s", why);
    return pj_err_remedy(
        err, "Write redis://[user:password@]host[:port][/db], unix:///path[?db=n] or "
             "redis-sentinel://host[:port],host[:port]/master[/db]; with TLS rediss:// or "
             "rediss-sentinel://.");
}

/* "%41" -> "A"; owned. */
static char *unescape(struct pj_view v)
{
    char *out = pj_alloc(v.n + 1, 1), *p = out;

    for (size_t i = 0; i < v.n; i++) {
        char hex[3] = {0};

        if (v.p[i] == '%' && i + 2 < v.n) {
            hex[0] = v.p[i + 1];
            hex[1] = v.p[i + 2];
        }
        if (hex[0] && strspn(hex, "0123456789abcdefABCDEF") == 2) {
            *p++ = (char)strtol(hex, NULL, 16);
            i += 2;
        } else {
            *p++ = v.p[i];
        }
    }
    return out;
}

static int parse_db(struct pj_view text, struct pj_redis_target *out, struct pj_err *err)
{
    int64_t db;

    if (text.n == 0)
        return 0;
    if (pj_parse_i64(text, &db) < 0 || db < 0 || db > 1023)
        return bad_url(err, "the database is no number from 0 to 1023");
    out->db = (int)db;
    return 0;
}

/* "user:password@", "password@", ":password@": what is left starts after it. */
static struct pj_view parse_login(struct pj_view rest, struct pj_redis_target *out)
{
    size_t at = rest.n;
    struct pj_view login, user;

    for (size_t i = 0; i < rest.n && rest.p[i] != '/'; i++) {
        if (rest.p[i] == '@')
            at = i;
    }
    if (at == rest.n)
        return rest;
    login = pj_view_n(rest.p, at);
    if (memchr(login.p, ':', login.n)) {
        (void)pj_view_cut(&login, ':', &user);
        out->user = user.n ? unescape(user) : NULL;
    }
    out->password = login.p && login.n ? unescape(login) : NULL;
    return pj_view_n(rest.p + at + 1, rest.n - at - 1);
}

static int parse_addr(struct pj_view text, int default_port, struct pj_redis_addr *out,
                      struct pj_err *err)
{
    struct pj_view host = text, port = pj_view_n("", 0);
    int64_t number = default_port;

    if (text.n && text.p[0] == '[') { /* IPv6 */
        const char *end = memchr(text.p, ']', text.n);

        if (!end)
            return bad_url(err, "\"[\" without \"]\"");
        host = pj_view_n(text.p + 1, (size_t)(end - text.p) - 1);
        port = pj_view_n(end + 1, text.n - host.n - 2);
        if (port.n && port.p[0] != ':')
            return bad_url(err, "something else than a port follows \"]\"");
        if (port.n)
            port = pj_view_n(port.p + 1, port.n - 1);
    } else if (text.n && memchr(text.p, ':', text.n)) {
        port = text;
        (void)pj_view_cut(&port, ':', &host);
    }
    if (host.n == 0)
        return bad_url(err, "there is no host");
    if (port.n && (pj_parse_i64(port, &number) < 0 || number < 1 || number > 65535))
        return bad_url(err, "the port is no number from 1 to 65535");
    out->host = pj_strndup(host.p, host.n);
    out->port = (int)number;
    return 0;
}

static int parse_hosts(struct pj_view hosts, int default_port, struct pj_redis_target *out,
                       struct pj_err *err)
{
    struct pj_view one;

    if (hosts.n == 0)
        return bad_url(err, "there is no host");
    while (pj_view_cut(&hosts, ',', &one)) {
        if (out->addr_count == PJ_REDIS_ADDRS_MAX)
            return bad_url(err, "too many hosts");
        if (parse_addr(one, default_port, &out->addr[out->addr_count], err) < 0)
            return -1;
        out->addr_count++;
    }
    return 0;
}

static int parse_tcp(struct pj_view rest, struct pj_redis_target *out, struct pj_err *err)
{
    struct pj_view hosts;

    rest = parse_login(rest, out);
    (void)pj_view_cut(&rest, '/', &hosts);
    if (parse_hosts(hosts, PJ_REDIS_PORT, out, err) < 0)
        return -1;
    if (out->addr_count > 1)
        return bad_url(err, "redis:// and rediss:// take one host");
    return parse_db(rest, out, err);
}

static int parse_unix(struct pj_view rest, struct pj_redis_target *out, struct pj_err *err)
{
    struct pj_view path, query;

    rest = parse_login(rest, out);
    query = rest;
    (void)pj_view_cut(&query, '?', &path);
    if (path.n < 2 || path.p[0] != '/')
        return bad_url(err, "unix:// needs an absolute path");
    if (path.n > 100)
        return bad_url(err, "the path of a Unix socket has at most 100 bytes");
    out->path = unescape(path);
    if (query.n == 0)
        return 0;
    if (!pj_view_starts(query, "db="))
        return bad_url(err, "unix:// knows only ?db=");
    return parse_db(pj_view_n(query.p + 3, query.n - 3), out, err);
}

static int parse_sentinel(struct pj_view rest, struct pj_redis_target *out, struct pj_err *err)
{
    struct pj_view hosts, master = {0};

    rest = parse_login(rest, out);
    (void)pj_view_cut(&rest, '/', &hosts);
    if (parse_hosts(hosts, SENTINEL_PORT, out, err) < 0)
        return -1;
    (void)pj_view_cut(&rest, '/', &master);
    if (master.n == 0)
        return bad_url(err, "after the hosts of the sentinels stands the master's name");
    out->master = pj_strndup(master.p, master.n);
    return parse_db(rest, out, err);
}

static int parse_tls(struct pj_view rest, struct pj_redis_target *out, struct pj_err *err)
{
    out->tls = true;
    return parse_tcp(rest, out, err);
}

static int parse_sentinel_tls(struct pj_view rest, struct pj_redis_target *out, struct pj_err *err)
{
    out->tls = true;
    return parse_sentinel(rest, out, err);
}

static int parse(struct pj_view url, struct pj_redis_target *out, struct pj_err *err)
{
    static const struct {
        const char *scheme;
        int (*parse)(struct pj_view rest, struct pj_redis_target *out, struct pj_err *err);
    } schemes[] = {
        {"redis-sentinel://", parse_sentinel},
        {"rediss-sentinel://", parse_sentinel_tls},
        {"redis://", parse_tcp},
        {"rediss://", parse_tls},
        {"unix://", parse_unix},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(schemes); i++) {
        size_t n = strlen(schemes[i].scheme);

        if (pj_view_starts(url, schemes[i].scheme))
            return schemes[i].parse(pj_view_n(url.p + n, url.n - n), out, err);
    }
    return bad_url(err, "unknown scheme");
}

/* Whoever sets them believes that they are used. */
static int take_sentinel_login(const struct pj_redis_options *options, struct pj_redis_target *out,
                               struct pj_err *err)
{
    bool user = options->sentinel_user && options->sentinel_user[0];
    bool password = options->sentinel_password && options->sentinel_password[0];

    if ((user || password) && !out->master) {
        (void)pj_fail(err, PJ_E_INVALID, "%s is set, but PJ_REDIS_URL names no sentinels",
                      password ? "PJ_REDIS_SENTINEL_PASSWORD" : "PJ_REDIS_SENTINEL_USER");
        return pj_err_remedy(err, "Write redis-sentinel:// or rediss-sentinel:// there, or unset "
                                  "what is meant for sentinels.");
    }
    if (user && !password) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_REDIS_SENTINEL_USER is set without a password");
        return pj_err_remedy(err, "Set PJ_REDIS_SENTINEL_PASSWORD, too.");
    }
    out->sentinel_user = user ? pj_strdup(options->sentinel_user) : NULL;
    out->sentinel_password = password ? pj_strdup(options->sentinel_password) : NULL;
    return 0;
}

int pj_redis_target_parse(const struct pj_redis_options *options, struct pj_redis_target *out,
                          struct pj_err *err)
{
    struct pj_redis_target target = {0};

    if (parse(pj_view_of(options->url), &target, err) < 0) {
        pj_redis_target_release(&target);
        return -1;
    }
    if (!target.password && options->password && options->password[0])
        target.password = pj_strdup(options->password);
    if (take_sentinel_login(options, &target, err) < 0) {
        pj_redis_target_release(&target);
        return -1;
    }
    *out = target;
    return 0;
}

static void wipe(char *secret)
{
    if (secret)
        pj_wipe(secret, strlen(secret));
    free(secret);
}

void pj_redis_target_release(struct pj_redis_target *target)
{
    for (size_t i = 0; i < PJ_REDIS_ADDRS_MAX; i++)
        free(target->addr[i].host);
    wipe(target->password);
    wipe(target->sentinel_password);
    free(target->path);
    free(target->master);
    free(target->user);
    free(target->sentinel_user);
    *target = (struct pj_redis_target){0};
}

char *pj_redis_target_text(const struct pj_redis_target *target)
{
    if (target->path)
        return pj_strdup(target->path);
    if (target->master)
        return pj_asprintf("%s (by %zu sentinels)", target->master, target->addr_count);
    return pj_asprintf("%s:%d", target->addr[0].host, target->addr[0].port);
}
