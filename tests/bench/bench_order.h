/* bench_order.h - boxes that stand by, for the bench: made, ordered, timed apart. */
#ifndef TESTS_BENCH_ORDER_H
#define TESTS_BENCH_ORDER_H

#include <sys/types.h>

#define STAND_MS 10000

struct standing {
    pid_t pid;
    int socket;
};

double bench_now_us(void);
/* Start one with `early` options; it stands once order_await_ready() has heard so. 0 or -1. */
int stand(const char *program, const char *const *early, struct standing *s);
/* From the order, which is `args`, until it was reaped; its wait status. */
int order_standing(const struct standing *s, const char *const *args, double *us);
/* Make one, and order: what both took. The wait status, -1 when it does not stand. */
int order_once(const char *program, const char *const *early, const char *const *args,
               double *making_us, double *us);

#endif
