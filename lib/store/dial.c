#include "lib/store/dial.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/socket.h>

size_t pj_redis_greeting(const struct pj_redis_target *target, const char *name,
                         struct pj_cmd cmds[PJ_GREETING_MAX])
{
    size_t n = 0;

    if (target->password) {
        pj_cmd_start(&cmds[n], "AUTH");
        if (target->user)
            pj_cmd_text(&cmds[n], target->user);
        pj_cmd_text(&cmds[n++], target->password);
    }
    if (target->db) {
        pj_cmd_start(&cmds[n], "SELECT");
        pj_cmd_int(&cmds[n++], target->db);
    }
    if (name) {
        pj_cmd_start(&cmds[n], "CLIENT");
        pj_cmd_text(&cmds[n], "SETNAME");
        pj_cmd_text(&cmds[n++], name);
    }
    return n;
}

int pj_redis_pause_ms(unsigned n)
{
    int full = n >= 6 ? 2000 : 50 << n;
    uint16_t random;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = 0; /* no jitter, that once */
    return full / 2 + random % (full / 2 + 1);
}

void pj_redis_adopt_fd(int fd)
{
    int flags = fcntl(fd, F_GETFD), on = 1, idle = 15, gap = 5, count = 3;

    if (flags >= 0)
        (void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    /* A peer that vanished without a word is noticed after half a minute. No effect on Unix sockets. */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &gap, sizeof(gap));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}
