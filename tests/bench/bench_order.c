#include "tests/bench/bench_order.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/sandbox/order_box.h"

extern char **environ;

double bench_now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int stand(const char *program, const char *const *early, struct standing *s)
{
    const char *args[16] = {program, "--standby", "3"};
    posix_spawn_file_actions_t files;
    int pair[2], rc;

    for (size_t i = 0; early[i]; i++)
        args[3 + i] = early[i];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, pair[1], 3);
    rc = posix_spawn(&s->pid, program, &files, NULL, (char *const *)(uintptr_t)args, environ);
    posix_spawn_file_actions_destroy(&files);
    close(pair[1]);
    s->socket = pair[0];
    if (rc != 0)
        close(pair[0]);
    return rc == 0 ? 0 : -1;
}

int order_standing(const struct standing *s, const char *const *args, double *us)
{
    double began = bench_now_us();
    bool sent = order_send(s->socket, "", NULL, args);
    int status = -1;

    waitpid(s->pid, &status, 0);
    *us = bench_now_us() - began;
    close(s->socket);
    return sent ? status : -1;
}

int order_once(const char *program, const char *const *early, const char *const *args,
               double *making_us, double *us)
{
    double began = bench_now_us();
    struct standing s;

    if (stand(program, early, &s) < 0)
        return -1;
    if (!order_await_ready(s.socket, STAND_MS)) {
        close(s.socket);
        waitpid(s.pid, NULL, 0);
        return -1;
    }
    *making_us = bench_now_us() - began;
    return order_standing(&s, args, us);
}
