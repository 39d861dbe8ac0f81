/* order.h - what is said on the socket of --standby.
 *
 * SOCK_SEQPACKET, one message each way. From us, once the box stands: "ready". To us, one order: words, each ended by a NUL. The
 * first says which descriptors the message carries, a letter each, in their order: i, o, e for standard input, output and error, r for
 * --result-fd, t for --tree-fd; what is missing is as it was when we were started, r and t then are none. The words that follow are the
 * rest of the command line. The end of the connection instead of an order is the end of a box that was not needed. */
#ifndef SANDBOX_ORDER_H
#define SANDBOX_ORDER_H

#include <stddef.h>
#include "lib/base/err.h"

#define ORDER_BYTES_MAX ((size_t)64 << 10)
#define ORDER_FDS_MAX 5
#define ORDER_LETTERS "ioert"
#define ORDER_READY "ready"

enum order_fd { ORDER_IN, ORDER_OUT, ORDER_ERR, ORDER_RESULT, ORDER_TREE };

struct order {
    char *bytes;  /* owned */
    char **words; /* the rest of the command line, into `bytes`; NULL-terminated; owned */
    size_t count;
    int fds[ORDER_FDS_MAX]; /* by enum order_fd; -1: did not come; owned */
};

/* 1 with an order, 0 at the end of the connection, -1 with err for one that cannot be read. Release in every case. */
int order_recv(int fd, struct order *order, struct pj_err *err);
int order_say_ready(int fd);
void order_release(struct order *order);

#endif
