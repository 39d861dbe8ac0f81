#include "lib/store/cmd.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/script.h"

#define DIGEST_ARG 1

void pj_cmd_release(struct pj_cmd *cmd)
{
    free(cmd->buf);
    free(cmd->ends);
    *cmd = (struct pj_cmd){0};
}

void pj_cmd_move(struct pj_cmd *to, struct pj_cmd *from)
{
    *to = *from;
    *from = (struct pj_cmd){0};
}

void pj_cmd_copy(struct pj_cmd *to, const struct pj_cmd *from)
{
    *to = *from;
    to->cap = from->len;
    to->buf = pj_alloc(from->len + 1, 1);
    memcpy(to->buf, from->buf, from->len);
    to->arg_cap = from->argc;
    to->ends = pj_alloc(from->argc + 1, sizeof(*to->ends));
    memcpy(to->ends, from->ends, from->argc * sizeof(*to->ends));
}

void pj_cmd_add(struct pj_cmd *cmd, const void *bytes, size_t n)
{
    if (cmd->cap - cmd->len < n + 1) {
        cmd->cap = (cmd->cap + n + 1) * 2;
        cmd->buf = pj_realloc(cmd->buf, cmd->cap, 1);
    }
    if (cmd->argc == cmd->arg_cap) {
        cmd->arg_cap = cmd->arg_cap ? cmd->arg_cap * 2 : 16;
        cmd->ends = pj_realloc(cmd->ends, cmd->arg_cap, sizeof(*cmd->ends));
    }
    if (n)
        memcpy(cmd->buf + cmd->len, bytes, n);
    cmd->len += n;
    cmd->buf[cmd->len++] = '\0';
    cmd->ends[cmd->argc++] = cmd->len;
}

void pj_cmd_text(struct pj_cmd *cmd, const char *text)
{
    pj_cmd_add(cmd, text ? text : "", text ? strlen(text) : 0);
}

void pj_cmd_int(struct pj_cmd *cmd, int64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%lld", (long long)value);

    pj_cmd_add(cmd, digits, (size_t)n);
}

void pj_cmd_start(struct pj_cmd *cmd, const char *name)
{
    pj_cmd_release(cmd);
    pj_cmd_text(cmd, name);
}

void pj_cmd_script(struct pj_cmd *cmd, const char *name)
{
    const struct pj_script *script = pj_script_find(name);

    pj_cmd_start(cmd, "EVALSHA");
    pj_cmd_text(cmd, script->sha1);
    pj_cmd_int(cmd, script->keys);
    cmd->script = script;
    cmd->repeatable = script->repeatable;
}

struct pj_view pj_cmd_arg(const struct pj_cmd *cmd, size_t i)
{
    size_t from = i ? cmd->ends[i - 1] : 0;

    return pj_view_n(cmd->buf + from, cmd->ends[i] - from - 1);
}

/* "*3\r\n", "$12\r\n" */
static void put_count(struct pj_str *out, char kind, size_t n)
{
    char text[24], *p = text + sizeof(text);

    *--p = '\n';
    *--p = '\r';
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    *--p = kind;
    (void)pj_str_append(out, p, (size_t)(text + sizeof(text) - p));
}

static void put_arg(struct pj_str *out, struct pj_view arg)
{
    put_count(out, '$', arg.n);
    (void)pj_str_append(out, arg.p, arg.n);
    (void)pj_str_append(out, "\r\n", 2);
}

void pj_cmd_write(const struct pj_cmd *cmd, bool source, struct pj_str *out)
{
    size_t i = 0;

    put_count(out, '*', cmd->argc);
    if (source && cmd->script) {
        put_arg(out, pj_view_n("EVAL", 4));
        put_arg(out, pj_view_n(cmd->script->text, cmd->script->text_len));
        i = DIGEST_ARG + 1;
    }
    for (; i < cmd->argc; i++)
        put_arg(out, pj_cmd_arg(cmd, i));
}

void pj_reply_freep(struct redisReply **reply)
{
    if (*reply)
        freeReplyObject(*reply);
    *reply = NULL;
}

static const struct {
    const char *prefix;
    enum pj_err_class cls;
    const char *code;
    const char *remedy;
} errors[] = {
    {"OOM", PJ_E_UNAVAILABLE, "store_full",
     "Redis is full: raise maxmemory, or lower PJ_LOG_RETENTION."},
    {"LOADING", PJ_E_UNAVAILABLE, "store_loading", ""},
    {"READONLY", PJ_E_UNAVAILABLE, "store_readonly",
     "PJ_REDIS_URL names a replica; it must be the primary."},
    {"MASTERDOWN", PJ_E_UNAVAILABLE, "store_readonly", ""},
    {"CLUSTERDOWN", PJ_E_UNAVAILABLE, "store_readonly", ""},
    {"MISCONF", PJ_E_UNAVAILABLE, "store_disk",
     "Redis cannot write its files: look at its disk and log."},
    {"NOREPLICAS", PJ_E_UNAVAILABLE, "store_readonly", ""},
    {"UNBLOCKED", PJ_E_UNAVAILABLE, "store_readonly", ""},
    {"BUSY ", PJ_E_UNAVAILABLE, "store_busy", ""},
    {"TRYAGAIN", PJ_E_UNAVAILABLE, "store_busy", ""},
    {"NOGROUP", PJ_E_UNAVAILABLE, "no_group", ""},
    {"NOAUTH", PJ_E_AUTH, "store_auth",
     "Set user and password in PJ_REDIS_URL, or PJ_REDIS_PASSWORD."},
    {"WRONGPASS", PJ_E_AUTH, "store_auth",
     "Check user and password in PJ_REDIS_URL, or PJ_REDIS_PASSWORD."},
    {"NOPERM", PJ_E_AUTH, "store_auth",
     "The Redis user needs all commands on keys and channels pj:*."},
    {"ERR invalid password", PJ_E_AUTH, "store_auth", "Check PJ_REDIS_PASSWORD."},
    {"ERR max number of clients", PJ_E_UNAVAILABLE, "store_busy", "Raise maxclients of Redis."},
};

/* What Redis says, without what it was sent: of a command that it does not know it repeats the arguments, a password among them. */
static int length_shown(const char *text, size_t most)
{
    const char *args = strstr(text, " with args beginning with");
    size_t n = args ? (size_t)(args - text) : strlen(text);

    return (int)(n < most ? n : most);
}

int pj_reply_error(const struct redisReply *reply, struct pj_err *err)
{
    if (reply->type != REDIS_REPLY_ERROR)
        return 0;
    for (size_t i = 0; i < PJ_COUNT_OF(errors); i++) {
        if (strncmp(reply->str, errors[i].prefix, strlen(errors[i].prefix)) != 0)
            continue;
        (void)pj_fail(err, errors[i].cls, "Redis: %.*s", length_shown(reply->str, 300), reply->str);
        if (errors[i].remedy[0])
            (void)pj_err_remedy(err, "%s", errors[i].remedy);
        return pj_err_code(err, errors[i].code);
    }
    return pj_fail(err, PJ_E_INTERNAL, "Redis: %.*s", length_shown(reply->str, 600), reply->str);
}

bool pj_reply_is_noscript(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0;
}

static int refuse(struct pj_view word, struct pj_view detail, struct pj_err *err)
{
    const struct pj_refusal *refusal = pj_refusal_find(word);

    if (!refusal)
        return pj_fail(err, PJ_E_PROTOCOL, "unexpected answer of Redis (%.*s)",
                       word.n > 40 ? 40 : (int)word.n, word.n ? word.p : "");
    (void)pj_fail(err, refusal->cls, "%s%s%.*s", refusal->message, detail.n ? ": " : "",
                  detail.n > 300 ? 300 : (int)detail.n, detail.n ? detail.p : "");
    if (refusal->remedy)
        (void)pj_err_remedy(err, "%s", refusal->remedy);
    return pj_err_code(err, refusal->word);
}

int pj_reply_word(const struct redisReply *reply, struct pj_err *err)
{
    struct pj_view word = pj_reply_view(pj_reply_at(reply, 0));

    if (pj_view_is(word, "ok"))
        return 0;
    if (pj_view_is(word, "none"))
        return PJ_NONE;
    return refuse(word, pj_reply_view(pj_reply_at(reply, 1)), err);
}

int pj_reply_text(const struct redisReply *reply, struct pj_view *rest, struct pj_err *err)
{
    struct pj_view word = {0};

    *rest = pj_reply_view(reply);
    (void)pj_view_cut(rest, ' ', &word);
    return pj_view_is(word, "ok") ? 0 : refuse(word, *rest, err);
}

const struct redisReply *pj_reply_only(const struct redisReply *reply)
{
    return pj_reply_count(reply) == 1 ? pj_reply_at(reply, 0) : reply;
}

size_t pj_reply_count(const struct redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0;
}

const struct redisReply *pj_reply_at(const struct redisReply *reply, size_t i)
{
    return i < pj_reply_count(reply) ? reply->element[i] : NULL;
}

struct pj_view pj_reply_view(const struct redisReply *reply)
{
    if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
        return pj_view_n("", 0);
    return pj_view_n(reply->str, (size_t)reply->len);
}

int64_t pj_reply_int(const struct redisReply *reply, int64_t def)
{
    int64_t value;

    if (reply && reply->type == REDIS_REPLY_INTEGER)
        return reply->integer;
    return pj_parse_i64(pj_reply_view(reply), &value) == 0 ? value : def;
}

char *pj_reply_dup(const struct redisReply *reply)
{
    struct pj_view v = pj_reply_view(reply);

    return v.n ? pj_strndup(v.p, v.n) : NULL;
}
