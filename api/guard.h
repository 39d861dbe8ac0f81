/* guard.h - a stream ends with the token that opened it.
 *
 * Other requests are judged anew each time; a stream may last for days. Every few seconds the token of those who have streams open is
 * looked up, once for all streams of a token. When it is revoked or over, or its user has gone or lost the rights under which
 * the stream was opened, its streams are closed; who still may opens another. A store that does not answer ends none. */
#ifndef API_GUARD_H
#define API_GUARD_H

#include <sys/queue.h>

struct api;
struct guard;
struct guard_token;
struct request;

/* Part of a stream's own struct; all zero before guard_join() and after guard_leave(). */
struct guarded {
    struct guard_token *token;
    void (*end)(void *arg); /* close the connection; guard_leave() follows from that */
    void *arg;
    TAILQ_ENTRY(guarded) link;
};

struct guard *guard_new(struct api *api);
/* After the last stream, and after the store's connection. */
void guard_free(struct guard *guard);

/* `req` has been authorised for the stream. */
void guard_join(const struct request *req, struct guarded *stream, void (*end)(void *arg),
                void *arg);
void guard_leave(struct guarded *stream);

#endif
