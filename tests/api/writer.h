/* writer.h - plays a runner at the store: leases a task, writes its log, ends it. */
#ifndef TESTS_API_WRITER_H
#define TESTS_API_WRITER_H

#include <stdint.h>
#include "tests/support/world.h"

struct writer {
    struct pj_redis *redis;
    char task[40];
    int64_t epoch, attempt, n; /* n: last number written */
};

/* Takes the lease of `task`, which must be waiting. */
void writer_begin(struct writer *wr, struct world *w, const char *task);
/* `count` more entries in one chunk; message "line <n> …" of about `size` bytes. */
void writer_append(struct writer *wr, int64_t count, size_t size);
/* One entry with these bytes as its message. */
void writer_say(struct writer *wr, const char *message);
/* The same on the stream `stderr`. */
void writer_say_error(struct writer *wr, const char *message);
void writer_stage(struct writer *wr, const char *stage);
/* code NULL: completed; else the end of that code. patch may be NULL. */
void writer_finish(struct writer *wr, const char *code, const char *patch);
void writer_end(struct writer *wr);

/* A repository with one file under w->remotes, connected; its id is owned by the caller. */
char *writer_repository(struct world *w, const char *name);
/* A task that waits for a runner. */
char *writer_task(struct world *w, const char *repository);

#endif
