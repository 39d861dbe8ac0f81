/* gateway_play.h - another agent at the gateway's second face: it speaks HTTP to the socket from a thread that plays the box. */
#ifndef TESTS_RUNNER_GATEWAY_PLAY_H
#define TESTS_RUNNER_GATEWAY_PLAY_H

#include <stdatomic.h>
#include "tests/runner/gateway_rig.h"
#include "tests/support/http.h"

#define PLAY_ANSWERS 4

struct play {
    struct rig *rig;
    void (*act)(struct play *p);      /* NULL: play_posts() */
    const void *given;                /* of the test, for `act` */
    const char *path, *body;          /* what play_posts() posts, `times` times */
    const char *bodies[PLAY_ANSWERS]; /* one for each time, where set */
    int times;
    char base[128]; /* of http_call() */
    _Atomic bool over;
    struct http_answer a[PLAY_ANSWERS];
};

void play_posts(struct play *p);
/* Serve it to its end: the result of gateway_serve_foreign(). */
int play_serve(struct rig *rig, struct play *p);
/* Both of them. */
void play_release(struct rig *rig, struct play *p);

#endif
