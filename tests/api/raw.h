/* raw.h - bytes to a server and back, without a client that would correct them. */
#ifndef TESTS_API_RAW_H
#define TESTS_API_RAW_H

#include <stddef.h>

/* Connect to "http://127.0.0.1:PORT". */
int raw_connect(const char *base);
void raw_send(int fd, const char *bytes, size_t n);
/* Read until the server closes or deadline_ms have passed since the call. The text is owned by the caller; *closed tells. */
char *raw_read(int fd, int deadline_ms, int *closed);
/* Send, read all answers, close. */
char *raw_exchange(const char *base, const char *bytes, size_t n);
/* Ask for a path below /api/v1; the answer is yet to be read. */
int raw_get(const char *base, const char *token, const char *path);
/* Status of the answer that begins at `text`; 0 when there is none. */
int raw_status(const char *text);

#endif
