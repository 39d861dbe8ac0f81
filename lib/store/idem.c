#include "lib/store/idem.h"

#include <stdio.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"

const char *pj_idem_key(char out[PJ_KEY_SIZE], unsigned partition, const char *scope,
                        const char *key)
{
    char digest[65];

    pj_sha256_hex(key, strlen(key), digest);
    (void)snprintf(out, PJ_KEY_SIZE, "pj:{p%u}:idem:%.80s:%s", partition, scope, digest);
    return out;
}

void pj_idem_begin_cmd(struct pj_cmd *cmd, const char *idem_key, const char *fingerprint)
{
    pj_cmd_script(cmd, "idem_begin");
    pj_cmd_text(cmd, idem_key);
    pj_cmd_text(cmd, fingerprint);
}

int pj_idem_begin_reply(const struct redisReply *reply, struct pj_idem_begun *out,
                        struct pj_err *err)
{
    static const char *const words[] = {"fresh", "done", "running", "other"};
    struct pj_view word = pj_reply_view(pj_reply_at(reply, 1)),
                   text = pj_reply_view(pj_reply_at(reply, 2));

    *out = (struct pj_idem_begun){0};
    if (pj_reply_word(reply, err) < 0)
        return -1;
    for (size_t i = 0; i < PJ_COUNT_OF(words); i++) {
        if (!pj_view_is(word, words[i]))
            continue;
        out->state = (enum pj_idem)i;
        if (out->state == PJ_IDEM_DONE) {
            out->answer = pj_strndup(text.p, text.n);
            out->answer_len = text.n;
        } else if (out->state == PJ_IDEM_FRESH && pj_parse_i64(text, &out->since) < 0) {
            break;
        }
        return 0;
    }
    return pj_fail(err, PJ_E_PROTOCOL, "unexpected answer of Redis");
}

static void end(struct pj_cmd *cmd, const char *idem_key, const char *how, int64_t since,
                struct pj_view answer)
{
    pj_cmd_script(cmd, "idem_end");
    pj_cmd_text(cmd, idem_key);
    pj_cmd_text(cmd, how);
    pj_cmd_int(cmd, since);
    pj_cmd_add(cmd, answer.p, answer.n);
}

void pj_idem_complete_cmd(struct pj_cmd *cmd, const char *idem_key, int64_t since,
                          struct pj_view answer)
{
    end(cmd, idem_key, "complete", since, answer);
}

void pj_idem_abandon_cmd(struct pj_cmd *cmd, const char *idem_key, int64_t since)
{
    end(cmd, idem_key, "abandon", since, pj_view_n("", 0));
}
