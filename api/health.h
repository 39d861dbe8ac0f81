/* health.h - /livez, /readyz, /metrics and the document of this API. */
#ifndef API_HEALTH_H
#define API_HEALTH_H

struct request;

void health_live(struct request *req);
void health_ready(struct request *req);
void metrics_get(struct request *req); /* metrics.c */
void docs_page(struct request *req);   /* docs.c */
void docs_openapi(struct request *req);

#endif
