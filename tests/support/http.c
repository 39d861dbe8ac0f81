#include "tests/support/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

#define CALL_TIMEOUT_MS 60000L
#define BODY_MAX (256u * 1024 * 1024)

static void die(const char *what, const char *why)
{
    fprintf(stderr, "http: %s: %s\n", what, why);
    abort();
}

static size_t append(char *data, size_t size, size_t count, void *to)
{
    return pj_str_append(to, data, size * count) == 0 ? size * count : 0;
}

/* A handle for this address; *headers is the caller's to free. */
static CURL *prepare(const char *base, const char *path, const char *token,
                     const char *const *extra, struct curl_slist **headers)
{
    bool local = strncmp(base, "unix:", 5) == 0;
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("%s%s", local ? "http://localhost" : base, path);
    CURL *curl = curl_easy_init();

    if (!curl)
        die(url, "curl_easy_init");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    if (local)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, base + 5);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    *headers = curl_slist_append(NULL, "Expect:");
    if (token) {
        PJ_CLEANUP(pj_freep) char *line = pj_asprintf("Authorization: Bearer %s", token);

        *headers = curl_slist_append(*headers, line);
    }
    for (size_t i = 0; extra && extra[i]; i++)
        *headers = curl_slist_append(*headers, extra[i]);
    return curl;
}

void http_try(const char *base, const char *method, const char *path, const char *token,
              const char *body, const char *const *headers, struct http_answer *out)
{
    http_try_briefly(base, method, path, token, body, headers, CALL_TIMEOUT_MS, out);
}

void http_try_briefly(const char *base, const char *method, const char *path, const char *token,
                      const char *body, const char *const *headers, long timeout_ms,
                      struct http_answer *out)
{
    struct curl_slist *list = NULL;
    CURL *curl = prepare(base, path, token, headers, &list);
    struct pj_str head, text;
    long status = 0;

    pj_str_init(&head, 1 << 20);
    pj_str_init(&text, BODY_MAX);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (body) {
        list = curl_slist_append(list, "Content-Type: application/json");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    } else if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &text);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &head);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(list);
    memset(out, 0, sizeof *out);
    out->status = (int)status;
    out->body_len = text.len;
    out->head = pj_str_take(&head);
    out->body = pj_str_take(&text);
    out->json = json_loadb(out->body, out->body_len, JSON_DECODE_ANY, NULL);
}

void http_call(const char *base, const char *method, const char *path, const char *token,
               const char *body, const char *const *headers, struct http_answer *out)
{
    http_try(base, method, path, token, body, headers, out);
    if (out->status == 0)
        die(path, "no answer");
}

void http_answer_release(struct http_answer *a)
{
    free(a->head);
    free(a->body);
    json_decref(a->json);
    memset(a, 0, sizeof *a);
}

char *http_answer_header(const struct http_answer *a, const char *name)
{
    struct pj_view rest = pj_view_of(a->head), line;
    size_t n = strlen(name);

    while (pj_view_cut(&rest, '\n', &line)) {
        if (line.n <= n || strncasecmp(line.p, name, n) != 0 || line.p[n] != ':')
            continue;
        struct pj_view v = pj_view_n(line.p + n + 1, line.n - n - 1);
        if (v.n > 0 && v.p[v.n - 1] == '\r')
            v.n--;
        v = pj_view_trim(v);
        return pj_strndup(v.p, v.n);
    }
    return NULL;
}

/* ---- SSE ---- */

struct sse_reader {
    CURLM *multi;
    CURL *curl;
    struct curl_slist *headers;
    struct pj_str in; /* bytes not yet read as lines */
    struct pj_str data;
    char *id, *name;
    bool ended, has_data;
    size_t comments;
};

struct sse_reader *sse_open(const char *base, const char *path, const char *token,
                            const char *last_event_id)
{
    struct sse_reader *r = pj_alloc(1, sizeof *r);
    PJ_CLEANUP(pj_freep)
    char *last = last_event_id ? pj_asprintf("Last-Event-ID: %s", last_event_id) : NULL;
    const char *const extra[] = {"Accept: text/event-stream", last, NULL};

    pj_str_init(&r->in, BODY_MAX);
    pj_str_init(&r->data, BODY_MAX);
    r->curl = prepare(base, path, token, extra, &r->headers);
    curl_easy_setopt(r->curl, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(r->curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(r->curl, CURLOPT_WRITEDATA, &r->in);
    r->multi = curl_multi_init();
    curl_multi_add_handle(r->multi, r->curl);
    return r;
}

void sse_close(struct sse_reader *r)
{
    if (!r)
        return;
    curl_multi_remove_handle(r->multi, r->curl);
    curl_easy_cleanup(r->curl);
    curl_multi_cleanup(r->multi);
    curl_slist_free_all(r->headers);
    pj_str_release(&r->in);
    pj_str_release(&r->data);
    free(r->id);
    free(r->name);
    free(r);
}

static void take_field(struct sse_reader *r, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    size_t name_len = colon ? (size_t)(colon - line) : n;
    struct pj_view value = {"", 0};

    if (colon) {
        value = pj_view_n(colon + 1, n - name_len - 1);
        if (value.n > 0 && value.p[0] == ' ')
            value = pj_view_n(value.p + 1, value.n - 1);
    }
    struct pj_view name = pj_view_n(line, name_len);
    if (name_len == 0) {
        r->comments++;
    } else if (pj_view_is(name, "data")) {
        if (r->has_data)
            pj_str_putc(&r->data, '\n');
        pj_str_append(&r->data, value.p, value.n);
        r->has_data = true;
    } else if (pj_view_is(name, "id")) {
        free(r->id);
        r->id = pj_strndup(value.p, value.n);
    } else if (pj_view_is(name, "event")) {
        free(r->name);
        r->name = pj_strndup(value.p, value.n);
    }
}

/* True when a whole event was taken from the bytes at hand. */
static bool take_event(struct sse_reader *r, struct sse_event *out)
{
    for (;;) {
        char *eol = r->in.len ? memchr(r->in.data, '\n', r->in.len) : NULL;

        if (!eol)
            return false;
        size_t whole = (size_t)(eol - r->in.data) + 1, n = whole - 1;
        if (n > 0 && r->in.data[n - 1] == '\r')
            n--;
        if (n > 0) {
            take_field(r, r->in.data, n);
            pj_str_shift(&r->in, whole);
            continue;
        }
        pj_str_shift(&r->in, whole);
        if (!r->has_data) {
            free(r->name);
            r->name = NULL;
            continue;
        }
        memset(out, 0, sizeof *out);
        out->id = r->id;
        out->name = r->name ? r->name : pj_strdup("message");
        out->data = pj_str_take(&r->data);
        out->json = json_loads(out->data, JSON_DECODE_ANY, NULL);
        r->id = r->name = NULL;
        r->has_data = false;
        return true;
    }
}

int sse_next(struct sse_reader *r, struct sse_event *out, int deadline_ms)
{
    int64_t until = pj_mono_ms() + deadline_ms;

    for (;;) {
        int running = 0;

        if (take_event(r, out))
            return 1;
        if (r->ended)
            return 0;
        int64_t left = until - pj_mono_ms();
        if (left <= 0)
            return -1;
        if (curl_multi_poll(r->multi, NULL, 0, (int)left, NULL) != CURLM_OK ||
            curl_multi_perform(r->multi, &running) != CURLM_OK)
            die("sse", "curl_multi");
        r->ended = running == 0;
    }
}

void sse_event_release(struct sse_event *e)
{
    free(e->id);
    free(e->name);
    free(e->data);
    json_decref(e->json);
    memset(e, 0, sizeof *e);
}

int sse_status(struct sse_reader *r)
{
    long status = 0;

    curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

size_t sse_comments(struct sse_reader *r)
{
    return r->comments;
}
