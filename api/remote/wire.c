#include "api/remote/wire.h"

#include <stddef.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define AT_Q(field) offsetof(struct remote_question, field)
#define AT_A(field) offsetof(struct remote_answer, field)

static const struct pj_field question_table[] = {
    {"appId", PJ_F_STR, AT_Q(app_id), 0, 0, 256, NULL, NULL, 0, 0},
    {"appPrivateKey", PJ_F_STR, AT_Q(app_private_key), 0, 0, 32768, NULL, NULL, 0, 0},
    {"branch", PJ_F_STR, AT_Q(branch), 0, 0, 255, NULL, NULL, 0, 0},
    {"caFile", PJ_F_STR, AT_Q(ca_file), 0, 0, 4096, NULL, NULL, 0, 0},
    {"envToken", PJ_F_STR, AT_Q(env_token), 0, 0, 4096, NULL, NULL, 0, 0},
    {"forges", PJ_F_STR, AT_Q(forges), 0, 0, 4096, NULL, NULL, 0, 0},
    {"githubApiUrl", PJ_F_STR, AT_Q(github_api_url), 0, 0, 4096, NULL, NULL, 0, 0},
    {"login", PJ_F_STR, AT_Q(login), 0, 1, 100, NULL, NULL, 0, 0},
    {"timeoutMs", PJ_F_INT, AT_Q(timeout_ms), PJ_FF_REQUIRED, 1, 600000, NULL, NULL, 0, 0},
    {"token", PJ_F_STR, AT_Q(token), 0, 0, 8192, NULL, NULL, 0, 0},
    {"url", PJ_F_STR, AT_Q(url), PJ_FF_REQUIRED, 1, 8192, NULL, NULL, 0, 0},
    {"username", PJ_F_STR, AT_Q(username), 0, 0, 1024, NULL, NULL, 0, 0},
};

static const struct pj_field answer_table[] = {
    {"branch", PJ_F_STR, AT_A(branch), 0, 0, 255, NULL, NULL, 0, 0},
    {"class", PJ_F_INT, AT_A(cls), 0, PJ_E_OK, PJ_E_INTERNAL, NULL, NULL, 0, 0},
    {"code", PJ_F_STR, AT_A(code), 0, 0, 39, NULL, NULL, 0, 0},
    {"credentialSource", PJ_F_INT, AT_A(credential_source), PJ_FF_REQUIRED, -1, 100, NULL, NULL, 0,
     0},
    {"message", PJ_F_STR, AT_A(message), 0, 0, 4000, NULL, NULL, 0, 0},
    {"permission", PJ_F_STR, AT_A(permission), 0, 0, 40, NULL, NULL, 0, 0},
    {"reached", PJ_F_BOOL, AT_A(reached), PJ_FF_REQUIRED, 0, 0, NULL, NULL, 0, 0},
    {"remedy", PJ_F_STR, AT_A(remedy), 0, 0, 4000, NULL, NULL, 0, 0},
};

static int put(const struct pj_field *table, size_t count, const void *in, struct pj_str *out)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = pj_json_encode(table, count, in);

    return pj_json_dump(doc, out);
}

static int read_one(struct pj_view text, const struct pj_field *table, size_t count, void *out,
                    struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    if (pj_json_parse(text, &doc, err) < 0)
        return -1;
    return pj_json_decode(doc, table, count, out, NULL, err);
}

int remote_question_put(const struct remote_question *q, struct pj_str *out)
{
    return put(question_table, PJ_COUNT_OF(question_table), q, out);
}

int remote_answer_put(const struct remote_answer *a, struct pj_str *out)
{
    return put(answer_table, PJ_COUNT_OF(answer_table), a, out);
}

int remote_question_read(struct pj_view text, struct remote_question *out, struct pj_err *err)
{
    return read_one(text, question_table, PJ_COUNT_OF(question_table), out, err);
}

int remote_answer_read(struct pj_view text, struct remote_answer *out, struct pj_err *err)
{
    return read_one(text, answer_table, PJ_COUNT_OF(answer_table), out, err);
}

static void wipe(char *text)
{
    if (text != NULL)
        pj_wipe(text, strlen(text));
}

void remote_question_release(struct remote_question *q)
{
    wipe(q->token);
    wipe(q->env_token);
    wipe(q->app_private_key);
    pj_json_release(question_table, PJ_COUNT_OF(question_table), q);
}

void remote_answer_release(struct remote_answer *a)
{
    pj_json_release(answer_table, PJ_COUNT_OF(answer_table), a);
}
