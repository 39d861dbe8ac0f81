#include "tests/lib/git/tls_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"

struct tls_server {
    SSL_CTX *ctx;
    int fd;
    uint16_t port;
    pthread_t thread;
    atomic_uint requests;
};

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(cert, name);
    X509_add_ext(cert, san, -1);
    X509_EXTENSION_free(san);
    cr_assert_gt(X509_sign(cert, key, EVP_sha256()), 0);
    return cert;
}

static void answer(struct tls_server *s, int fd)
{
    static const char text[] =
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    char buf[4096];
    SSL *ssl = SSL_new(s->ctx);

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1 && SSL_read(ssl, buf, sizeof(buf)) > 0) {
        atomic_fetch_add(&s->requests, 1);
        (void)SSL_write(ssl, text, sizeof(text) - 1);
        (void)SSL_shutdown(ssl);
    }
    SSL_free(ssl);
}

static void *serve(void *arg)
{
    struct tls_server *s = arg;

    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        answer(s, fd);
        close(fd);
    }
}

struct tls_server *tls_server_start(const char *ca_file)
{
    struct tls_server *s = pj_alloc(1, sizeof(*s));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    EVP_PKEY *key = EVP_RSA_gen(2048);
    X509 *cert = make_certificate(key);
    FILE *f = fopen(ca_file, "we");

    (void)signal(SIGPIPE,
                 SIG_IGN); /* a client that goes away during the handshake is part of the play */
    cr_assert_not_null(f);
    cr_assert_eq(PEM_write_X509(f, cert), 1);
    cr_assert_eq(fclose(f), 0);
    s->ctx = SSL_CTX_new(TLS_server_method());
    cr_assert_eq(SSL_CTX_use_certificate(s->ctx, cert), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey(s->ctx, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(s->fd, (struct sockaddr *)&address, n), 0);
    cr_assert_eq(listen(s->fd, 8), 0);
    cr_assert_eq(getsockname(s->fd, (struct sockaddr *)&address, &n), 0);
    s->port = ntohs(address.sin_port);
    cr_assert_eq(pthread_create(&s->thread, NULL, serve, s), 0);
    return s;
}

void tls_server_stop(struct tls_server *s)
{
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    close(s->fd);
    SSL_CTX_free(s->ctx);
    free(s);
}

uint16_t tls_server_port(const struct tls_server *s)
{
    return s->port;
}

unsigned tls_server_requests(struct tls_server *s)
{
    return atomic_load(&s->requests);
}
