/* An agent that never stops talking: what it says is heard, and keeps nobody from his duties. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/wire/frame.h"
#include "tests/runner/gateway_rig.h"

#define FLOOD_LIMIT_MS 20000

struct flood {
    struct rig *rig;
    const char *frame;
    _Atomic bool enough;
    bool gave_up;
    int served; /* by the gateway, while it goes on */
};

static void *talk(void *arg)
{
    struct flood *f = arg;
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int64_t until = pj_mono_ms() + FLOOD_LIMIT_MS;
    struct pj_str many;
    struct pj_err err;

    pj_str_init(&many, 1 << 20);
    while (many.len < 200000)
        cr_assert_eq(pj_frame_encode(&many, pj_view_of(f->frame), &err), 0);
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", f->rig->socket);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    while (!f->enough && !f->gave_up && pj_write_all(fd, many.data, many.len) == 0)
        f->gave_up = pj_mono_ms() > until;
    close(fd);
    pj_str_release(&many);
    return NULL;
}

static size_t want_nothing(void *ctx, struct pollfd *fds, size_t cap, int *timeout_ms)
{
    (void)ctx;
    (void)fds;
    (void)cap;
    (void)timeout_ms;
    return 0;
}

static int count_served(void *ctx, const struct pollfd *fds, size_t n, struct pj_err *err)
{
    struct flood *f = ctx;

    (void)fds;
    (void)n;
    if (++f->served < 20)
        return 0;
    f->enough = true;
    return pj_fail(err, PJ_E_CANCELLED, "an order came");
}

/* The job has other duties: orders, the time, what the box writes to the disk. */
Test(gateway, an_agent_that_floods_it_does_not_keep_the_job_from_its_duties)
{
    static const char *const frames[] = {
        "{\"type\":\"log\",\"entry\":\"nothing\"}",
        "{\"type\":\"lines\",\"lines\":[]}",
    };

    (void)signal(SIGPIPE, SIG_IGN); /* the gateway hangs up while it talks */
    for (size_t i = 0; i < PJ_COUNT_OF(frames); i++) {
        PJ_CLEANUP(gateway_freep) struct gateway *gw = NULL;
        struct rig rig;
        struct flood f = {.rig = &rig, .frame = frames[i]};
        const struct pj_pump pump = {.ctx = &f, .want = want_nothing, .ready = count_served};
        pthread_t thread;

        rig_init(&rig, "openai", "http://127.0.0.1:1/v1");
        cr_assert_eq(gateway_open(&rig.config, &gw, &rig.err), 0, "%s", rig.err.message);
        cr_assert_eq(pthread_create(&thread, NULL, talk, &f), 0);
        cr_expect_lt(gateway_serve(gw, &pump, &rig.result, &rig.err), 0);
        cr_expect_eq(rig.err.cls, PJ_E_CANCELLED, "%s", rig.err.message);
        f.enough = true;
        gateway_freep(&gw);
        pthread_join(thread, NULL);
        cr_expect_not(f.gave_up, "the pump was served %d times in %d ms", f.served, FLOOD_LIMIT_MS);
        rig_release(&rig);
    }
}

/* Its answer and what is written down of it are as long as the task's text. */
Test(gateway, a_task_is_given_out_once)
{
    PJ_CLEANUP(gateway_freep) struct gateway *gw = NULL;
    struct rig rig;
    struct flood f = {.rig = &rig, .frame = "{\"type\":\"hello\"}"};
    pthread_t thread;

    (void)signal(SIGPIPE, SIG_IGN);
    rig_init(&rig, "openai", "http://127.0.0.1:1/v1");
    cr_assert_eq(gateway_open(&rig.config, &gw, &rig.err), 0, "%s", rig.err.message);
    cr_assert_eq(pthread_create(&thread, NULL, talk, &f), 0);
    cr_expect_lt(gateway_serve(gw, NULL, &rig.result, &rig.err), 0);
    cr_expect_eq(rig.err.cls, PJ_E_PROTOCOL, "%s", rig.err.message);
    cr_expect_str_eq(rig.err.code, "agent_lost");
    f.enough = true;
    gateway_freep(&gw);
    pthread_join(thread, NULL);
    rig_release(&rig);
}
