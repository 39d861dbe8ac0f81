/* routes.h - the route table: what the outside can ask. api/openapi.json describes the same rows; a test holds them equal. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include <stddef.h>
#include "lib/base/view.h"

#include "api/request.h"

enum method {
    METHOD_GET = 1, /* also serves HEAD */
    METHOD_POST = 2,
    METHOD_PUT = 4,
    METHOD_PATCH = 8,
    METHOD_DELETE = 16,
};

enum route_flag {
    ROUTE_IDEMPOTENT = 1, /* honours Idempotency-Key */
    ROUTE_RAW = 2,        /* the body is not (only) JSON: no Content-Type check */
    ROUTE_PAGE = 8,       /* part of the web page, not of the described interface */
    ROUTE_METRICS = 4,    /* also on PJ_METRICS_LISTEN, there without a token */
};

struct route {
    enum method method;
    const char *path; /* ":name" parts are parameters */
    unsigned scope;   /* enum scope */
    size_t body_max;
    unsigned flags;
    void (*handle)(struct request *req);
};

extern const struct route route_table[];
extern const size_t route_count;

/* Find the row for a method and a raw path, filling the request's parameters. NULL: *allowed tells the methods the path has
 * (0: no such path). */
const struct route *route_find(struct pj_view method, struct pj_view path,
                               char (*params)[REQUEST_PARAM_SIZE], unsigned *allowed);
const char *method_name(enum method method);

#endif
