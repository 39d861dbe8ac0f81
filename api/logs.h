/* logs.h - handlers of a task's log: pages, the whole as text, the live stream; and the stream of all statuses. */
#ifndef API_LOGS_H
#define API_LOGS_H

struct request;

void logs_page(struct request *req);     /* logs.c */
void logs_stream(struct request *req);   /* sse.c */
void events_stream(struct request *req); /* events.c */

#endif
