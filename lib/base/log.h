/* log.h - operator events: one line each, to stderr, text or JSON (PJ_LOG_FORMAT, PJ_LOG_LEVEL).
 *
 * A program logs once, where it handles the failure; lib/ never logs. Every line has an event word (snake_case) and fields.
 * Values pass the redactor given to pj_log_setup(). A line is one write(2). */
#ifndef PJ_BASE_LOG_H
#define PJ_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/base/cleanup.h"
#include "lib/base/err.h"
#include "lib/base/redact.h"

enum pj_log_level { PJ_LOG_DEBUG, PJ_LOG_INFO, PJ_LOG_WARN, PJ_LOG_ERROR };
enum pj_log_format { PJ_LOG_AUTO, PJ_LOG_TEXT, PJ_LOG_JSON };

/* `program` and `redact` are borrowed for the life of the process; redact may be NULL. AUTO is text on a terminal. */
void pj_log_setup(const char *program, enum pj_log_level min, enum pj_log_format format,
                  const struct pj_redact *redact);
/* pj_log(PJ_LOG_WARN, "webhook_rejected", "taskId", id, "detail", text, NULL): pairs of strings, ended by NULL. A pair whose
 * value is NULL is left out (so a value of NULL does not end the list). */
void pj_log(enum pj_log_level level, const char *event, ...);
/* An error as fields `code`, `detail`, `remedy`, with up to one more pair (key may be NULL). */
void pj_log_err(enum pj_log_level level, const char *event, const struct pj_err *err,
                const char *key, const char *value);
bool pj_log_enabled(enum pj_log_level level);

/* Numbers as log values: PJ_I64(n) lives until the end of the full expression's block. */
const char *pj_i64_str(char *buf, int64_t v); /* buf holds at least 24 bytes */
#define PJ_I64(v) pj_i64_str((char[24]){0}, (v))

#endif
