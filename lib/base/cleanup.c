#include "lib/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void pj_freep(char **p)
{
    free(*p);
    *p = NULL;
}

void pj_fd_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    errno = saved;
}

void pj_closep(int *fd)
{
    pj_fd_close(fd);
}

void pj_fclosep(FILE **f)
{
    int saved = errno;

    if (*f)
        (void)fclose(*f);
    *f = NULL;
    errno = saved;
}
