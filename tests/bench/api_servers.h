/* api_servers.h - pj-api and what it is measured against, each alone on core 0; Redis and the load share the other. */
#ifndef TESTS_BENCH_API_SERVERS_H
#define TESTS_BENCH_API_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/base/id.h"
#include "lib/store/conn.h"

#define BENCH_TOKEN "pj_bench_token_0123456789abcdef"
#define BENCH_BATCH 200

enum server_kind { SERVER_OURS, SERVER_FASTIFY, SERVER_NGINX };

struct bench_task {
    char id[PJ_ID_SIZE];
    int64_t epoch, n; /* the number of its last line */
};

struct server {
    enum server_kind kind;
    const char *name;
    pid_t pid; /* 0: this host does not have it */
    int port;
    char small[256];  /* a request that is answered with 300 bytes of JSON */
    char stream[256]; /* opens an event stream */
    int publish_fd;   /* nginx: keep-alive connection of the publisher */
    struct bench_task task;
};

struct bench {
    char dir[40], redis_socket[64], redis_url[80];
    pid_t redis_pid;
    struct pj_redis *redis;
    struct server ours, fastify, nginx;
};

/* Start Redis and all servers that this host has; PJ_FASTIFY names the folder with fastify's modules, PJ_NGINX
 * the one under which nginx and nchan lie as in Debian (unset: /). */
void bench_start(struct bench *b);
void bench_stop(struct bench *b);
/* A task that is leased to us, so that its log can be written. */
void bench_make_task(struct bench *b, struct bench_task *out);
void bench_stream_request(const struct bench_task *task, char *out, size_t cap);
/* `count` (at most BENCH_BATCH) lines of about 200 bytes, each with the stamp of now and each published by itself. */
void bench_publish(struct bench *b, struct server *server, size_t count);

/* A number of pj-api's /metrics. */
int64_t bench_metric(struct bench *b, const char *name);

#endif
