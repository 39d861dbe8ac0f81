/* idempotency.h - same Idempotency-Key, same answer, for 24 hours (CONTRACT.md section 3). */
#ifndef API_IDEMPOTENCY_H
#define API_IDEMPOTENCY_H

#include <stddef.h>

struct request;

/* A POST that may carry a key: calls `go` for a fresh one (or none), else answers from the store, 409 while the first still runs,
 * or 422 for another body. */
void idempotency_begin(struct request *req, void (*go)(struct request *req));
/* The same for a key of another kind: `scope` and `text` as in store/idem.h. */
void idempotency_with(struct request *req, const char *scope, const char *text, unsigned partition,
                      const char *fingerprint, void (*go)(struct request *req));
/* The answer is known: keep it, then call `then` (answers of 500 and above are not kept: nothing was decided). The client gets
 * it when it is kept: a repetition that follows at once finds it. */
void idempotency_finish(struct request *req, int status, const char *type, const char *bytes,
                        size_t n, void (*then)(void *arg), void *arg);

#endif
