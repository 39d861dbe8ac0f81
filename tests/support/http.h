/* http.h - a client for tests: plain calls and an SSE reader, on libcurl directly, so that nothing of the product is trusted.
 *
 * `base` is "http://127.0.0.1:PORT" or "unix:/path". Calls abort the test when no answer comes at all. */
#ifndef TESTS_SUPPORT_HTTP_H
#define TESTS_SUPPORT_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct http_answer {
    int status; /* 0: no answer came (only from http_try) */
    char *head; /* header lines, "Name: value\r\n" */
    char *body;
    size_t body_len;
    json_t *json; /* NULL when the body is no JSON */
};

/* `body` NULL: none. `headers`: NULL-terminated array of "Name: value", or NULL. */
void http_call(const char *base, const char *method, const char *path, const char *token,
               const char *body, const char *const *headers, struct http_answer *out);
/* The same, but a refused or broken connection is status 0. */
void http_try(const char *base, const char *method, const char *path, const char *token,
              const char *body, const char *const *headers, struct http_answer *out);
/* http_try() that gives up after timeout_ms. */
void http_try_briefly(const char *base, const char *method, const char *path, const char *token,
                      const char *body, const char *const *headers, long timeout_ms,
                      struct http_answer *out);
void http_answer_release(struct http_answer *a);
/* Value of a header, owned by the caller; NULL when absent. */
char *http_answer_header(const struct http_answer *a, const char *name);

/* ---- SSE ---- */

struct sse_reader;

struct sse_event {
    char *id;   /* NULL when the event has none of its own */
    char *name; /* "message" when absent */
    char *data; /* lines joined by \n */
    json_t *json;
};

/* Opens the stream; `last_event_id` may be NULL. */
struct sse_reader *sse_open(const char *base, const char *path, const char *token,
                            const char *last_event_id);
void sse_close(struct sse_reader *r);
/* 1: an event (release it); 0: the stream ended; -1: nothing within deadline_ms. */
int sse_next(struct sse_reader *r, struct sse_event *out, int deadline_ms);
void sse_event_release(struct sse_event *e);
/* Status of the answer; known after the first sse_next(). */
int sse_status(struct sse_reader *r);
/* Comments (": …") seen so far. */
size_t sse_comments(struct sse_reader *r);

#endif
