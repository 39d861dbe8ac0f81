#include "lib/crypto/tls_why.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "lib/base/mem.h"

void pj_tls_why_init(struct pj_tls_why *why, SSL *ssl, const char *host)
{
    (void)snprintf(why->host, sizeof(why->host), "%s", host);
    (void)SSL_set_app_data(ssl, why);
}

const char *pj_tls_openssl_text(char *out, size_t size)
{
    unsigned long code = ERR_peek_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    if (code && ERR_SYSTEM_ERROR(code))
        text = strerror(ERR_GET_REASON(code));
    (void)snprintf(out, size, "%s", text ? text : "no reason given");
    return out;
}

/* Appends what a certificate says, which is anybody's bytes: only what is plainly visible. */
static void put(char *out, size_t size, const char *text, size_t n)
{
    size_t at = strlen(out);

    if (at && at + 2 < size) {
        out[at++] = ',';
        out[at++] = ' ';
    }
    for (size_t i = 0; i < n && at + 1 < size; i++)
        out[at++] = (char)(text[i] > ' ' && text[i] < 0x7f ? text[i] : '?');
    out[at] = '\0';
}

static void put_address(char *out, size_t size, const ASN1_OCTET_STRING *bytes)
{
    char text[INET6_ADDRSTRLEN];
    int n = ASN1_STRING_length(bytes);

    if ((n == 4 || n == 16) &&
        inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text, sizeof(text)))
        put(out, size, text, strlen(text));
}

/* The names and addresses that `cert` is for. */
static void list_names(X509 *cert, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    char common[128];
    int n;

    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type == GEN_DNS)
            put(out, size, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                (size_t)ASN1_STRING_length(name->d.dNSName));
        else if (name->type == GEN_IPADD)
            put_address(out, size, name->d.iPAddress);
    }
    GENERAL_NAMES_free(names);
    n = out[0] ? -1
               : X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, common,
                                           sizeof(common));
    if (n > 0)
        put(out, size, common, (size_t)n);
    if (!out[0])
        (void)snprintf(out, size, "nobody");
}

static void tell_date(const ASN1_TIME *when, char *out, size_t size)
{
    struct tm tm = {0};

    if (!when || ASN1_TIME_to_tm(when, &tm) != 1 ||
        strftime(out, size, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        (void)snprintf(out, size, "an unknown time");
}

int pj_tls_on_verify(int fine, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct pj_tls_why *why = ssl ? SSL_get_app_data(ssl) : NULL;
    X509 *cert = X509_STORE_CTX_get_current_cert(store);

    if (fine || !why || why->fault)
        return fine;
    why->fault = X509_STORE_CTX_get_error(store);
    if (!cert)
        return fine;
    if (why->fault == X509_V_ERR_CERT_HAS_EXPIRED)
        tell_date(X509_get0_notAfter(cert), why->about, sizeof(why->about));
    else if (why->fault == X509_V_ERR_CERT_NOT_YET_VALID)
        tell_date(X509_get0_notBefore(cert), why->about, sizeof(why->about));
    else
        list_names(cert, why->about, sizeof(why->about));
    return fine;
}

static int explain_certificate(const struct pj_tls_why *why, struct pj_err *err)
{
    switch (why->fault) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "TLS: the certificate is not for %s but for %s",
                      why->host, why->about);
        return pj_err_remedy(err, "Use a name that the certificate has, or have one issued for %s.",
                             why->host);
    case X509_V_ERR_CERT_HAS_EXPIRED:
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "TLS: the certificate of %s expired on %s", why->host,
                      why->about);
        return pj_err_remedy(err, "Renew it there; if it is not that late, look at this clock.");
    case X509_V_ERR_CERT_NOT_YET_VALID:
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "TLS: the certificate of %s is valid only from %s",
                      why->host, why->about);
        return pj_err_remedy(err, "Look at the clocks of both hosts.");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        (void)pj_fail(err, PJ_E_UNAVAILABLE,
                      "TLS: the certificate of %s is signed by nobody whom %s trusts", why->host,
                      why->has_ca ? why->ca : "this system");
        return pj_err_remedy(err, "Let %s name the certificate of the authority that signed it.",
                             why->ca);
    default:
        return pj_fail(err, PJ_E_UNAVAILABLE, "TLS: the certificate of %s is refused: %s",
                       why->host, X509_verify_cert_error_string(why->fault));
    }
}

/* What the other side objected to in ours. */
static int explain_client(const struct pj_tls_why *why, const char *text, struct pj_err *err)
{
    if (why->has_cert) {
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "TLS: %s refuses the client certificate: %s",
                      why->host, text);
        return pj_err_remedy(
            err, "Let %s name one that its authority signed and that has not expired.", why->cert);
    }
    (void)pj_fail(err, PJ_E_UNAVAILABLE, "TLS: %s wants a client certificate: %s", why->host, text);
    return pj_err_remedy(err, "Set %s and the key that belongs to it.", why->cert);
}

static int explain_protocol(const struct pj_tls_why *why, struct pj_err *err)
{
    char text[200];

    (void)pj_tls_openssl_text(text, sizeof(text));
    switch (ERR_GET_REASON(ERR_peek_error())) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        return explain_certificate(why, err);
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_HTTP_REQUEST:
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "TLS: %s does not speak TLS on that port", why->host);
        return pj_err_remedy(err, "Name the port that does, or connect without TLS.");
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        return explain_client(why, text, err);
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE: /* also what TLS 1.2 says for "no certificate" */
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "TLS: %s ends the handshake: %s", why->host, text);
        return pj_err_remedy(
            err, "If it wants a client certificate, set %s; else compare versions and ciphers.",
            why->cert);
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "TLS: no version is known to both sides: %s", text);
        return pj_err_remedy(err, "Allow TLS 1.2 or 1.3 at %s.", why->host);
    default:
        return pj_fail(err, PJ_E_UNAVAILABLE, "TLS: %s", text);
    }
}

int pj_tls_explain(const struct pj_tls_why *why, int what, int sys_errno, struct pj_err *err)
{
    if (what == SSL_ERROR_SSL)
        return explain_protocol(why, err);
    if (what == SSL_ERROR_SYSCALL && sys_errno)
        return pj_fail(err, PJ_E_UNAVAILABLE, "%s", strerror(sys_errno));
    return pj_fail(err, PJ_E_UNAVAILABLE, "the server closed the connection");
}
