#include "tests/runner/gateway_play.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

void play_posts(struct play *p)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "Authorization: Bearer from-the-box", NULL};

    for (int i = 0; i < p->times; i++)
        http_call(p->base, "POST", p->path, NULL, p->bodies[i] ? p->bodies[i] : p->body, headers,
                  &p->a[i]);
}

static void *player(void *arg)
{
    struct play *p = arg;

    (p->act ? p->act : play_posts)(p);
    p->over = true;
    rig_knock(p->rig);
    return NULL;
}

static bool is_over(void *ctx)
{
    const struct rig *rig = ctx;

    return ((struct play *)rig->extra)->over;
}

int play_serve(struct rig *rig, struct play *p)
{
    PJ_CLEANUP(gateway_freep) struct gateway *gw = NULL;
    pthread_t thread;
    int rc;

    p->rig = rig;
    rig->extra = p;
    rig->config.hooks.over = is_over;
    (void)snprintf(p->base, sizeof p->base, "unix:%s", rig->socket);
    cr_assert_eq(gateway_open(&rig->config, &gw, &rig->err), 0, "%s", rig->err.message);
    cr_assert_eq(pthread_create(&thread, NULL, player, p), 0);
    rc = gateway_serve_foreign(gw, NULL, &rig->result, &rig->err);
    gateway_freep(&gw); /* as the end of the box: whoever still waits is cut */
    pthread_join(thread, NULL);
    return rc;
}

void play_release(struct rig *rig, struct play *p)
{
    for (size_t i = 0; i < PLAY_ANSWERS; i++)
        http_answer_release(&p->a[i]);
    rig_release(rig);
}
