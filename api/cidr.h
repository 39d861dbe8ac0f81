/* cidr.h - address ranges: whose X-Forwarded-* headers count. */
#ifndef API_CIDR_H
#define API_CIDR_H

#include <stdbool.h>
#include "lib/base/err.h"
#include "lib/base/view.h"

struct cidr_list;

/* "10.0.0.0/8, ::1, unix": a bare address is a range of one; `unix` stands for peers of a Unix socket. INVALID names the
 * part that is wrong. NULL or "" gives an empty list. */
int cidr_list_new(const char *text, struct cidr_list **out, struct pj_err *err) PJ_MUST_CHECK;
void cidr_list_free(struct cidr_list *list);
bool cidr_list_has(const struct cidr_list *list, const char *address);
/* The client of a request that came through trusted proxies: the last address of X-Forwarded-For that is not one of ours.
 * Falls back to `peer`. The result is written to out (64 bytes). */
void cidr_client(const struct cidr_list *list, const char *peer, struct pj_view forwarded_for,
                 char out[64]);
/* Whom an address stands for where requests and connections are counted: itself, or its /64 with IPv6, since everybody is given at
 * least that many addresses (RFC 6177) and may change them as he likes. */
void cidr_party(const char *address, char out[64]);

#endif
