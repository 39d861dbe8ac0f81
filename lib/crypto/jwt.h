/* jwt.h - a signed claim: RS256 JSON Web Tokens (RFC 7519, RFC 7518), made, never read. */
#ifndef PJ_CRYPTO_JWT_H
#define PJ_CRYPTO_JWT_H

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

/* Append header.claims.signature. `pem` is an RSA private key (PKCS#1 or PKCS#8, not encrypted), its line ends as they are or
 * written out as \n; `claims` is a JSON object. INVALID when the key cannot be read. */
int pj_jwt_rs256(struct pj_view pem, struct pj_view claims, struct pj_str *out,
                 struct pj_err *err) PJ_MUST_CHECK;

#endif
