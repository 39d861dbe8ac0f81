/* reply.h - answers. Each function answers the request once and frees it: do not touch it afterwards.
 *
 * Errors are problem documents (RFC 9457) with our members code, remedy and errors (CONTRACT.md section 3). */
#ifndef API_REPLY_H
#define API_REPLY_H

#include <jansson.h>
#include <stddef.h>
#include "api/request.h"
#include "lib/base/err.h"
#include "lib/json/codec.h"

struct stream_ops;

/* A further header of the answer to come. The value must be printable. */
void reply_header(struct request *req, const char *name, const char *fmt, ...) PJ_PRINTF(3, 4);

/* `doc` is taken. */
void reply_json(struct request *req, int status, json_t *doc);
/* The same with an ETag; 304 when the client has it already. A weak one, since the bytes are others with gzip (RFC 9110, 8.8.3.3). */
void reply_json_etag(struct request *req, json_t *doc);
/* `bytes` (malloc) is taken. */
void reply_bytes(struct request *req, int status, const char *type, char *bytes, size_t n);
/* Constant bytes with an ETag that the caller knows (NULL: none). */
void reply_static(struct request *req, const char *type, const char *etag, const void *bytes,
                  size_t n);
void reply_empty(struct request *req, int status);

void reply_problem(struct request *req, int status, const char *code, const char *remedy,
                   const char *fmt, ...) PJ_PRINTF(5, 6);
/* The same with further members; `members` (an object) is taken. */
void reply_problem_members(struct request *req, int status, const char *code, json_t *members,
                           const char *fmt, ...) PJ_PRINTF(5, 6);
/* Status by the error's class, code and remedy from it. */
void reply_err(struct request *req, const struct pj_err *err);
/* The same with another status (422 for what the class alone would call 400). */
void reply_err_status(struct request *req, int status, const struct pj_err *err);
/* 400 with the list of faults. */
void reply_faults(struct request *req, const struct pj_field_errors *faults);
/* 400 about one field or query parameter. */
void reply_fault(struct request *req, const char *field, const char *fmt, ...) PJ_PRINTF(3, 4);
/* 404: there is none, or the caller may not see it. `what` is a noun: "task". */
void reply_not_found(struct request *req, const char *what);

/* Give an answer without an end of its own; the connection is handed over with it. NULL when the client has gone (the request
 * is freed all the same): then `ops` will never be called. */
struct conn *reply_stream(struct request *req, const char *type, bool chunked, bool beats,
                          const struct stream_ops *ops, void *arg);

const char *http_reason(int status);

#endif
