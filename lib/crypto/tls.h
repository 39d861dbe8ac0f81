/* tls.h - the client's side of TLS over a socket that does not block: TLS 1.2 or newer, the peer's chain and name always checked.
 *
 * A struct pj_tls holds whom to trust and what to show; connections are made with it. Files that were renewed meanwhile count
 * from the next connection on. The program ignores SIGPIPE. Single-threaded use. */
#ifndef PJ_CRYPTO_TLS_H
#define PJ_CRYPTO_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "lib/base/err.h"

struct pj_tls_file {
    const char *path;    /* NULL or "": none */
    const char *setting; /* its name in messages */
};

struct pj_tls_files {
    struct pj_tls_file ca;   /* PEM, trusted instead of the system's authorities */
    struct pj_tls_file cert; /* PEM, the client's chain, with its key; both or neither */
    struct pj_tls_file key;
};

struct pj_tls;
struct pj_tls_conn;

/* INVALID, naming the setting, when a file cannot be used. Paths are copied. */
int pj_tls_new(const struct pj_tls_files *files, struct pj_tls **out,
               struct pj_err *err) PJ_MUST_CHECK;
void pj_tls_free(struct pj_tls *tls);

/* Over `fd`, which is connected, does not block and stays the caller's. `host` (a name, or an address written out) is what the
 * certificate must be for. `tls` must outlive the connection. */
int pj_tls_connect(struct pj_tls *tls, int fd, const char *host, struct pj_tls_conn **out,
                   struct pj_err *err) PJ_MUST_CHECK;
/* Says good-bye as far as that goes without waiting. */
void pj_tls_close(struct pj_tls_conn *conn);

/* 1: it was done, 0: wait for the socket (pj_tls_wants_write()) and call again, -1: over, with message and remedy. */
int pj_tls_handshake(struct pj_tls_conn *conn, struct pj_err *err);
/* Bytes moved, 0: wait and call again (a write: with the same bytes first), -1: over. */
ssize_t pj_tls_read(struct pj_tls_conn *conn, void *to, size_t n, struct pj_err *err);
ssize_t pj_tls_write(struct pj_tls_conn *conn, const void *from, size_t n, struct pj_err *err);
/* Is there nothing to read, and has the peer not hung up? Takes in what TLS itself has sent (session tickets). */
bool pj_tls_is_quiet(struct pj_tls_conn *conn);
/* What the last call that answered 0 waits for: room to write, or else bytes to read. */
bool pj_tls_wants_write(const struct pj_tls_conn *conn);
/* Bytes are held here that poll() on the socket does not show. */
bool pj_tls_has_bytes(const struct pj_tls_conn *conn);

#endif
