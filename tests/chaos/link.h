/* link.h - a relay between programs and Redis whose wire can be cut, stalled and delayed. */
#ifndef TESTS_CHAOS_LINK_H
#define TESTS_CHAOS_LINK_H

#include <sys/types.h>

enum link_fault {
    LINK_CUT,   /* all connections are closed, and new ones at once, for that long */
    LINK_STALL, /* nothing gets through, nothing is closed, for that long */
    LINK_DELAY, /* each piece is held for 100 ms, for that long */
};

struct link {
    pid_t pid;
    int control;
    char socket[100];
    char url[120];
};

/* Relay from dir/link.sock to the Unix socket `target`; a process of its own that dies with the test. */
void link_start(struct link *link, const char *dir, const char *target);
/* Begin a fault; returns at once. */
void link_break(struct link *link, enum link_fault fault, int ms);
void link_stop(struct link *link);

#endif
