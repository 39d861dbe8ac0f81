/* api_load.h - the load of bench_api, the same for pj-api and for those it is measured against: requests over keep-alive connections, and
 * viewers of an event stream who find a stamp "@microseconds@" in every line.
 *
 * One thread on one core, the server on the other. Processor time is of /proc/PID/task/TID/schedstat, so that other load of the machine
 * does not count; the pid's children are part of it. */
#ifndef TESTS_BENCH_API_LOAD_H
#define TESTS_BENCH_API_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/base/err.h"

#define LOAD_CONNECTIONS 64

void load_die(const char *what, const struct pj_err *err) __attribute__((noreturn));
int load_dial(int port); /* loopback; -1 when nobody listens */
int64_t load_cpu_ns(pid_t pid);
int64_t load_rss_kb(pid_t pid);
/* Highest since load_peak_reset(). */
int64_t load_peak_kb(pid_t pid);
void load_peak_reset(pid_t pid);

struct load_rate {
    double per_second, cpu_us; /* requests; processor time of one */
    size_t body_bytes;         /* of an answer */
};
/* LOAD_CONNECTIONS connections, one request at a time on each. The answers must be alike. */
void load_requests(int port, pid_t pid, const char *request, int64_t ms, struct load_rate *out);

struct viewers;
/* Open `count` streams; each has been answered when this returns. `small`: with the smallest receive buffer. */
struct viewers *viewers_open(int port, const char *request, size_t count, bool small);
void viewers_close(struct viewers *v);
/* Read what has come, waiting at most wait_ms. False when a stream was closed. */
bool viewers_read(struct viewers *v, int wait_ms);
/* Every viewer has seen `lines` lines since the start, or since viewers_begin(). */
bool viewers_have(const struct viewers *v, int64_t lines);
/* Count anew. From here on one in twenty reads what he gets, the others throw it away (recv(2), MSG_TRUNC; what the load costs must not
 * decide) and must have as many bytes as those who read. All have what was published before. */
void viewers_begin(struct viewers *v);
/* Of the latencies since then, in ms. */
double viewers_percentile(struct viewers *v, int percent);
/* The stamp of now, as it stands in a line. */
int64_t load_stamp(void);

#endif
