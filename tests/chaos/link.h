/* link.h - a relay between programs and Redis whose wire can be cut, torn, stalled and delayed. It passes bytes on: TLS goes through it as
 * it is. */
#ifndef TESTS_CHAOS_LINK_H
#define TESTS_CHAOS_LINK_H

#include <sys/types.h>

enum link_fault {
    LINK_CUT,  /* all connections are closed, and new ones at once, for that long */
    LINK_TEAR, /* of the next piece half gets through, and the connection is closed, for that long */
    LINK_STALL, /* nothing gets through, nothing is closed, for that long */
    LINK_DELAY, /* each piece is held for 100 ms, for that long */
};

struct link {
    pid_t pid;
    int control;
    char socket[100]; /* of link_start() */
    int port;         /* of link_start_tcp() */
    char url[120];
};

/* Relay from dir/link.sock to the Unix socket `target`; a process of its own that dies with the test. */
void link_start(struct link *link, const char *dir, const char *target);
/* From a port of 127.0.0.1 to another one; the URL is without TLS. */
void link_start_tcp(struct link *link, int target);
/* Begin a fault; returns at once. */
void link_break(struct link *link, enum link_fault fault, int ms);
void link_stop(struct link *link);

#endif
