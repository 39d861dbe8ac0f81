/* stand_in.h - a real HTTP/1.1 server on loopback, in a thread of the test, that plays a peer (model provider, forge, inbox).
 *
 * The code under test gets only its address: no code path knows that it is a test. The handler runs in the server's thread,
 * one request at a time; every request is recorded once the handler saw it, so a test can wait for it (no sleeping) and look
 * at what was sent. Built on libevent's evhttp, which is good enough for a peer and is not what the product uses.
 *
 * Ownership: exchanges belong to the server; recorded requests live until stand_in_stop(). */
#ifndef TESTS_SUPPORT_STAND_IN_H
#define TESTS_SUPPORT_STAND_IN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stand_in;
struct stand_in_exchange; /* one request that wants an answer */

#define STAND_IN_HEADERS_MAX 64

struct stand_in_request {
    char *method; /* "GET" … */
    char *path;   /* percent-encoding kept, without the query */
    char *query;  /* NULL when there is none */
    char *body;   /* NUL-terminated */
    size_t body_len;
    size_t header_count;
    struct {
        char *name, *value;
    } headers[STAND_IN_HEADERS_MAX];
};

/* NULL when absent; case does not matter. */
const char *stand_in_header(const struct stand_in_request *r, const char *name);

typedef void stand_in_handler(void *ctx, const struct stand_in_request *r,
                              struct stand_in_exchange *x);

/* Listens on 127.0.0.1:port (0: any free one). Aborts the test on failure. */
struct stand_in *stand_in_start(uint16_t port, stand_in_handler *handle, void *ctx);
/* Ends the thread; exchanges still open are cut. NULL is fine. */
void stand_in_stop(struct stand_in *s);
/* "http://127.0.0.1:PORT", borrowed. */
const char *stand_in_url(const struct stand_in *s);
uint16_t stand_in_port(const struct stand_in *s);

/* Block until `count` requests have arrived in all; false when that did not happen within deadline_ms. */
bool stand_in_wait(struct stand_in *s, size_t count, int deadline_ms);
size_t stand_in_count(struct stand_in *s);
/* The i-th request since the start, borrowed until stop; NULL when there is none. */
const struct stand_in_request *stand_in_request_at(struct stand_in *s, size_t i);

/* ---- answering, from the handler's thread only ---- */

/* Before the status is sent. */
void stand_in_add_header(struct stand_in_exchange *x, const char *name, const char *value);
/* The whole answer; the exchange is over. */
void stand_in_reply(struct stand_in_exchange *x, int status, const char *type, const void *body,
                    size_t n);
void stand_in_reply_text(struct stand_in_exchange *x, int status, const char *type,
                         const char *text);
/* A streamed answer: begin, any number of pieces, end. */
void stand_in_stream_begin(struct stand_in_exchange *x, int status, const char *type);
void stand_in_stream_piece(struct stand_in_exchange *x, const char *text);
void stand_in_stream_end(struct stand_in_exchange *x);
/* Close the connection in the middle of whatever was sent. */
void stand_in_cut(struct stand_in_exchange *x);

/* What will be answered is not sent: the peer waits until it gives up. */
void stand_in_mute(struct stand_in_exchange *x);
/* Keep the exchange open until stand_in_release(), which stays in force: what is held later goes on at once. `resume` runs in
 * the server's thread; NULL: never. The peer going away meanwhile is noticed: the exchange is dropped and `resume` not called.
 * `arg` is released with free(). */
void stand_in_hold(struct stand_in_exchange *x,
                   void (*resume)(struct stand_in_exchange *x, void *arg), void *arg);
/* From any thread: let all exchanges go on, held now or later. */
void stand_in_release(struct stand_in *s);
/* How many held exchanges the peer has given up so far; waits like stand_in_wait(). */
bool stand_in_wait_abandoned(struct stand_in *s, size_t count, int deadline_ms);

#endif
