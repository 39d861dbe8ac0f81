#include "api/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/gzip.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/embed/embed.h"

extern const struct pj_embedded api_web_files[];

#define FILES_MAX 32

/* Made once at start; no path of a disk is ever built from a request. */
struct pages {
    struct page_file {
        const struct pj_embedded *file;
        const char *type;
        char etag[40];
        char *packed; /* gzip, NULL when that is no smaller */
        size_t packed_n;
    } row[FILES_MAX];
    size_t count;
};

static const struct type {
    const char *ending, *type;
} types[] = {
    {".css", "text/css; charset=utf-8"},
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".svg", "image/svg+xml"},
};

static const char *type_of(const char *name)
{
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot != NULL && i < PJ_COUNT_OF(types); i++)
        if (strcmp(dot, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

struct pages *pages_new(void)
{
    struct pages *pages = pj_alloc(1, sizeof *pages);

    for (const struct pj_embedded *f = api_web_files; f->name != NULL && pages->count < FILES_MAX;
         f++) {
        struct page_file *p = &pages->row[pages->count++];
        char hex[65];
        p->file = f;
        p->type = type_of(f->name);
        pj_sha256_hex(f->data, f->size, hex);
        snprintf(p->etag, sizeof p->etag, "\"%.32s\"", hex);
        if (!gzip_pack(f->data, f->size, 9, &p->packed, &p->packed_n))
            p->packed = NULL;
    }
    return pages;
}

void pages_free(struct pages *pages)
{
    for (size_t i = 0; pages != NULL && i < pages->count; i++)
        free(pages->row[i].packed);
    free(pages);
}

static void serve(struct request *req, const char *name)
{
    const struct pages *pages = req->api->pages;
    size_t i = 0;

    while (i < pages->count && strcmp(pages->row[i].file->name, name) != 0)
        i++;
    if (i == pages->count) {
        reply_not_found(req, "file");
        return;
    }
    const struct page_file *p = &pages->row[i];
    reply_header(req, "Vary", "Accept-Encoding");
    reply_header(req, "Referrer-Policy", "same-origin");
    if (p->packed != NULL && gzip_accepted(http_header(&req->head, "accept-encoding"))) {
        reply_header(req, "Content-Encoding", "gzip");
        reply_static(req, p->type, p->etag, p->packed, p->packed_n);
    } else {
        reply_static(req, p->type, p->etag, p->file->data, p->file->size);
    }
}

void page_shell(struct request *req)
{
    reply_header(req, "Content-Security-Policy",
                 "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                 "connect-src 'self'; "
                 "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
                 "require-trusted-types-for 'script'; "
                 "trusted-types 'none'");
    serve(req, "index.html");
}

void page_asset(struct request *req)
{
    serve(req, req->param[0]);
}
