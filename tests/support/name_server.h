/* name_server.h - a DNS server of a test's own, and a host that asks it: silent, or with the address that it is told.
 *
 * The test moves into name spaces of its own (network, mounts) in which loopback is up, /etc/resolv.conf names 127.0.0.1 only, and what
 * it starts afterwards lives in as well. */
#ifndef PJ_TESTS_SUPPORT_NAME_SERVER_H
#define PJ_TESTS_SUPPORT_NAME_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct name_server {
    pid_t pid;
    int orders, asked; /* pipes */
};

/* As somebody else than root: become it in a user name space, which a process with threads, as a test of Criterion's is, may not. So a
 * constructor calls this. Where it fails, so does what follows. */
void name_server_become_root(void);
/* False, with errno, where the host forbids the name spaces. The server is silent at first. */
bool name_server_try(struct name_server *ns);
/* The same, and the test is skipped, aloud. */
void name_server_start(struct name_server *ns);
/* Every name has that IPv4 address from now on; NULL: silent again. */
void name_server_say(struct name_server *ns, const char *address);
/* Questions that came (A and AAAA count one each) since the last call. Waits until there is one, at most `ms`. */
size_t name_server_asked(struct name_server *ns, int ms);
void name_server_stop(struct name_server *ns);

#endif
