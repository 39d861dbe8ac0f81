#include <criterion/criterion.h>
#include "lib/crypto/hmac.h"
#include "lib/crypto/random.h"
#include "lib/crypto/secret.h"

#include <string.h>

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="

/* RFC 4231, test case 2. */
Test(hmac, known_answer)
{
    uint8_t mac[PJ_SHA256_SIZE];
    char hex[65];

    pj_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
    pj_hex(mac, sizeof(mac), hex);
    cr_assert_str_eq(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    cr_assert_eq(pj_crc32("123456789", 9), 0xCBF43926);
}

Test(base64, strict_both_ways)
{
    static const char *const bad[] = {
        "Zg=", "Zg", "Zh==", "Z===", "Zm9v\n", "Zm-v", "====", "Zg==Zg=="};
    struct pj_str s;
    char out[16];
    size_t n;

    pj_str_init(&s, 1000);
    cr_assert_eq(pj_base64_encode(&s, "foobar", 6), 0);
    cr_assert_str_eq(pj_str_cstr(&s), "Zm9vYmFy");
    pj_str_release(&s);
    cr_assert_eq(pj_base64_decode(pj_view_of("Zm9vYg=="), out, sizeof(out), &n), 0);
    cr_assert(n == 4 && memcmp(out, "foob", 4) == 0);
    for (size_t i = 0; i < PJ_COUNT_OF(bad); i++)
        cr_assert_eq(pj_base64_decode(pj_view_of(bad[i]), out, sizeof(out), &n), -1, "%s", bad[i]);
    cr_assert_eq(pj_base64_decode(pj_view_of("Zm9vYmFy"), out, 5, &n), -1);
}

Test(secret, opens_with_its_key_and_context_only)
{
    struct pj_keyring *a, *ba, *b;
    struct pj_str sealed, plain;
    struct pj_err err;

    pj_str_init(&sealed, 1000);
    pj_str_init(&plain, 1000);
    cr_assert_eq(pj_keyring_new(KEY_A, &a, &err), 0);
    cr_assert_eq(pj_keyring_new(KEY_B "," KEY_A, &ba, &err), 0);
    cr_assert_eq(pj_keyring_new(KEY_B, &b, &err), 0);
    cr_assert_eq(pj_seal(a, "repo:1", pj_view_of("token"), &sealed, &err), 0);
    cr_assert_null(strstr(sealed.data, "token"));
    cr_assert_eq(pj_unseal(ba, "repo:1", pj_view_n(sealed.data, sealed.len), &plain, &err), 0);
    cr_assert_str_eq(pj_str_cstr(&plain), "token");
    cr_assert_eq(pj_unseal(a, "repo:2", pj_view_n(sealed.data, sealed.len), &plain, &err), -1);
    cr_assert_eq(pj_unseal(b, "repo:1", pj_view_n(sealed.data, sealed.len), &plain, &err), -1);
    sealed.data[20] = sealed.data[20] == 'A' ? 'B' : 'A';
    cr_assert_eq(pj_unseal(a, "repo:1", pj_view_n(sealed.data, sealed.len), &plain, &err), -1);
    cr_assert_str_eq(pj_str_cstr(&plain), "token");
    pj_str_release(&sealed);
    pj_str_release(&plain);
    pj_keyring_free(a);
    pj_keyring_free(ba);
    pj_keyring_free(b);
}

Test(secret, a_wrong_key_names_the_setting)
{
    struct pj_keyring *ring;
    struct pj_err err;

    cr_assert_eq(pj_keyring_new("short", &ring, &err), -1);
    cr_assert(strstr(err.message, "PJ_SECRET_KEY"));
    cr_assert(strstr(err.remedy, "base64"));
    cr_assert_eq(pj_keyring_new(NULL, &ring, &err), -1);
}

Test(random, text_has_its_length_and_alphabet)
{
    char a[33], b[33];

    pj_random_text(a, 32);
    pj_random_text(b, 32);
    cr_assert_eq(strlen(a), 32);
    cr_assert_str_neq(a, b);
    cr_assert_eq(strspn(a, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"), 32);
}
