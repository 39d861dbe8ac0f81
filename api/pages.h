/* pages.h - the web page: its shell and its assets, embedded. */
#ifndef API_PAGES_H
#define API_PAGES_H

struct pages;
struct request;

struct pages *pages_new(void);
void pages_free(struct pages *pages);

void page_shell(struct request *req); /* every address of the page */
void page_asset(struct request *req); /* /assets/:name */

#endif
