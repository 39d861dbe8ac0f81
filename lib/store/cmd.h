/* cmd.h - one Redis command under construction: an argument vector that knows the script it stands for.
 *
 * Every operation of this folder is a builder (`pj_task_get_cmd`) and a parser of its reply (`pj_task_get_reply`), so that the
 * blocking connection (conn.h) and the one on the event loop (async.h) share them:
 *
 *     PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
 *     PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
 *     pj_task_get_cmd(&cmd, id);
 *     if (pj_redis_do(redis, &cmd, &reply, err) < 0 || pj_task_get_reply(reply, &task, err) < 0) return -1;
 *
 * A builder fills a zeroed or released command. Arguments are copied. A parser gets a reply that is no error: transport and
 * Redis errors were turned into struct pj_err by the connection. */
#ifndef PJ_STORE_CMD_H
#define PJ_STORE_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/view.h"

struct redisReply;
struct pj_script;

struct pj_cmd {
    char *buf; /* all arguments, each followed by NUL */
    size_t len, cap;
    size_t *ends; /* end of argument i in buf, its NUL included */
    size_t argc, arg_cap;
    const struct pj_script *script; /* NULL: a plain command; else argument 1 is its digest */
    int block_ms;                   /* the server may take that long on purpose */
    bool repeatable; /* sending it twice does no harm: retried after a lost connection */
};

void pj_cmd_release(struct pj_cmd *cmd);
/* Hand over: *to gets the content, *from is empty. */
void pj_cmd_move(struct pj_cmd *to, struct pj_cmd *from);
/* *to, which is empty, becomes the same once more; *from has arguments. */
void pj_cmd_copy(struct pj_cmd *to, const struct pj_cmd *from);
void pj_cmd_start(struct pj_cmd *cmd, const char *name);
/* EVALSHA of lua/<name>: the key count is the one in the file's name. */
void pj_cmd_script(struct pj_cmd *cmd, const char *name);
void pj_cmd_add(struct pj_cmd *cmd, const void *bytes, size_t n);
void pj_cmd_text(struct pj_cmd *cmd, const char *text); /* NULL: the empty string */
void pj_cmd_int(struct pj_cmd *cmd, int64_t value);
struct pj_view pj_cmd_arg(const struct pj_cmd *cmd, size_t i);

/* Append it as the server reads it. With `source`, an EVALSHA becomes EVAL with the script's text. */
void pj_cmd_write(const struct pj_cmd *cmd, bool source, struct pj_str *out);

void pj_reply_freep(struct redisReply **reply); /* for PJ_CLEANUP */
/* Turn an error reply into *err and return -1; 0 for any other reply. OOM: UNAVAILABLE with code `store_full`; LOADING,
 * READONLY, MASTERDOWN, CLUSTERDOWN, MISCONF, UNBLOCKED: UNAVAILABLE; NOAUTH, WRONGPASS, NOPERM: AUTH; else INTERNAL. */
int pj_reply_error(const struct redisReply *reply, struct pj_err *err);
bool pj_reply_is_noscript(const struct redisReply *reply);
/* Scripts answer an array whose first element is a word: "ok", or a refusal from the table in script.c, which becomes class,
 * code and message. Returns 0 for "ok", PJ_NONE for "none". */
int pj_reply_word(const struct redisReply *reply, struct pj_err *err);

/* The same for a script for many, whose answers are texts of words: Redis makes an array at many times the price. 0, and *rest is what
 * stands behind "ok". */
int pj_reply_text(const struct redisReply *reply, struct pj_view *rest, struct pj_err *err);
/* The answer of a script for many when there was one only, which has one element; else `reply` itself. */
const struct redisReply *pj_reply_only(const struct redisReply *reply);
/* Readers of a reply's parts: a missing element or another type gives the default. Borrowed. */
size_t pj_reply_count(const struct redisReply *reply);
const struct redisReply *pj_reply_at(const struct redisReply *reply, size_t i);
struct pj_view pj_reply_view(const struct redisReply *reply);
int64_t pj_reply_int(const struct redisReply *reply,
                     int64_t def);                  /* integers, and strings that are one */
char *pj_reply_dup(const struct redisReply *reply); /* owned; NULL for nil and empty */

#endif
