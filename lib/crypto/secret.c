#include "lib/crypto/secret.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/crypto/random.h"

#define KEYS_MAX 8
#define KEY_SIZE 32
#define KEY_ID_SIZE 4
#define NONCE_SIZE 12 /* NIST SP 800-38D, section 5.2.1.1 */
#define TAG_SIZE 16
#define SEALED_MAX (128 * 1024)

struct key {
    uint8_t id[KEY_ID_SIZE];
    uint8_t bytes[KEY_SIZE];
};

struct pj_keyring {
    struct key key[KEYS_MAX];
    size_t count;
};

static int bad_key(struct pj_err *err, const char *what)
{
    (void)pj_fail(err, PJ_E_INVALID, "PJ_SECRET_KEY: %s", what);
    return pj_err_remedy(err, "make one with: head -c 32 /dev/urandom | base64");
}

int pj_keyring_new(const char *keys, struct pj_keyring **out, struct pj_err *err)
{
    PJ_CLEANUP(pj_keyring_freep) struct pj_keyring *ring = pj_alloc(1, sizeof(*ring));
    struct pj_view rest = pj_view_of(keys), one;

    if (!keys || !*keys)
        return bad_key(err, "is not set");
    while (pj_view_cut(&rest, ',', &one)) {
        struct key *key = &ring->key[ring->count];
        uint8_t hash[PJ_SHA256_SIZE];
        size_t n;

        if (ring->count == KEYS_MAX)
            return bad_key(err, "more than 8 keys");
        if (pj_base64_decode(pj_view_trim(one), key->bytes, KEY_SIZE, &n) < 0 || n != KEY_SIZE)
            return bad_key(err, "a key is not 32 bytes in base64");
        pj_sha256(key->bytes, KEY_SIZE, hash);
        memcpy(key->id, hash, KEY_ID_SIZE);
        ring->count++;
    }
    *out = ring;
    ring = NULL;
    return 0;
}

void pj_keyring_free(struct pj_keyring *ring)
{
    pj_wipe(ring, sizeof(*ring));
    free(ring);
}

void pj_keyring_freep(struct pj_keyring **ring)
{
    if (*ring)
        pj_keyring_free(*ring);
    *ring = NULL;
}

/* One pass of AES-256-GCM; `tag` is written when sealing and checked when opening. */
static int run_gcm(bool seal, const struct key *key, const uint8_t *nonce, const char *context,
                   struct pj_view in, uint8_t *out, uint8_t *tag)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0, ok;

    ok = c && in.n < INT_MAX &&
         EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key->bytes, nonce, seal) == 1 &&
         EVP_CipherUpdate(c, NULL, &n, (const uint8_t *)context, (int)strlen(context)) == 1 &&
         EVP_CipherUpdate(c, out, &n, (const uint8_t *)in.p, (int)in.n) == 1;
    if (ok && !seal)
        ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1;
    ok = ok && EVP_CipherFinal_ex(c, out + n, &n) == 1;
    if (ok && seal)
        ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, tag) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok ? 0 : -1;
}

int pj_seal(const struct pj_keyring *ring, const char *context, struct pj_view plain,
            struct pj_str *out, struct pj_err *err)
{
    size_t size = KEY_ID_SIZE + NONCE_SIZE + plain.n + TAG_SIZE;
    uint8_t *raw;
    int result;

    if (size > SEALED_MAX)
        return pj_fail(err, PJ_E_LIMIT, "secret has %zu bytes, limit %d", plain.n, SEALED_MAX);
    raw = pj_alloc(size, 1);
    memcpy(raw, ring->key[0].id, KEY_ID_SIZE);
    pj_random_bytes(raw + KEY_ID_SIZE, NONCE_SIZE);
    result = run_gcm(true, &ring->key[0], raw + KEY_ID_SIZE, context, plain,
                     raw + KEY_ID_SIZE + NONCE_SIZE, raw + size - TAG_SIZE);
    if (result == 0) {
        (void)pj_str_puts(out, "v1:");
        result = pj_base64_encode(out, raw, size);
    }
    free(raw);
    return result < 0 ? pj_fail(err, PJ_E_INTERNAL, "sealing failed") : 0;
}

static int unseal_raw(const struct pj_keyring *ring, const char *context, uint8_t *raw, size_t n,
                      struct pj_str *out)
{
    size_t plain_n = n - KEY_ID_SIZE - NONCE_SIZE - TAG_SIZE;
    uint8_t *plain = pj_alloc(plain_n + 1, 1);
    int result = -1;

    for (size_t i = 0; i < ring->count && result < 0; i++) {
        if (memcmp(ring->key[i].id, raw, KEY_ID_SIZE) != 0)
            continue;
        result = run_gcm(false, &ring->key[i], raw + KEY_ID_SIZE, context,
                         pj_view_n((const char *)raw + KEY_ID_SIZE + NONCE_SIZE, plain_n), plain,
                         raw + n - TAG_SIZE);
    }
    if (result == 0)
        result = pj_str_append(out, plain, plain_n);
    pj_wipe(plain, plain_n);
    free(plain);
    return result;
}

int pj_unseal(const struct pj_keyring *ring, const char *context, struct pj_view sealed,
              struct pj_str *out, struct pj_err *err)
{
    uint8_t *raw;
    size_t n = 0;
    int result = -1;

    if (!pj_view_starts(sealed, "v1:") || sealed.n > SEALED_MAX * 2)
        return pj_fail(err, PJ_E_AUTH, "not a sealed value");
    raw = pj_alloc(sealed.n, 1);
    if (pj_base64_decode(pj_view_n(sealed.p + 3, sealed.n - 3), raw, sealed.n, &n) == 0 &&
        n >= KEY_ID_SIZE + NONCE_SIZE + TAG_SIZE)
        result = unseal_raw(ring, context, raw, n, out);
    free(raw);
    if (result == 0)
        return 0;
    (void)pj_fail(err, PJ_E_AUTH,
                  "a stored secret cannot be opened with the present PJ_SECRET_KEY");
    return pj_err_remedy(err, "add the key it was sealed with to PJ_SECRET_KEY, after a comma");
}
