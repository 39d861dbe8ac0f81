/* page.h - lists: ?limit= and ?cursor= in, items, nextCursor and a Link header out. */
#ifndef API_PAGE_H
#define API_PAGE_H

#include <jansson.h>
#include <stdint.h>
#include "api/request.h"

#define PAGE_CURSOR_SIZE 64

struct page {
    int64_t limit;
    char cursor[PAGE_CURSOR_SIZE]; /* "" at the beginning */
};

/* 0, or -1 when answered with 400. */
int page_query(struct request *req, int64_t max, struct page *out) PJ_MUST_CHECK;
/* Answer a page; `items` is taken; `next` NULL at the end. */
void page_reply(struct request *req, json_t *items, const char *next);
/* The Link to the next page (RFC 8288): this request, with `name` as the place to go on from. */
void page_link(struct request *req, const char *name, const char *next);
/* The same as page_reply() for a list that is wholly at hand and taken; without a limit all of it. The cursor is a place in it. */
void page_reply_of(struct request *req, json_t *all);

#endif
