/* model_server.h - a scripted model provider: OpenAI Chat Completions, OpenAI Responses and Anthropic Messages over real HTTP,
 * streamed (SSE) or plain, whatever the request asks for.
 *
 * It behaves like the real peers where it matters and checks what it is sent: path, key header, version header, JSON, required
 * fields, tool results that answer the calls made. A request that a real peer would refuse is answered 400 and kept as a
 * fault; tests end with `cr_assert_str_empty(model_server_faults(m))`. Answers are used in order; an answer with `when` is used
 * only for a request whose body contains that text, so that concurrent tasks can share one server. */
#ifndef TESTS_SUPPORT_MODEL_SERVER_H
#define TESTS_SUPPORT_MODEL_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "lib/base/err.h"
#include "tests/support/stand_in.h"

#define MODEL_CALLS_MAX 8
#define MODEL_HEADERS_MAX 4

struct model_call {
    const char *name;
    const char *arguments; /* JSON text of an object */
};

enum model_trouble {
    MODEL_FINE = 0,
    MODEL_GATE,       /* answer after model_server_release() */
    MODEL_HANG,       /* never answer */
    MODEL_CUT,        /* close the connection without an answer */
    MODEL_CUT_STREAM, /* begin a stream, close in the middle */
};

struct model_answer {
    const char *when; /* only for a request that contains this; NULL: any */
    bool repeat;      /* use again and again */
    enum model_trouble trouble;
    int status;       /* 0 = 200; else `body` is sent with this status */
    const char *body; /* error document; NULL: a plausible one of this wire form */
    const char *headers[MODEL_HEADERS_MAX]; /* "Name: value", sent with it */
    const char *text;
    struct model_call calls[MODEL_CALLS_MAX];
    const char *stop;    /* overrides the stop word */
    const char *thought; /* Chat: reasoning beside the text */
    bool counts_anew;    /* Chat: ids of calls begin at 0 again in this answer */
    const char *
        only_without; /* a request that has this top-level parameter is refused (400 unsupported) and the answer kept */
    int prompt_tokens, completion_tokens, cached_tokens; /* 0: 1000 and 100 */
};

enum model_wire { MODEL_CHAT, MODEL_RESPONSES, MODEL_MESSAGES, MODEL_WIRE_UNKNOWN };

struct model_server;

/* `port` 0: any. The answers are copied shallowly: their strings live as long as the server (literals do). */
struct model_server *model_server_start(uint16_t port, const struct model_answer *answers,
                                        size_t count);
void model_server_stop(struct model_server *m);
/* Append more answers. */
void model_server_add(struct model_server *m, const struct model_answer *answers, size_t count);
/* The same from JSON, in the form of PJ_REPLAY_FILE with the fields above in camelCase: {"answers":[{…}]}. */
int model_server_add_json(struct model_server *m, const char *text, struct pj_err *err);

/* "http://127.0.0.1:PORT/v1": what OPENAI_BASE_URL wants; ANTHROPIC_BASE_URL wants the other, without /v1. */
const char *model_server_openai_url(const struct model_server *m);
const char *model_server_anthropic_url(const struct model_server *m);
/* What each request must carry as its key; default "test-model-key-0123456789". */
#define MODEL_SERVER_KEY "test-model-key-0123456789"

void model_server_release(struct model_server *m); /* opens the gate, for good */
bool model_server_wait(struct model_server *m, size_t requests, int deadline_ms);
size_t model_server_count(struct model_server *m);
/* The i-th request's body; borrowed until stop, NULL when there is none or it was no JSON. */
const json_t *model_server_body(struct model_server *m, size_t i);
enum model_wire model_server_wire(struct model_server *m, size_t i);
/* How many of the first `n` requests contain `text` in their body. */
size_t model_server_count_with(struct model_server *m, const char *text);
struct stand_in *model_server_stand_in(struct model_server *m);
/* One fault a line, "" when all was well. Borrowed until the next call. */
const char *model_server_faults(struct model_server *m);
/* Answers that nobody asked for (repeating ones do not count). */
size_t model_server_left(struct model_server *m);

#endif
