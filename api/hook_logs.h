/* hook_logs.h - logs that came in a webhook, put into the task's log (R6.4). */
#ifndef API_HOOK_LOGS_H
#define API_HOOK_LOGS_H

#include <jansson.h>
#include <stdbool.h>
#include "api/request.h"

#define HOOK_LOGS_MAX (100 * 1024)

struct hook_logs;

struct hook_logs *hook_logs_new(const json_t *logs);
void hook_logs_free(struct hook_logs *logs);
/* More than 100 KB of text: not to be stored. */
bool hook_logs_too_large(const struct hook_logs *logs);
/* Append them to the log of req->task, then call `then`; or the request was answered. */
void hook_logs_store(struct request *req, struct hook_logs *logs,
                     void (*then)(struct request *req));

#endif
