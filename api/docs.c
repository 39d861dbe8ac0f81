#include <stdio.h>
#include <string.h>
#include "api/health.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/crypto/hmac.h"
#include "lib/embed/embed.h"

extern const struct pj_embedded api_documents[];

static void serve(struct request *req, const char *name, const char *type)
{
    const struct pj_embedded *file = api_documents;
    char hex[65], etag[40];

    while (strcmp(file->name, name) != 0)
        file++;
    pj_sha256_hex(file->data, file->size, hex);
    snprintf(etag, sizeof etag, "\"%.32s\"", hex);
    reply_static(req, type, etag, file->data, file->size);
}

void docs_page(struct request *req)
{
    reply_header(req, "Content-Security-Policy",
                 "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                 "connect-src 'self'; "
                 "frame-ancestors 'none'; base-uri 'none'");
    serve(req, "docs.html", "text/html; charset=utf-8");
}

void docs_openapi(struct request *req)
{
    serve(req, "openapi.json", "application/json");
}
