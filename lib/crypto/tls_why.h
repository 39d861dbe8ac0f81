/* tls_why.h - why a TLS connection failed, in words that say what to change. Used by tls.c only. */
#ifndef PJ_CRYPTO_TLS_WHY_H
#define PJ_CRYPTO_TLS_WHY_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include "lib/base/err.h"

struct pj_tls_why {
    char host[256];        /* whom we wanted */
    const char *ca, *cert; /* the settings, borrowed */
    bool has_ca, has_cert;
    int fault;       /* X509_V_ERR_…, 0: none */
    char about[256]; /* of the certificate at fault: the names it is for, or its dates */
};

/* `why` stays at its address as long as `ssl` lives. */
void pj_tls_why_init(struct pj_tls_why *why, SSL *ssl, const char *host);
/* The verify callback: remembers the first fault, changes nothing about the verdict. */
int pj_tls_on_verify(int fine, X509_STORE_CTX *store);
/* For SSL_get_error()'s `what`: fills *err (UNAVAILABLE) with message and remedy; -1. */
int pj_tls_explain(const struct pj_tls_why *why, int what, int sys_errno, struct pj_err *err);
/* The oldest entry of OpenSSL's queue in words. Returns `out`. */
const char *pj_tls_openssl_text(char *out, size_t size);

#endif
