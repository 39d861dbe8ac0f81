/* Names: what a name server that is silent, slow or says something new does to those who connect, and to those beside them. */
#include <arpa/inet.h>
#include <dirent.h>
#include <event2/event.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/store/lookup.h"
#include "tests/lib/store/tls_rig.h"
#include "tests/support/name_server.h"

#define SOON_MS 60000
#define NAME "redis.example.com" /* the certificate `named` is for it */

__attribute__((constructor)) static void before_main(void)
{
    name_server_become_root();
}

static struct name_server ns;

static void up(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    name_server_start(&ns);
}

static void up_with_redis(void)
{
    up();
    rig_up();
    test_redis_tls(&rig.server, "named", "no");
}

static void down(void)
{
    name_server_stop(&ns);
}

static void down_with_redis(void)
{
    rig_down();
    down();
}

TestSuite(lookup, .init = up, .fini = down);
TestSuite(names, .init = up_with_redis, .fini = down_with_redis);

/* Threads of this process that look something up. */
static size_t count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *e;
    size_t n = 0;

    cr_assert_not_null(tasks);
    while ((e = readdir(tasks))) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/self/task/%s/comm", e->d_name);
        FILE *f = fopen(path, "re");
        char name[32] = "";

        if (!f)
            continue;
        n += fgets(name, sizeof(name), f) && strcmp(name, "pj-lookup\n") == 0;
        (void)fclose(f);
    }
    (void)closedir(tasks);
    return n;
}

/* 1 or -1, when it is answered; `text` gets the first address. */
static int finish(struct pj_lookup *lookup, char text[64], struct pj_err *err)
{
    const struct addrinfo *found = NULL;
    int rc;

    while ((rc = pj_lookup_take(lookup, &found, err)) == 0) {
        struct pollfd p = {.fd = pj_lookup_fd(lookup), .events = POLLIN};

        cr_assert_gt(poll(&p, 1, SOON_MS), 0, "no answer");
    }
    if (rc == 1)
        cr_assert_eq(
            getnameinfo(found->ai_addr, found->ai_addrlen, text, 64, NULL, 0, NI_NUMERICHOST), 0);
    return rc;
}

Test(lookup, numeric_addresses_need_no_thread_and_no_server)
{
    static const char *const numeric[] = {"127.0.0.1", "::1", "10.1.2.3"};

    for (size_t i = 0; i < PJ_COUNT_OF(numeric); i++) {
        struct pj_lookup *lookup = pj_lookup_new(numeric[i], 6379);
        char text[64];
        struct pj_err err;

        cr_expect_eq(pj_lookup_fd(lookup), -1);
        cr_expect_eq(finish(lookup, text, &err), 1);
        cr_expect_str_eq(text, numeric[i]);
        pj_lookup_free(lookup);
    }
    cr_expect_eq(count_threads(), 0);
    cr_expect_eq(name_server_asked(&ns, 0), 0);
}

Test(lookup, what_the_server_says_is_found_and_what_it_denies_is_told)
{
    struct pj_lookup *lookup;
    struct pj_err err = {0};
    char text[64];

    name_server_say(&ns, "127.0.0.7");
    lookup = pj_lookup_new(NAME, 6379);
    cr_expect_eq(finish(lookup, text, &err), 1, "%s", err.message);
    cr_expect_str_eq(text, "127.0.0.7");
    pj_lookup_free(lookup);
    lookup = pj_lookup_new("no..name", 6379); /* is refused unasked */
    cr_expect_eq(finish(lookup, text, &err), -1);
    cr_expect_eq(err.cls, PJ_E_UNAVAILABLE);
    cr_expect_not_null(strstr(err.message, "cannot look up no..name: "), "%s", err.message);
    pj_lookup_free(lookup);
}

Test(lookup, hundred_that_ask_for_one_name_ask_once)
{
    struct pj_lookup *lookups[100];
    struct pj_err err = {0};

    for (size_t i = 0; i < PJ_COUNT_OF(lookups); i++)
        lookups[i] = pj_lookup_new(NAME, 6379);
    cr_expect_gt(name_server_asked(&ns, SOON_MS), 0);
    cr_expect_eq(count_threads(), 1);
    name_server_say(&ns, "127.0.0.7");
    for (size_t i = 0; i < PJ_COUNT_OF(lookups); i++) {
        char text[64];

        cr_expect_eq(finish(lookups[i], text, &err), 1, "%s", err.message);
        cr_expect_str_eq(text, "127.0.0.7");
        pj_lookup_free(lookups[i]);
    }
    /* A and AAAA, and the same again after a second; never a hundred. */
    cr_expect_leq(name_server_asked(&ns, 0), 8);
}

/* Until no thread is left: those that nobody waits for end as well, as soon as the server answers. */
static void await_no_thread(void)
{
    int64_t until = pj_mono_ms() + SOON_MS;

    while (count_threads() > 0 && pj_mono_ms() < until)
        (void)poll(NULL, 0, 20);
    cr_expect_eq(count_threads(), 0);
}

Test(lookup, names_that_hang_are_bounded_in_threads_and_let_go_of_at_any_time)
{
    struct pj_lookup *lookups[100];

    for (size_t i = 0; i < PJ_COUNT_OF(lookups); i++) {
        PJ_CLEANUP(pj_freep) char *name = pj_asprintf("h%zu.example.com", i);

        lookups[i] = pj_lookup_new(name, 6379);
    }
    cr_expect_gt(name_server_asked(&ns, SOON_MS), 0);
    cr_expect_leq(count_threads(), PJ_LOOKUP_THREADS);
    for (size_t i = 0; i < PJ_COUNT_OF(lookups); i += 2)
        pj_lookup_free(lookups[i]);
    name_server_say(&ns, "127.0.0.7");
    for (size_t i = 1; i < PJ_COUNT_OF(lookups); i += 2) {
        struct pj_err err = {0};
        char text[64];

        cr_expect_eq(finish(lookups[i], text, &err), 1, "%zu: %s", i, err.message);
        pj_lookup_free(lookups[i]);
    }
    await_no_thread();
}

Test(lookup, an_answer_too_late_for_one_is_there_for_the_next)
{
    struct pj_lookup *lookup = pj_lookup_new(NAME, 6379);
    struct pj_err err = {0};
    char text[64];

    cr_expect_gt(name_server_asked(&ns, SOON_MS), 0);
    pj_lookup_free(lookup);
    name_server_say(&ns, "127.0.0.7");
    await_no_thread();
    (void)name_server_asked(&ns, 0);
    name_server_say(&ns, NULL);
    lookup = pj_lookup_new(NAME, 6379);
    cr_expect_eq(pj_lookup_fd(lookup), -1);
    cr_expect_eq(finish(lookup, text, &err), 1, "%s", err.message);
    cr_expect_str_eq(text, "127.0.0.7");
    pj_lookup_free(lookup);
    cr_expect_eq(name_server_asked(&ns, 0), 0);
    lookup = pj_lookup_new(NAME, 6379); /* but for one only: it may have moved */
    cr_expect_geq(pj_lookup_fd(lookup), 0);
    pj_lookup_free(lookup);
}

/* A child has the lock and the list, but not the thread that was at work. */
Test(lookup, a_forked_child_looks_up_anew)
{
    struct pj_lookup *lookup = pj_lookup_new(NAME, 6379);
    int status = -1;
    pid_t pid;

    cr_expect_gt(name_server_asked(&ns, SOON_MS), 0);
    name_server_say(&ns, "127.0.0.7");
    pid = fork();
    if (pid == 0) {
        struct pj_lookup *own = pj_lookup_new(NAME, 6379);
        struct pj_err err;
        char text[64];

        _exit(finish(own, text, &err) == 1 && strcmp(text, "127.0.0.7") == 0 ? 0 : 1);
    }
    (void)waitpid(pid, &status, 0);
    cr_expect_eq(status, 0);
    pj_lookup_free(lookup);
}

/* ---- whoever connects ---- */

static struct pj_redis_options by_name(char **url)
{
    struct pj_redis_options options = rig_trusting();

    *url = pj_asprintf("rediss://" NAME ":%d/0", rig.server.tls_port);
    options.url = *url;
    return options;
}

Test(names, blocking_connection_waits_for_a_name_as_long_as_it_may)
{
    PJ_CLEANUP(pj_freep) char *url = NULL;
    struct pj_redis_options options = by_name(&url);
    int64_t began = pj_mono_ms();
    struct pj_err err = {0};

    options.connect_ms = 300;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&options);
    cr_expect_eq(pj_redis_connect(redis, &err), -1);
    cr_expect_lt(pj_mono_ms() - began, 10000, "the resolver alone would take fifteen seconds");
    cr_expect_not_null(strstr(err.message, "the look-up of its name"), "%s", err.message);
    cr_expect_not_null(strstr(err.remedy, "getent hosts " NAME), "%s", err.remedy);
    name_server_say(&ns, "127.0.0.1");
    cr_expect_geq(rig_ask_number(redis, "DBSIZE", NULL), 0);
}

/* A beat of the loop, and the longest time between two: fifteen seconds, were it the loop that looks up. */
struct beat {
    struct event *timer;
    int64_t last_us, longest_us;
};

static void on_beat(evutil_socket_t fd, short what, void *arg)
{
    struct beat *b = arg;
    int64_t now = pj_mono_us();

    (void)fd;
    (void)what;
    if (b->last_us && now - b->last_us > b->longest_us)
        b->longest_us = now - b->last_us;
    b->last_us = now;
}

static void run_until_error(struct pj_aredis *r, const char *part)
{
    int64_t until = pj_mono_ms() + SOON_MS;

    while (!strstr(pj_aredis_last_error(r), part)) {
        cr_assert_lt(pj_mono_ms(), until, "never said %s but %s", part, pj_aredis_last_error(r));
        cr_assert_eq(event_base_loop(rig.base, EVLOOP_ONCE), 0);
    }
}

Test(names, loop_goes_on_while_the_name_server_is_silent_and_follows_the_name)
{
    static const struct timeval often = {.tv_usec = 10000};
    PJ_CLEANUP(pj_freep) char *url = NULL;
    struct pj_redis_options options = by_name(&url);
    struct beat beat = {0};
    struct rig_answer a = {0};
    struct pj_aredis *r;

    PJ_CLEANUP(pj_redis_freep) struct pj_redis *local = test_redis_connect(&rig.server);
    options.connect_ms = 400;
    options.command_ms = SOON_MS;
    r = rig_on_loop(&options);
    beat.timer = event_new(rig.base, -1, EV_PERSIST, on_beat, &beat);
    (void)event_add(beat.timer, &often);
    run_until_error(r, "the look-up of its name has no answer in time");
    cr_expect_gt(name_server_asked(&ns, 0), 0);
    cr_expect_lt(beat.longest_us, 3000000, "the loop stood still for %lld us",
                 (long long)beat.longest_us);

    name_server_say(&ns, "127.0.0.1");
    rig_submit(r, &a, "DBSIZE", NULL, rig_none);
    rig_run_until(&a.count, 1);
    cr_expect_str_empty(a.error);

    /* The server moves while nobody says where to, and is found there. */
    name_server_say(&ns, NULL);
    pj_reply_freep(&(struct redisReply *){
        test_redis_words(local, "CONFIG", "SET", "bind", "127.0.0.2", NULL)});
    test_redis_cut(&rig.server);
    run_until_error(r, "the look-up of its name has no answer in time");
    name_server_say(&ns, "127.0.0.2");
    rig_submit(r, &a, "INCR", "n", rig_none);
    rig_run_until(&a.count, 2);
    cr_expect_str_empty(a.error);
    cr_expect_eq(a.number, 1);
    cr_expect_lt(beat.longest_us, 3000000, "the loop stood still for %lld us",
                 (long long)beat.longest_us);
    event_free(beat.timer);
    pj_aredis_free(r);
}

Test(names, connection_may_be_given_up_while_its_name_is_looked_up)
{
    PJ_CLEANUP(pj_freep) char *url = NULL;
    struct pj_redis_options options = by_name(&url);
    struct pj_aredis *first = rig_on_loop(&options);

    cr_assert_eq(event_base_loop(rig.base, EVLOOP_ONCE), 0);
    cr_expect_gt(name_server_asked(&ns, SOON_MS), 0);
    for (int i = 0; i < 20; i++) {
        struct pj_aredis *r = rig_on_loop(&options);

        cr_assert_eq(event_base_loop(rig.base, EVLOOP_ONCE), 0);
        pj_aredis_free(r);
    }
    cr_expect_eq(count_threads(), 1);
    pj_aredis_free(first);
    name_server_say(&ns, "127.0.0.1");
    await_no_thread();
}
