#include "lib/crypto/jwt.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"

#define KEY_MAX ((size_t)64 * 1024)

/* Base 64 for URLs, without padding (RFC 4648, section 5). */
static int put_base64url(struct pj_str *out, const void *data, size_t n)
{
    struct pj_str text;

    pj_str_init(&text, n * 2 + 8);
    (void)pj_base64_encode(&text, data, n);
    for (size_t i = 0; i < text.len && text.data[i] != '='; i++) {
        char c = text.data[i];
        (void)pj_str_putc(out, (char)(c == '+' ? '-' : c == '/' ? '_' : c));
    }
    pj_str_release(&text);
    return out->full ? -1 : 0;
}

/* A key in one line of an environment file has its line ends written as \n. */
static void with_line_ends(struct pj_view pem, struct pj_str *out)
{
    pj_str_init(out, KEY_MAX);
    for (size_t i = 0; i < pem.n; i++) {
        if (pem.p[i] == '\\' && i + 1 < pem.n && pem.p[i + 1] == 'n') {
            (void)pj_str_putc(out, '\n');
            i++;
        } else {
            (void)pj_str_putc(out, pem.p[i]);
        }
    }
}

/* A key that asks for a password gets none. */
static int no_password(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)ctx;
    return -1;
}

static EVP_PKEY *read_key(struct pj_view pem, struct pj_err *err)
{
    struct pj_str text;
    EVP_PKEY *key = NULL;

    with_line_ends(pem, &text);
    BIO *bio = BIO_new_mem_buf(pj_str_cstr(&text), (int)text.len);
    if (bio != NULL)
        key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    if (text.data != NULL)
        pj_wipe(text.data, text.len);
    pj_str_release(&text);
    if (key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        EVP_PKEY_free(key);
        (void)pj_fail(err, PJ_E_INVALID, "the private key is no RSA key in PEM form");
        return NULL;
    }
    return key;
}

static int sign(EVP_PKEY *key, const struct pj_str *text, struct pj_str *out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *signature = pj_alloc((size_t)EVP_PKEY_get_size(key), 1);
    size_t n = (size_t)EVP_PKEY_get_size(key);
    int rc = -1;

    if (ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(ctx, signature, &n, (const unsigned char *)text->data, text->len) == 1)
        rc = put_base64url(out, signature, n);
    EVP_MD_CTX_free(ctx);
    free(signature);
    return rc;
}

int pj_jwt_rs256(struct pj_view pem, struct pj_view claims, struct pj_str *out, struct pj_err *err)
{
    static const char head[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    EVP_PKEY *key = read_key(pem, err);

    if (key == NULL)
        return -1;
    pj_str_init(&text, claims.n * 2 + 256);
    (void)put_base64url(&text, head, sizeof(head) - 1);
    (void)pj_str_putc(&text, '.');
    (void)put_base64url(&text, claims.p, claims.n);
    (void)pj_str_append(out, text.data, text.len);
    (void)pj_str_putc(out, '.');
    int rc = sign(key, &text, out);
    EVP_PKEY_free(key);
    if (rc < 0 || out->full)
        return pj_fail(err, PJ_E_INTERNAL, "the token could not be signed");
    return 0;
}
