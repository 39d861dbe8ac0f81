#include "api/page.h"

#include <stdio.h>
#include <string.h>
#include "api/reply.h"

#define PAGE_DEFAULT 50
#define PAGE_OF_MAX 1000

int page_query(struct request *req, int64_t max, struct page *out)
{
    if (request_query_int(req, "limit", 1, max, PAGE_DEFAULT, &out->limit) < 0 ||
        request_query(req, "cursor", out->cursor, sizeof out->cursor) < 0)
        return -1;
    if (strspn(out->cursor, "0123456789abcdefghijklmnopqrstuvwxyz-:.,_") != strlen(out->cursor)) {
        reply_fault(req, "cursor", "is not a cursor of this list");
        return -1;
    }
    return 0;
}

/* "cursor=…" or "after=…": where the present page begins. */
static bool is_place(struct pj_view item)
{
    return pj_view_starts(item, "cursor=") || pj_view_starts(item, "after=");
}

void page_link(struct request *req, const char *name, const char *next)
{
    struct pj_view rest = req->head.query, item;
    struct pj_str target;

    pj_str_init(&target, HTTP_TARGET_MAX);
    pj_str_append(&target, req->head.path.p, req->head.path.n);
    pj_str_putc(&target, '?');
    while (rest.p != NULL && pj_view_cut(&rest, '&', &item))
        if (item.n > 0 && !is_place(item)) {
            pj_str_append(&target, item.p, item.n);
            pj_str_putc(&target, '&');
        }
    pj_str_putf(&target, "%s=%s", name, next);
    if (!target.full && memchr(target.data, '>', target.len) == NULL)
        reply_header(req, "Link", "<%s>; rel=\"next\"", pj_str_cstr(&target));
    pj_str_release(&target);
}

void page_reply(struct request *req, json_t *items, const char *next)
{
    if (next != NULL)
        page_link(req, "cursor", next);
    reply_json(req, 200, json_pack("{s:o, s:s?}", "items", items, "nextCursor", next));
}

void page_reply_of(struct request *req, json_t *all)
{
    size_t count = json_array_size(all);
    int64_t limit = 0, from = 0;
    char next[24];

    if (request_query_int(req, "limit", 1, PAGE_OF_MAX, 0, &limit) < 0 ||
        request_query_int(req, "cursor", 0, INT64_MAX, 0, &from) < 0) {
        json_decref(all);
        return;
    }
    size_t begin = (uint64_t)from < count ? (size_t)from : count;
    size_t end = limit == 0 || count - begin <= (size_t)limit ? count : begin + (size_t)limit;
    json_t *items = json_array();
    for (size_t i = begin; i < end; i++)
        (void)json_array_append(items, json_array_get(all, i));
    json_decref(all);
    snprintf(next, sizeof next, "%zu", end);
    page_reply(req, items, end < count ? next : NULL);
}
