/* rediss://: commands, large values, subscriptions, cuts, restarts and pieces of records, on both kinds of connection. */
#include <event2/event.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "tests/lib/store/tls_rig.h"
#include "tests/support/localhost.h"

#define BIG ((size_t)3 << 20)

TestSuite(tls, .init = rig_up, .fini = rig_down);

static char *big_text(void)
{
    char *text = pj_alloc(BIG + 1, 1);

    for (size_t i = 0; i < BIG; i++)
        text[i] = (char)('a' + i * 7 % 26);
    return text;
}
Test(tls, blocking_commands_large_values_and_pipelines)
{
    const struct pj_redis_options options = rig_trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&options);
    PJ_CLEANUP(pj_freep) char *text = big_text();
    struct pj_cmd cmds[500] = {0};
    struct redisReply *replies[500];
    struct pj_err err = {0};

    pj_reply_freep(&(struct redisReply *){rig_ask(redis, "SET", "big", pj_view_n(text, BIG))});
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = rig_ask(redis, "GET", "big", rig_none);
    cr_assert_eq(pj_reply_view(reply).n, BIG);
    cr_assert_eq(memcmp(pj_reply_view(reply).p, text, BIG), 0);
    /* Answers of 500 commands come in few records: what TLS holds is not seen by poll(). */
    for (size_t i = 0; i < PJ_COUNT_OF(cmds); i++) {
        pj_cmd_start(&cmds[i], i % 50 ? "INCR" : "GET");
        pj_cmd_text(&cmds[i], i % 50 ? "n" : "big");
    }
    cr_assert_eq(pj_redis_pipeline(redis, cmds, PJ_COUNT_OF(cmds), replies, &err), 0, "%s",
                 err.message);
    cr_assert_eq(pj_reply_int(replies[499], 0), 490);
    for (size_t i = 0; i < PJ_COUNT_OF(cmds); i++) {
        if (i % 50 == 0)
            cr_assert_eq(pj_reply_view(replies[i]).n, BIG);
        pj_cmd_release(&cmds[i]);
        pj_reply_freep(&replies[i]);
    }
}

/* Session tickets make the socket readable although nothing was asked: that is no reason to connect anew. */
Test(tls, blocking_connection_is_kept_between_commands)
{
    const struct pj_redis_options options = rig_trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&options);
    int64_t id = rig_ask_number(redis, "CLIENT", "ID");

    for (int i = 0; i < 20; i++)
        cr_assert_eq(rig_ask_number(redis, "CLIENT", "ID"), id);
}

Test(tls, loop_answers_in_order_with_large_values_between)
{
    const struct pj_redis_options options = rig_trusting();
    struct pj_aredis *r = rig_on_loop(&options);
    PJ_CLEANUP(pj_freep) char *text = big_text();
    struct rig_answer set = {0}, a[400] = {{0}};

    rig_submit(r, &set, "SET", "big", pj_view_n(text, BIG));
    for (int i = 0; i < 400; i++)
        rig_submit(r, &a[i], i % 100 == 50 ? "GET" : "INCR", i % 100 == 50 ? "big" : "n", rig_none);
    rig_run_until(&a[399].count, 1);
    cr_assert_str_eq(set.error, "");
    cr_assert_eq(a[399].number, 396);
    for (int i = 50; i < 400; i += 100)
        cr_assert_eq(a[i].size, BIG);
    pj_aredis_free(r);
}

Test(tls, names_are_checked_as_well_as_addresses)
{
    PJ_CLEANUP(pj_freep)
    char *by_name = pj_asprintf("rediss://localhost:%d/3", rig.server.tls_port);
    struct pj_redis_options options = rig_trusting();

    if (!localhost_is_known())
        cr_skip_test(LOCALHOST_MISSING);
    options.url = by_name;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&options);
    cr_assert_eq(rig_ask_number(redis, "INCR", "n"), 1);
}

Test(tls, client_certificate_user_and_password)
{
    PJ_CLEANUP(pj_freep)
    char *login = pj_asprintf("rediss://pj:s%%40same@127.0.0.1:%d/2", rig.server.tls_port);
    PJ_CLEANUP(pj_freep) char *cert = test_redis_cert(&rig.server, "client.crt");
    PJ_CLEANUP(pj_freep) char *key = test_redis_cert(&rig.server, "client.key");
    struct pj_redis_options options = rig_trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *local = test_redis_connect(&rig.server);
    struct rig_answer a = {0};

    pj_reply_freep(&(struct redisReply *){test_redis_words(
        local, "ACL", "SETUSER", "pj", "on", ">s@same", "allcommands", "allkeys", NULL)});
    test_redis_tls(&rig.server, NULL, "yes");
    options.url = login;
    options.tls.cert_file = cert;
    options.tls.key_file = key;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&options);
    cr_assert_eq(rig_ask_number(redis, "INCR", "n"), 1);
    struct pj_aredis *r = rig_on_loop(&options);
    rig_submit(r, &a, "INCR", "n", rig_none);
    rig_run_until(&a.count, 1);
    cr_assert_eq(a.number, 2, "%s", a.error);
    pj_aredis_free(r);
}

/* ---- what happens in the course of time ---- */

Test(tls, comes_back_after_cut_connections_and_restarts)
{
    const struct pj_redis_options options = rig_trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&options);
    struct pj_redis_options patient = options;
    patient.command_ms = 20000;
    struct pj_aredis *r = rig_on_loop(&patient);

    for (int round = 0; round < 4; round++) {
        struct rig_answer a = {0};

        rig_submit(r, &a, "PING", NULL, rig_none);
        rig_run_until(&a.count, 1);
        cr_assert_str_eq(a.error, "");
        cr_assert_geq(rig_ask_number(redis, "INCR", "n"), 1);
        if (round % 2)
            test_redis_restart(&rig.server);
        else
            test_redis_cut(&rig.server);
    }
    pj_aredis_free(r);
}

struct heard {
    int confirmed, messages, lost, back;
    size_t size;
};

static void on_confirmed(void *arg)
{
    ((struct heard *)arg)->confirmed++;
}

static void on_message(void *arg, const char *channel, struct pj_view payload)
{
    (void)channel;
    ((struct heard *)arg)->messages++;
    ((struct heard *)arg)->size = payload.n;
}

static void on_lost(void *arg)
{
    ((struct heard *)arg)->lost++;
}

static void on_back(void *arg)
{
    ((struct heard *)arg)->back++;
}

Test(tls, subscriber_hears_bursts_and_comes_back)
{
    static const struct pj_sub_events events = {on_message, on_lost, on_back};
    const struct pj_redis_options options = rig_trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&options);
    PJ_CLEANUP(pj_freep) char *text = big_text();
    struct heard h = {0};
    struct pj_sub *sub = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_sub_new(rig.base, &options, &events, &h, &sub, &err), 0, "%s", err.message);
    pj_sub_add(sub, "a", on_confirmed, &h);
    rig_run_until(&h.confirmed, 1);
    for (int i = 0; i < 100; i++)
        pj_reply_freep(&(struct redisReply *){rig_ask(redis, "PUBLISH", "a", pj_view_of("x"))});
    pj_reply_freep(&(struct redisReply *){rig_ask(redis, "PUBLISH", "a", pj_view_n(text, BIG))});
    rig_run_until(&h.messages, 101);
    cr_assert_eq(h.size, BIG);
    test_redis_cut(&rig.server);
    rig_run_until(&h.back, 1);
    cr_assert_eq(h.lost, 1);
    pj_reply_freep(&(struct redisReply *){rig_ask(redis, "PUBLISH", "a", pj_view_of("x"))});
    rig_run_until(&h.messages, 102);
    pj_sub_free(sub);
}

/* A read that the server holds open on purpose ends with what it waited for, not with a time-out. */
Test(tls, a_held_read_wakes_up)
{
    const struct pj_redis_options options = rig_trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&options);
    struct pj_aredis *r = rig_on_loop(&options);
    struct rig_answer popped = {0}, up_now = {0};
    struct pj_cmd cmd = {0};

    rig_submit(r, &up_now, "PING", NULL, rig_none);
    rig_run_until(&up_now.count, 1);
    pj_cmd_start(&cmd, "BLPOP");
    pj_cmd_text(&cmd, "bell");
    pj_cmd_text(&cmd, "0");
    cmd.block_ms = 60000;
    pj_aredis_submit(r, &cmd, rig_on_answer, &popped);
    cr_assert_eq(event_base_loop(rig.base, EVLOOP_NONBLOCK), 0);
    pj_reply_freep(&(struct redisReply *){rig_ask(redis, "RPUSH", "bell", pj_view_of("ring"))});
    rig_run_until(&popped.count, 1);
    cr_assert_str_eq(popped.error, "");
    pj_aredis_free(r);
}

static void copy(const char *from, const char *to)
{
    PJ_CLEANUP(pj_freep) char *source = test_redis_cert(&rig.server, from);
    PJ_CLEANUP(pj_freep) char *target = test_redis_cert(&rig.server, to);
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_err err = {0};

    pj_str_init(&text, 1 << 16);
    cr_assert_eq(pj_fs_read(source, &text, &err), 0, "%s", err.message);
    cr_assert_eq(pj_fs_write_atomic(target, text.data, text.len, 0600, &err), 0, "%s", err.message);
}

/* Certificates are renewed while programs run; a file that is broken for an instant changes nothing. */
Test(tls, renewed_files_count_from_the_next_connection)
{
    PJ_CLEANUP(pj_freep) char *live = test_redis_cert(&rig.server, "live.crt");
    struct pj_redis_options options = rig_trusting();

    copy("ca.crt", "live.crt");
    options.tls.ca_file = live;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&options);
    cr_assert_eq(rig_ask_number(redis, "INCR", "n"), 1);
    copy("broken.crt", "live.crt");
    test_redis_cut(&rig.server);
    cr_assert_eq(rig_ask_number(redis, "INCR", "n"), 2);
    copy("other.crt", "live.crt");
    test_redis_tls(&rig.server, "stranger", "no");
    test_redis_cut(&rig.server);
    cr_assert_eq(rig_ask_number(redis, "INCR", "n"), 3);
}

/* ---- records in pieces ---- */

/* A relay that passes on three bytes at a time: heads of records, records and replies arrive in pieces. Ends with the test. */
static pid_t relay(int port, int to)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    pid_t pid;

    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    cr_assert_eq(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
    cr_assert_eq(listen(listener, 5), 0);
    pid = fork();
    if (pid == 0) {
        struct pollfd p[2];

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        addr.sin_port = htons((uint16_t)to);
        p[0] = (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
        p[1] = (struct pollfd){.fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN};
        if (connect(p[1].fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
            _exit(1);
        while (poll(p, 2, -1) > 0) {
            for (int i = 0; i < 2; i++) {
                char bytes[3];
                ssize_t n = p[i].revents ? read(p[i].fd, bytes, sizeof(bytes)) : -1;

                if (p[i].revents && (n <= 0 || write(p[!i].fd, bytes, (size_t)n) != n))
                    _exit(0);
            }
        }
        _exit(0);
    }
    (void)close(listener);
    return pid;
}

Test(tls, replies_in_pieces_are_put_together)
{
    const struct pj_redis_options direct = rig_trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *plain = rig_blocking(&direct);
    PJ_CLEANUP(pj_freep) char *text = big_text();

    pj_reply_freep(&(struct redisReply *){rig_ask(plain, "SET", "some", pj_view_n(text, 40000))});
    for (int kind = 0; kind < 2; kind++) {
        int port = test_free_port();
        pid_t pid = relay(port, rig.server.tls_port);
        PJ_CLEANUP(pj_freep) char *slow = pj_asprintf("rediss://127.0.0.1:%d", port);
        struct pj_redis_options options = rig_trusting();

        options.url = slow;
        options.connect_ms = options.command_ms = 20000;
        if (kind == 0) {
            PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&options);
            PJ_CLEANUP(pj_reply_freep)
            struct redisReply *reply = rig_ask(redis, "GET", "some", rig_none);

            cr_assert_eq(pj_reply_view(reply).n, 40000);
        } else {
            struct pj_aredis *r = rig_on_loop(&options);
            struct rig_answer a = {0};

            rig_submit(r, &a, "GET", "some", rig_none);
            rig_run_until(&a.count, 1);
            cr_assert_eq(a.size, 40000, "%s", a.error);
            pj_aredis_free(r);
        }
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
}
