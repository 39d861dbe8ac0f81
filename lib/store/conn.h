/* conn.h - the blocking Redis connection: one caller, timeouts, reconnecting with backoff.
 *
 * URL forms (PJ_REDIS_URL): redis://[user:password@]host[:port][/db], unix://[user:password@]/path[?db=n], and
 * redis-sentinel://[user:password@]h1[:port],h2[:port]/master[/db], where user and password are the primary's: what sentinels want is set
 * apart, as they have accounts of their own. rediss:// and rediss-sentinel:// are the same under TLS, the
 * latter for the sentinels and the servers that they name. TLS is OpenSSL's (lib/crypto/tls.h), whatever hiredis was built with:
 * of hiredis only the parser of replies is used. The program ignores SIGPIPE: the server may have closed the connection. */
#ifndef PJ_STORE_CONN_H
#define PJ_STORE_CONN_H

#include <stdint.h>
#include "lib/store/cmd.h"

struct pj_redis;

/* For rediss://. All are paths of PEM files, NULL when unset. */
struct pj_redis_tls {
    const char *ca_file; /* PJ_REDIS_CA_FILE: whom to trust */
    const char *
        general_ca_file; /* PJ_CA_FILE: when that is unset; without either the system's authorities */
    const char *cert_file,
        *key_file; /* PJ_REDIS_CERT_FILE, PJ_REDIS_KEY_FILE: who we are, for servers that ask */
};

struct pj_redis_options {
    const char *url;      /* borrowed by _new(), copied */
    const char *password; /* PJ_REDIS_PASSWORD: used when the URL has none; may be NULL */
    /* PJ_REDIS_SENTINEL_USER, PJ_REDIS_SENTINEL_PASSWORD: for sentinels that ask; may be NULL */
    const char *sentinel_user, *sentinel_password;
    const char *name; /* CLIENT SETNAME, say "pj-api"; may be NULL */
    struct pj_redis_tls tls;
    int connect_ms; /* 0: 2000 */
    int command_ms; /* 0: 5000; a command's block_ms comes on top */
    int retry_ms; /* how long pj_redis_do() keeps trying to connect, or to repeat what may be repeated; 0: 10000 */
};

/* The same as programs keep it: by the names of their settings (PJ_REDIS_URL, …); all NULL when unset. */
struct pj_redis_settings {
    char *url, *password, *sentinel_user, *sentinel_password, *ca_file, *cert_file, *key_file;
};
/* Borrowed from `settings`; `general_ca_file` is PJ_CA_FILE. What is not in the settings can be set afterwards. */
struct pj_redis_options pj_redis_options_of(const struct pj_redis_settings *settings,
                                            const char *general_ca_file, const char *name);

#define PJ_REDIS_PORT 6379
#define PJ_REDIS_ADDRS_MAX 8
struct pj_redis_addr {
    char *host; /* NULL with a unix path */
    int port;
};
struct pj_redis_target {                           /* a parsed URL */
    struct pj_redis_addr addr[PJ_REDIS_ADDRS_MAX]; /* one, or the sentinels */
    size_t addr_count;
    char *path;   /* unix socket */
    char *master; /* name of the master at the sentinels, NULL without */
    char *user, *password;
    char *sentinel_user, *sentinel_password;
    int db;
    bool tls;
};

/* What can be judged without a server (--check-config): the URL, and the files for TLS. INVALID, naming the setting. */
int pj_redis_check(const struct pj_redis_options *options, struct pj_err *err) PJ_MUST_CHECK;
/* INVALID, naming PJ_REDIS_URL and the forms, when it is none. */
int pj_redis_target_parse(const struct pj_redis_options *options, struct pj_redis_target *out,
                          struct pj_err *err) PJ_MUST_CHECK;
void pj_redis_target_release(struct pj_redis_target *target);
/* "host:port" or the path, without secrets, for messages. Owned by the caller. */
char *pj_redis_target_text(const struct pj_redis_target *target);

/* Connects at the first command. Fails only for what pj_redis_check() finds. */
int pj_redis_new(const struct pj_redis_options *options, struct pj_redis **out,
                 struct pj_err *err) PJ_MUST_CHECK;
void pj_redis_free(struct pj_redis *redis);
void pj_redis_freep(struct pj_redis **redis);

/* Send and wait. 0 with *reply (pj_reply_freep) when Redis answered anything but an error. UNAVAILABLE: no server, or the
 * connection was lost after sending something that may not be sent twice. NOSCRIPT is repaired inside. */
int pj_redis_do(struct pj_redis *redis, const struct pj_cmd *cmd, struct redisReply **reply,
                struct pj_err *err) PJ_MUST_CHECK;
/* Many at once: sent together, answered in order into replies[count]; each may be an error reply (pj_reply_error()). Fails as a
 * whole when the connection is lost. At most 1000. */
int pj_redis_pipeline(struct pj_redis *redis, const struct pj_cmd *cmds, size_t count,
                      struct redisReply **replies, struct pj_err *err) PJ_MUST_CHECK;
/* Connect now, if it is not: UNAVAILABLE names the address and what to do. One try, no backoff. */
int pj_redis_connect(struct pj_redis *redis, struct pj_err *err) PJ_MUST_CHECK;

#endif
