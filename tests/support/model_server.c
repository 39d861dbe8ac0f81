#include "tests/support/model_server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/json/codec.h"
#include "tests/support/model_wire.h"

#define REQUESTS_MAX 4096

struct slot {
    struct model_answer answer;
    bool used;
};

struct asked {
    json_t *body; /* NULL when it was no JSON */
    enum model_wire wire;
};

struct model_server {
    struct stand_in *http;
    char openai_url[80];
    pthread_mutex_t lock; /* guards what follows */
    struct slot *slots;
    size_t count;
    struct asked asked[REQUESTS_MAX];
    size_t asked_count;
    struct pj_str faults;
    char *faults_copy;
    json_t *documents; /* keep the strings of model_server_add_json() alive */
};

/* What a held exchange needs once it may go on. */
struct later {
    struct model_server *m;
    struct model_answer answer;
    json_t *body;
    enum model_wire wire;
    unsigned serial;
};

static bool has_text(const struct stand_in_request *r, const char *text)
{
    return memmem(r->body, r->body_len, text, strlen(text)) != NULL;
}

/* Under the lock. */
static struct slot *choose(struct model_server *m, const struct stand_in_request *r)
{
    for (size_t i = 0; i < m->count; i++) {
        struct slot *s = &m->slots[i];

        if (s->used && !s->answer.repeat)
            continue;
        if (s->answer.when && !has_text(r, s->answer.when))
            continue;
        return s;
    }
    return NULL;
}

static void add_headers(struct stand_in_exchange *x, const struct model_answer *a)
{
    for (size_t i = 0; i < MODEL_HEADERS_MAX && a->headers[i]; i++) {
        const char *colon = strchr(a->headers[i], ':');
        char *name = pj_strndup(a->headers[i], (size_t)(colon - a->headers[i]));

        stand_in_add_header(x, name, colon + 1 + (colon[1] == ' '));
        free(name);
    }
}

static void send_answer(struct stand_in_exchange *x, enum model_wire wire, const json_t *body,
                        const struct model_answer *a, unsigned serial)
{
    add_headers(x, a);
    if (a->status == 0 || a->status == 200)
        model_wire_answer(wire, x, body, a, serial);
    else if (a->body)
        stand_in_reply_text(x, a->status, "application/json", a->body);
    else
        model_wire_error(wire, x, a->status, NULL, NULL, "the stand-in was told to fail");
}

static void go_on(struct stand_in_exchange *x, void *arg)
{
    struct later *l = arg;

    send_answer(x, l->wire, l->body, &l->answer, l->serial);
}

static void perform(struct model_server *m, struct stand_in_exchange *x, const json_t *body,
                    enum model_wire wire, const struct model_answer *a, unsigned serial)
{
    switch (a->trouble) {
    case MODEL_FINE:
    case MODEL_CUT_STREAM:
        send_answer(x, wire, body, a, serial);
        return;
    case MODEL_CUT:
        stand_in_cut(x);
        return;
    case MODEL_GATE:
    case MODEL_HANG: {
        struct later *l = pj_alloc(1, sizeof *l);

        l->m = m;
        l->answer = *a;
        l->body = (json_t *)(uintptr_t)body; /* kept by m->asked until the end */
        l->wire = wire;
        l->serial = serial;
        stand_in_hold(x, a->trouble == MODEL_GATE ? go_on : NULL, l);
        return;
    }
    }
}

/* The list of models, which both providers have at this path: what a key is tried with. Not an answer of the script. */
static void list_models(const struct stand_in_request *r, struct stand_in_exchange *x)
{
    const char *bearer = stand_in_header(r, "authorization"),
               *key = stand_in_header(r, "x-api-key");
    bool known = (bearer && strcmp(bearer, "Bearer " MODEL_SERVER_KEY) == 0) ||
                 (key && strcmp(key, MODEL_SERVER_KEY) == 0);

    if (known)
        stand_in_reply_text(x, 200, "application/json", "{\"object\":\"list\",\"data\":[]}");
    else
        stand_in_reply_text(x, 401, "application/json",
                            "{\"error\":{\"message\":\"no such key\"}}");
}

static void on_request(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    struct model_server *m = ctx;

    if (strcmp(r->method, "GET") == 0 && strcmp(r->path, "/v1/models") == 0) {
        list_models(r, x);
        return;
    }
    enum model_wire wire = model_wire_of_path(r->path);
    json_t *body = json_loadb(r->body, r->body_len, 0, NULL);
    struct model_answer a = {.text = NULL};
    bool refused = false, found = false;

    pthread_mutex_lock(&m->lock);
    size_t before = m->faults.len;
    unsigned serial = (unsigned)m->asked_count;
    if (m->asked_count == REQUESTS_MAX)
        abort();
    m->asked[m->asked_count++] = (struct asked){body, wire};
    if (wire == MODEL_WIRE_UNKNOWN)
        pj_str_putf(&m->faults, "path %s\n", r->path);
    else
        model_check(wire, r, body, MODEL_SERVER_KEY, &m->faults);
    bool faulty = m->faults.len > before;
    struct slot *s = faulty ? NULL : choose(m, r);
    if (s) {
        a = s->answer;
        found = true;
        refused = a.only_without && json_object_get(body, a.only_without);
        s->used = s->used || !refused;
    } else if (!faulty) {
        pj_str_putf(&m->faults, "request %u: the script has no answer left\n", serial);
    }
    pthread_mutex_unlock(&m->lock);

    if (wire == MODEL_WIRE_UNKNOWN)
        stand_in_reply_text(x, 404, "text/plain", "no such path\n");
    else if (faulty)
        model_wire_error(wire, x, 400, "invalid_request", NULL, "a real peer would refuse this");
    else if (refused)
        model_wire_error(wire, x, 400, "unsupported_value", a.only_without,
                         "Unsupported value: this parameter is not supported with this model.");
    else if (!found)
        model_wire_error(wire, x, 500, NULL, NULL, "the script has no answer left");
    else
        perform(m, x, body, wire, &a, serial);
}

struct model_server *model_server_start(uint16_t port, const struct model_answer *answers,
                                        size_t count)
{
    struct model_server *m = pj_alloc(1, sizeof *m);

    pthread_mutex_init(&m->lock, NULL);
    pj_str_init(&m->faults, 1 << 20);
    m->documents = json_array();
    model_server_add(m, answers, count);
    m->http = stand_in_start(port, on_request, m);
    snprintf(m->openai_url, sizeof m->openai_url, "%s/v1", stand_in_url(m->http));
    return m;
}

void model_server_stop(struct model_server *m)
{
    if (!m)
        return;
    stand_in_stop(m->http);
    for (size_t i = 0; i < m->asked_count; i++)
        json_decref(m->asked[i].body);
    json_decref(m->documents);
    pj_str_release(&m->faults);
    free(m->faults_copy);
    free(m->slots);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void model_server_add(struct model_server *m, const struct model_answer *answers, size_t count)
{
    pthread_mutex_lock(&m->lock);
    m->slots = pj_realloc(m->slots, m->count + count + 1, sizeof *m->slots);
    for (size_t i = 0; i < count; i++)
        m->slots[m->count++] = (struct slot){.answer = answers[i]};
    pthread_mutex_unlock(&m->lock);
}

/* The strings stay alive with m->documents. */
static struct model_answer answer_of_json(struct model_server *m, json_t *doc)
{
    struct model_answer a = {
        .when = pj_json_str(doc, "when", NULL),
        .repeat = pj_json_bool(doc, "repeat", false),
        .status = (int)pj_json_i64(doc, "status", 0),
        .body = pj_json_str(doc, "body", NULL),
        .text = pj_json_str(doc, "text", NULL),
        .stop = pj_json_str(doc, "stop", NULL),
        .only_without = pj_json_str(doc, "onlyWithout", NULL),
        .thought = pj_json_str(doc, "thought", NULL),
        .counts_anew = json_is_true(json_object_get(doc, "countsAnew")),
    };
    const json_t *usage = json_object_get(doc, "usage");
    size_t i;
    json_t *call;

    a.prompt_tokens = (int)pj_json_i64(usage, "promptTokens", 0);
    a.completion_tokens = (int)pj_json_i64(usage, "completionTokens", 0);
    a.cached_tokens = (int)pj_json_i64(usage, "cachedTokens", 0);
    json_array_foreach(json_object_get(doc, "toolCalls"), i, call)
    {
        if (i == MODEL_CALLS_MAX)
            break;
        char *text = pj_json_text(json_object_get(call, "arguments"));
        json_t *kept = json_string(text);

        free(text);
        json_array_append_new(m->documents, kept);
        a.calls[i] = (struct model_call){pj_json_str(call, "name", ""), json_string_value(kept)};
    }
    return a;
}

int model_server_add_json(struct model_server *m, const char *text, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    size_t i;
    json_t *one;

    if (pj_json_parse(pj_view_of(text), &doc, err) < 0)
        return pj_err_wrap(err, "script of the model server");
    json_array_append(m->documents, doc);
    json_array_foreach(json_object_get(doc, "answers"), i, one)
    {
        struct model_answer a = answer_of_json(m, one);

        model_server_add(m, &a, 1);
    }
    return 0;
}

const char *model_server_openai_url(const struct model_server *m)
{
    return m->openai_url;
}

const char *model_server_anthropic_url(const struct model_server *m)
{
    return stand_in_url(m->http);
}

void model_server_release(struct model_server *m)
{
    stand_in_release(m->http);
}

bool model_server_wait(struct model_server *m, size_t requests, int deadline_ms)
{
    return stand_in_wait(m->http, requests, deadline_ms);
}

size_t model_server_count(struct model_server *m)
{
    return stand_in_count(m->http);
}

const json_t *model_server_body(struct model_server *m, size_t i)
{
    pthread_mutex_lock(&m->lock);
    const json_t *body = i < m->asked_count ? m->asked[i].body : NULL;
    pthread_mutex_unlock(&m->lock);
    return body;
}

enum model_wire model_server_wire(struct model_server *m, size_t i)
{
    pthread_mutex_lock(&m->lock);
    enum model_wire wire = i < m->asked_count ? m->asked[i].wire : MODEL_WIRE_UNKNOWN;
    pthread_mutex_unlock(&m->lock);
    return wire;
}

size_t model_server_count_with(struct model_server *m, const char *text)
{
    size_t n = 0;

    for (size_t i = 0;; i++) {
        const struct stand_in_request *r = stand_in_request_at(m->http, i);

        if (!r)
            return n;
        n += has_text(r, text);
    }
}

struct stand_in *model_server_stand_in(struct model_server *m)
{
    return m->http;
}

const char *model_server_faults(struct model_server *m)
{
    pthread_mutex_lock(&m->lock);
    free(m->faults_copy);
    m->faults_copy = pj_strdup(pj_str_cstr(&m->faults));
    pthread_mutex_unlock(&m->lock);
    return m->faults_copy;
}

size_t model_server_left(struct model_server *m)
{
    size_t n = 0;

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->count; i++)
        n += !m->slots[i].used && !m->slots[i].answer.repeat;
    pthread_mutex_unlock(&m->lock);
    return n;
}
