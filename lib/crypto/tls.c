#include "lib/crypto/tls.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "lib/base/mem.h"
#include "lib/crypto/tls_why.h"

enum { CA, CERT, KEY, FILES };

struct file {
    char *path, *setting;
    struct stat seen; /* when it was loaded */
};

struct pj_tls {
    struct file file[FILES];
    SSL_CTX *ctx;
};

struct pj_tls_conn {
    SSL *ssl;
    struct pj_tls_why why;
    bool wants_write, over;
};

/* A key that needs a passphrase is refused; nobody is asked on a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static int bad_file(const struct file *file, const char *why, struct pj_err *err)
{
    char text[200];

    (void)pj_fail(err, PJ_E_INVALID, "%s: %s %s: %s", file->setting, file->path, why,
                  pj_tls_openssl_text(text, sizeof(text)));
    return pj_err_remedy(err, "Name a readable PEM file without a passphrase.");
}

/* A folder whose certificates can be found by name, one when it is needed. */
static bool is_indexed(const char *path)
{
    DIR *dir = path ? opendir(path) : NULL;
    const struct dirent *entry = NULL;

    while (dir && (entry = readdir(dir)) != NULL) {
        size_t n = strlen(entry->d_name);

        if (n == 10 && strcmp(entry->d_name + 8, ".0") == 0)
            break;
    }
    if (dir)
        (void)closedir(dir);
    return entry != NULL;
}

/* The bundle of all of them takes 20 ms to read: only where there is nothing better, or somebody names one. */
static int trust_system(SSL_CTX *ctx, struct pj_err *err)
{
    const char *dir = getenv(X509_get_default_cert_dir_env());
    const char *file = getenv(X509_get_default_cert_file_env());
    bool indexed = is_indexed(dir ? dir : X509_get_default_cert_dir());

    if (SSL_CTX_set_default_verify_dir(ctx) != 1 ||
        ((file || !indexed) && SSL_CTX_set_default_verify_file(ctx) != 1))
        return pj_fail(err, PJ_E_INTERNAL, "cannot load the system's certificates");
    return 0;
}

static int trust(SSL_CTX *ctx, const struct file *ca, struct pj_err *err)
{
    if (!ca->path)
        return trust_system(ctx, err);
    if (SSL_CTX_load_verify_locations(ctx, ca->path, NULL) != 1)
        return bad_file(ca, "holds no certificates that can be read", err);
    return 0;
}

static int introduce(SSL_CTX *ctx, const struct file *cert, const struct file *key,
                     struct pj_err *err)
{
    if (!cert->path)
        return 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, cert->path) != 1)
        return bad_file(cert, "holds no certificate that can be read", err);
    if (SSL_CTX_use_PrivateKey_file(ctx, key->path, SSL_FILETYPE_PEM) != 1)
        return bad_file(key, "holds no key for that certificate", err);
    return 0;
}

static int load(const struct pj_tls *tls, SSL_CTX **out, struct pj_err *err)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (!ctx)
        return pj_fail(err, PJ_E_INTERNAL, "cannot set up TLS");
    ERR_clear_error();
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, pj_tls_on_verify);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (trust(ctx, &tls->file[CA], err) < 0 ||
        introduce(ctx, &tls->file[CERT], &tls->file[KEY], err) < 0) {
        SSL_CTX_free(ctx);
        return -1;
    }
    *out = ctx;
    return 0;
}

/* Has a file changed since it was loaded? Notes what it is now. */
static bool renewed(struct pj_tls *tls)
{
    bool changed = false;

    for (int i = 0; i < FILES; i++) {
        struct file *f = &tls->file[i];
        struct stat now;

        if (!f->path || stat(f->path, &now) < 0)
            continue;
        changed |= now.st_ino != f->seen.st_ino || now.st_size != f->seen.st_size ||
                   now.st_dev != f->seen.st_dev || now.st_mtim.tv_sec != f->seen.st_mtim.tv_sec ||
                   now.st_mtim.tv_nsec != f->seen.st_mtim.tv_nsec;
        f->seen = now;
    }
    return changed;
}

int pj_tls_new(const struct pj_tls_files *files, struct pj_tls **out, struct pj_err *err)
{
    const struct pj_tls_file *given[FILES] = {&files->ca, &files->cert, &files->key};
    struct pj_tls *tls = pj_alloc(1, sizeof(*tls));
    int rc = 0;

    for (int i = 0; i < FILES; i++) {
        tls->file[i].path = given[i]->path && given[i]->path[0] ? pj_strdup(given[i]->path) : NULL;
        tls->file[i].setting = pj_strdup(given[i]->setting);
    }
    if (!tls->file[CERT].path != !tls->file[KEY].path) {
        (void)pj_fail(err, PJ_E_INVALID, "%s and %s go together", files->cert.setting,
                      files->key.setting);
        rc = pj_err_remedy(err, "Set both, or neither.");
    }
    (void)renewed(tls);
    if (rc == 0)
        rc = load(tls, &tls->ctx, err);
    if (rc < 0)
        pj_tls_free(tls);
    else
        *out = tls;
    return rc;
}

void pj_tls_free(struct pj_tls *tls)
{
    if (!tls)
        return;
    for (int i = 0; i < FILES; i++) {
        free(tls->file[i].path);
        free(tls->file[i].setting);
    }
    SSL_CTX_free(tls->ctx);
    free(tls);
}

/* Files that are being renewed may not fit each other for an instant: then what was loaded before still counts. */
static void refresh(struct pj_tls *tls)
{
    struct stat before[FILES];
    struct pj_err ignored;
    SSL_CTX *ctx;

    for (int i = 0; i < FILES; i++)
        before[i] = tls->file[i].seen;
    if (!renewed(tls))
        return;
    if (load(tls, &ctx, &ignored) == 0) {
        SSL_CTX_free(tls->ctx); /* connections hold their own reference */
        tls->ctx = ctx;
        return;
    }
    for (int i = 0; i < FILES; i++)
        tls->file[i].seen = before[i];
}

/* The certificate must be for `host`; a name is also told to the server (SNI). */
static bool expect(SSL *ssl, char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    unsigned char address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

int pj_tls_connect(struct pj_tls *tls, int fd, const char *host, struct pj_tls_conn **out,
                   struct pj_err *err)
{
    struct pj_tls_conn *conn;

    refresh(tls);
    ERR_clear_error();
    conn = pj_alloc(1, sizeof(*conn));
    conn->ssl = SSL_new(tls->ctx);
    if (conn->ssl)
        pj_tls_why_init(&conn->why, conn->ssl, host);
    if (!conn->ssl || !expect(conn->ssl, conn->why.host) || SSL_set_fd(conn->ssl, fd) != 1) {
        SSL_free(conn->ssl);
        free(conn);
        return pj_fail(err, PJ_E_INTERNAL, "cannot set up TLS for %.200s", host);
    }
    SSL_set_connect_state(conn->ssl);
    conn->why.ca = tls->file[CA].setting;
    conn->why.cert = tls->file[CERT].setting;
    conn->why.has_ca = tls->file[CA].path != NULL;
    conn->why.has_cert = tls->file[CERT].path != NULL;
    *out = conn;
    return 0;
}

void pj_tls_close(struct pj_tls_conn *conn)
{
    if (!conn)
        return;
    ERR_clear_error();
    if (!conn->over && SSL_is_init_finished(conn->ssl))
        (void)SSL_shutdown(conn->ssl);
    SSL_free(conn->ssl);
    free(conn);
}

/* After a call of OpenSSL that did not do it: 0 to wait, -1 with the reason. */
static int judge(struct pj_tls_conn *conn, int rc, int sys_errno, struct pj_err *err)
{
    int what = SSL_get_error(conn->ssl, rc);

    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
        conn->wants_write = what == SSL_ERROR_WANT_WRITE;
        return 0;
    }
    conn->over = true;
    return pj_tls_explain(&conn->why, what, sys_errno, err);
}

int pj_tls_handshake(struct pj_tls_conn *conn, struct pj_err *err)
{
    int rc;

    ERR_clear_error();
    errno = 0;
    rc = SSL_do_handshake(conn->ssl);
    return rc == 1 ? 1 : judge(conn, rc, errno, err);
}

ssize_t pj_tls_read(struct pj_tls_conn *conn, void *to, size_t n, struct pj_err *err)
{
    size_t got = 0;
    int rc;

    ERR_clear_error();
    errno = 0;
    rc = SSL_read_ex(conn->ssl, to, n, &got);
    return rc == 1 ? (ssize_t)got : judge(conn, rc, errno, err);
}

ssize_t pj_tls_write(struct pj_tls_conn *conn, const void *from, size_t n, struct pj_err *err)
{
    size_t put = 0;
    char byte;
    int rc, saved;

    ERR_clear_error();
    errno = 0;
    rc = SSL_write_ex(conn->ssl, from, n, &put);
    if (rc == 1)
        return (ssize_t)put;
    saved = errno;
    if (SSL_get_error(conn->ssl, rc) != SSL_ERROR_SYSCALL)
        return judge(conn, rc, saved, err);
    /* The peer has hung up: the reason it gave may still stand in what was received. */
    ERR_clear_error();
    rc = SSL_peek(conn->ssl, &byte, 1);
    conn->over = true;
    if (rc > 0 || SSL_get_error(conn->ssl, rc) != SSL_ERROR_SSL)
        return pj_tls_explain(&conn->why, SSL_ERROR_SYSCALL, saved, err);
    return pj_tls_explain(&conn->why, SSL_ERROR_SSL, 0, err);
}

bool pj_tls_is_quiet(struct pj_tls_conn *conn)
{
    char byte;
    int rc;

    ERR_clear_error();
    rc = SSL_peek(conn->ssl, &byte, 1);
    return rc <= 0 && SSL_get_error(conn->ssl, rc) == SSL_ERROR_WANT_READ;
}

bool pj_tls_wants_write(const struct pj_tls_conn *conn)
{
    return conn->wants_write;
}

bool pj_tls_has_bytes(const struct pj_tls_conn *conn)
{
    return SSL_has_pending(conn->ssl) == 1;
}
