/* api.h - what the parts of pj-api share: one struct, made by main.c, passed first. */
#ifndef API_API_H
#define API_API_H

#include <stdbool.h>
#include <stdint.h>
#include "api/metrics.h"
#include "api/settings.h"

struct auth;
struct cidr_list;
struct event_base;
struct fanout;
struct guard;
struct helpers;
struct limits;
struct pages;
struct pj_aredis;
struct pj_gather;
struct pj_forges;
struct pj_keyring;
struct pj_prices;
struct pj_redact;
struct server;

struct api {
    struct settings settings;
    struct event_base *base;
    struct pj_aredis *redis;
    struct pj_gather *gather; /* new tasks, many in one script */
    struct fanout *fanout;
    struct guard *guard; /* of open streams */
    struct helpers *helpers;
    struct server *server;
    struct server *metrics_server; /* NULL without PJ_METRICS_LISTEN */
    struct auth *auth;
    struct limits *limits;
    struct pages *pages;
    struct pj_keyring *keyring;
    struct pj_forges *forges;
    struct pj_prices *prices;
    struct pj_redact *redact;
    struct cidr_list *trusted;
    struct metrics metrics;
    char *public_url;    /* no slash at its end */
    unsigned partitions; /* of the store */
    bool draining;
};

#endif
