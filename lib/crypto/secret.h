/* secret.h - sealing of credentials that rest in Redis: AES-256-GCM under PJ_SECRET_KEY.
 *
 * The setting holds one or several base64 keys of 32 bytes, comma separated: the first seals, all open (rotation). A sealed
 * text is "v1:" and base64 of key id (4 bytes of the key's SHA-256), nonce (12), ciphertext, tag (16). `context` is
 * authenticated with it (say "repo:<id>:credential"), so that a sealed value cannot be moved to another field. */
#ifndef PJ_CRYPTO_SECRET_H
#define PJ_CRYPTO_SECRET_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

struct pj_keyring;

/* INVALID when a key is not base64 of 32 bytes; names PJ_SECRET_KEY and the command that makes one. */
int pj_keyring_new(const char *keys, struct pj_keyring **out, struct pj_err *err) PJ_MUST_CHECK;
void pj_keyring_free(struct pj_keyring *ring);
void pj_keyring_freep(struct pj_keyring **ring);
int pj_seal(const struct pj_keyring *ring, const char *context, struct pj_view plain,
            struct pj_str *out, struct pj_err *err) PJ_MUST_CHECK;
/* AUTH when no key opens it or it was changed. */
int pj_unseal(const struct pj_keyring *ring, const char *context, struct pj_view sealed,
              struct pj_str *out, struct pj_err *err) PJ_MUST_CHECK;

#endif
