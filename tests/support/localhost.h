/* localhost.h - does this machine's name service know localhost? Bare roots have no /etc/hosts. */
#ifndef TESTS_SUPPORT_LOCALHOST_H
#define TESTS_SUPPORT_LOCALHOST_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>

#define LOCALHOST_MISSING "localhost has no address here: /etc/hosts lacks it"

static inline bool localhost_is_known(void)
{
    struct addrinfo *found = NULL;

    if (getaddrinfo("localhost", NULL, NULL, &found) != 0)
        return false;
    freeaddrinfo(found);
    return true;
}

#endif
