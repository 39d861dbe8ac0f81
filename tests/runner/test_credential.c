/* A GitHub App against a forge that checks the JWT with the App's public key, as GitHub does. */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/json/codec.h"
#include "runner/credential.h"
#include "tests/support/forge_contract.h"
#include "tests/support/stand_in.h"

#define APP_ID "Iv1.0123456789abcdef"
/* Tokens of this length have been given out since 2026. */
#define TOKEN_BYTES 520

static EVP_PKEY *key;
static char *pem;
static struct stand_in *server;
static struct forge_contract *contract;
static const json_t *operation; /* what is being answered */
static struct pj_str problems;
static struct pj_forge forge;
static struct pj_repo_address address;
static struct credential_spec spec;
static char token[TOKEN_BYTES + 1];
static unsigned fail_times;
static bool installed;

/* The inverse of base 64 for URLs. */
static size_t unpack(const char *text, size_t n, unsigned char *out, size_t cap)
{
    struct pj_str plain;
    size_t got = 0;

    pj_str_init(&plain, 4096);
    for (size_t i = 0; i < n; i++)
        (void)pj_str_putc(&plain, text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
    while (plain.len % 4 != 0)
        (void)pj_str_putc(&plain, '=');
    cr_assert_eq(pj_base64_decode(pj_view_n(plain.data, plain.len), out, cap, &got), 0);
    pj_str_release(&plain);
    return got;
}

static bool jwt_ok(const char *authorization)
{
    unsigned char signature[1024];
    unsigned char claims[2048];
    const char *jwt = authorization != NULL && strncmp(authorization, "Bearer ", 7) == 0
                          ? authorization + 7
                          : NULL;
    const char *first = jwt != NULL ? strchr(jwt, '.') : NULL;
    const char *second = first != NULL ? strchr(first + 1, '.') : NULL;
    struct pj_err err;
    json_t *doc = NULL;

    if (second == NULL)
        return false;
    size_t n = unpack(second + 1, strlen(second + 1), signature, sizeof(signature));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestVerify(ctx, signature, n, (const unsigned char *)jwt,
                               (size_t)(second - jwt)) == 1;
    EVP_MD_CTX_free(ctx);
    n = unpack(first + 1, (size_t)(second - first - 1), claims, sizeof(claims));
    if (!ok || pj_json_parse(pj_view_n((const char *)claims, n), &doc, &err) < 0)
        return false;
    int64_t now = pj_now_ms() / 1000;
    int64_t iat = pj_json_i64(doc, "iat", 0);
    int64_t exp = pj_json_i64(doc, "exp", 0);
    ok = strcmp(pj_json_str(doc, "iss", ""), APP_ID) == 0 && iat <= now && exp > now &&
         exp - iat <= 600;
    json_decref(doc);
    return ok;
}

/* An answer that GitHub's description allows, completed by it. */
static void say(struct stand_in_exchange *x, int status, const char *text)
{
    json_t *doc = json_loads(text, 0, NULL);

    if (operation != NULL) {
        forge_contract_fill(contract, operation, status, doc);
        forge_contract_answer(contract, operation, status, doc, &problems);
    }
    char *whole = pj_json_text(doc);
    stand_in_reply_text(x, status, "application/json", whole);
    free(whole);
    json_decref(doc);
}

static void give_token(const struct stand_in_request *r, struct stand_in_exchange *x)
{
    struct pj_err err;
    json_t *body = NULL;

    if (pj_json_parse(pj_view_n(r->body, r->body_len), &body, &err) == 0 &&
        strcmp(json_string_value(json_array_get(json_object_get(body, "repositories"), 0)), "r") ==
            0 &&
        strcmp(pj_json_str(json_object_get(body, "permissions"), "contents", ""), "write") == 0 &&
        strcmp(pj_json_str(json_object_get(body, "permissions"), "actions", "none"),
               spec.app.actions ? "write" : "none") == 0) {
        char *text =
            pj_asprintf("{\"token\":\"%s\",\"expires_at\":\"2099-01-01T00:00:00Z\"}", token);
        say(x, 201, text);
        free(text);
    } else {
        say(x, 422, "{\"message\":\"wrong body\"}");
    }
    json_decref(body);
}

static void answer(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    (void)ctx;
    operation = forge_contract_request(contract, r, r->path, &problems);
    if (fail_times > 0) {
        fail_times--;
        say(x, 503, "{\"message\":\"busy\"}");
    } else if (!jwt_ok(stand_in_header(r, "Authorization"))) {
        say(x, 401, "{\"message\":\"A JSON web token could not be decoded\"}");
    } else if (strcmp(r->path, "/repos/o/r/installation") == 0) {
        say(x, installed ? 200 : 404, installed ? "{\"id\":42}" : "{\"message\":\"Not Found\"}");
    } else if (strcmp(r->path, "/app/installations/42/access_tokens") == 0) {
        give_token(r, x);
    } else {
        say(x, 404, "{\"message\":\"Not Found\"}");
    }
}

static char *key_text(EVP_PKEY *of)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;

    cr_assert_eq(PEM_write_bio_PrivateKey(bio, of, NULL, NULL, 0, NULL, NULL), 1);
    long n = BIO_get_mem_data(bio, &data);
    char *text = pj_strndup(data, (size_t)n);
    BIO_free(bio);
    return text;
}

static void begin(void)
{
    key = EVP_RSA_gen(2048);
    pem = key_text(key);
    contract = forge_contract_open();
    pj_str_init(&problems, 65536);
    server = stand_in_start(0, answer, NULL);
    forge = (struct pj_forge){.kind = PJ_FORGE_GITHUB,
                              .host = pj_strdup("github.example"),
                              .api_url = pj_strdup(stand_in_url(server))};
    address = (struct pj_repo_address){.url = pj_strdup("https://github.example/o/r"),
                                       .owner = pj_strdup("o"),
                                       .name = pj_strdup("r"),
                                       .forge = &forge};
    spec = (struct credential_spec){
        .address = &address, .app = {APP_ID, pem, false}, .retry_base_ms = 1};
    memset(token, 'x', TOKEN_BYTES);
    memcpy(token, "ghs_1.2.3", 9);
    installed = true;
    fail_times = 0;
}

static void end(void)
{
    stand_in_stop(server);
    if (problems.len > 0) { /* a finished test's assert would not count */
        fprintf(stderr, "against GitHub's description:\n%s", pj_str_cstr(&problems));
        abort();
    }
    pj_str_release(&problems);
    forge_contract_free(contract);
    pj_repo_address_release(&address);
    free(forge.host);
    free(forge.api_url);
    free(pem);
    EVP_PKEY_free(key);
}

TestSuite(credential, .init = begin, .fini = end);

Test(credential, an_installation_token_is_minted)
{
    struct credential out;
    struct pj_err err;

    cr_assert_eq(credential_get(&spec, &out, &err), 0, "%s", err.message);
    cr_assert_eq(out.source, PJ_CREDENTIAL_APP);
    cr_assert_str_eq(out.token, token);
    cr_assert_str_eq(out.username, "x-access-token");
    cr_assert_gt(out.expires_ms, pj_now_ms());
    credential_release(&out);
}

Test(credential, a_token_for_workflows_asks_for_actions_too)
{
    struct credential out;
    struct pj_err err;

    spec.app.actions = true;
    cr_assert_eq(credential_get(&spec, &out, &err), 0, "%s", err.message);
    credential_release(&out);
}

Test(credential, a_key_with_its_line_ends_written_out_works)
{
    struct credential out;
    struct pj_str flat;
    struct pj_err err;

    pj_str_init(&flat, 16384);
    for (const char *p = pem; *p != '\0'; p++)
        (void)(*p == '\n' ? pj_str_puts(&flat, "\\n") : pj_str_putc(&flat, *p));
    spec.app.private_key = pj_str_cstr(&flat);
    cr_assert_eq(credential_get(&spec, &out, &err), 0, "%s", err.message);
    credential_release(&out);
    pj_str_release(&flat);
}

Test(credential, r8_2_transient_errors_are_retried)
{
    struct credential out;
    struct pj_err err;

    fail_times = 3;
    cr_assert_eq(credential_get(&spec, &out, &err), 0, "%s", err.message);
    credential_release(&out);
    fail_times = 4;
    cr_assert_eq(credential_get(&spec, &out, &err), -1);
    cr_assert_str_eq(err.code, "github_service");
}

Test(credential, r8_2_what_is_wrong_is_told_apart)
{
    struct credential out;
    struct pj_err err = {0};
    EVP_PKEY *other = EVP_RSA_gen(2048);
    PJ_CLEANUP(pj_freep) char *other_pem = key_text(other);

    EVP_PKEY_free(other);
    installed = false;
    cr_assert_eq(credential_get(&spec, &out, &err), -1);
    cr_assert_str_eq(err.code, "github_permission");
    cr_assert_not_null(strstr(err.remedy, "install the GitHub App"));
    spec.app.private_key = other_pem;
    cr_assert_eq(credential_get(&spec, &out, &err), -1);
    cr_assert_str_eq(err.code, "github_auth");
    cr_assert_not_null(strstr(err.remedy, "GITHUB_APP_ID"));
    spec.app.private_key = "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n";
    cr_assert_eq(credential_get(&spec, &out, &err), -1);
    cr_assert_not_null(strstr(err.message, "GITHUB_APP_PRIVATE_KEY"), "%s", err.message);
}

Test(credential, a_repositorys_own_comes_first_and_no_app_is_asked)
{
    struct credential out;
    struct pj_err err;

    fail_times = 100;
    spec.given.repository_token = "own-token-own-token";
    cr_assert_eq(credential_get(&spec, &out, &err), 0, "%s", err.message);
    cr_assert_eq(out.source, PJ_CREDENTIAL_REPOSITORY);
    cr_assert_str_eq(out.token, "own-token-own-token");
    credential_release(&out);
    forge.kind = PJ_FORGE_GITEA;
    spec.given.repository_token = NULL;
    cr_assert_eq(credential_get(&spec, &out, &err), 0, "%s", err.message);
    cr_assert_eq(out.source, PJ_CREDENTIAL_NONE);
    cr_assert_null(out.token);
    credential_release(&out);
}
