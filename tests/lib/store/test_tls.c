/* rediss://: a Redis with TLS, certificates of our own, and everything that can be wrong with them, on both kinds of connection. */
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
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "tests/lib/store/fixture.h"
#include "tests/support/localhost.h"

#define BIG ((size_t)3 << 20)

static struct test_redis server;
static struct event_base *base;
static char *url, *ca;

static void up(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_redis_start_tls(&server, NULL);
    base = event_base_new();
    url = pj_asprintf("rediss://127.0.0.1:%d/0", server.tls_port);
    ca = test_redis_cert(&server, "ca.crt");
}

static void down(void)
{
    event_base_free(base);
    test_redis_stop(&server);
    free(url);
    free(ca);
}

TestSuite(tls, .init = up, .fini = down);

static struct pj_redis_options trusting(void)
{
    return (struct pj_redis_options){.url = url, .retry_ms = 20000, .tls = {.ca_file = ca}};
}

static struct pj_redis *blocking(const struct pj_redis_options *options)
{
    struct pj_redis *redis = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_redis_new(options, &redis, &err), 0, "%s: %s", err.message, err.remedy);
    return redis;
}

static struct pj_aredis *on_loop(const struct pj_redis_options *options)
{
    struct pj_aredis *redis = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_aredis_new(base, options, &redis, &err), 0, "%s", err.message);
    return redis;
}

/* One repeatable command over the blocking connection. */
static struct redisReply *ask(struct pj_redis *redis, const char *one, const char *two,
                              struct pj_view three)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    struct redisReply *reply = NULL;
    struct pj_err err = {0};

    pj_cmd_start(&cmd, one);
    if (two)
        pj_cmd_text(&cmd, two);
    if (three.p)
        pj_cmd_add(&cmd, three.p, three.n);
    cmd.repeatable = true;
    cr_assert_eq(pj_redis_do(redis, &cmd, &reply, &err), 0, "%s: %s", one, err.message);
    return reply;
}

static int64_t ask_number(struct pj_redis *redis, const char *one, const char *two)
{
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = ask(redis, one, two, pj_view_n(NULL, 0));

    return pj_reply_int(reply, -1);
}

struct answer {
    int count;
    int64_t number;
    size_t size;
    char error[1000];
};

static void on_answer(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct answer *a = arg;

    a->count++;
    a->number = pj_reply_int(reply, -1);
    a->size = pj_reply_view(reply).n;
    (void)snprintf(a->error, sizeof(a->error), "%s", reply ? "" : err->message);
}

static void submit(struct pj_aredis *r, struct answer *a, const char *one, const char *two,
                   struct pj_view three)
{
    struct pj_cmd cmd = {0};

    pj_cmd_start(&cmd, one);
    if (two)
        pj_cmd_text(&cmd, two);
    if (three.p)
        pj_cmd_add(&cmd, three.p, three.n);
    cmd.repeatable = true;
    pj_aredis_submit(r, &cmd, on_answer, a);
}

static void run_until(const int *count, int want)
{
    while (*count < want)
        cr_assert_eq(event_base_loop(base, EVLOOP_ONCE), 0);
}

static const struct pj_view none = {0};

static char *big_text(void)
{
    char *text = pj_alloc(BIG + 1, 1);

    for (size_t i = 0; i < BIG; i++)
        text[i] = (char)('a' + i * 7 % 26);
    return text;
}

Test(tls, blocking_commands_large_values_and_pipelines)
{
    const struct pj_redis_options options = trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = blocking(&options);
    PJ_CLEANUP(pj_freep) char *text = big_text();
    struct pj_cmd cmds[500] = {0};
    struct redisReply *replies[500];
    struct pj_err err = {0};

    pj_reply_freep(&(struct redisReply *){ask(redis, "SET", "big", pj_view_n(text, BIG))});
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = ask(redis, "GET", "big", none);
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
    const struct pj_redis_options options = trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = blocking(&options);
    int64_t id = ask_number(redis, "CLIENT", "ID");

    for (int i = 0; i < 20; i++)
        cr_assert_eq(ask_number(redis, "CLIENT", "ID"), id);
}

Test(tls, loop_answers_in_order_with_large_values_between)
{
    const struct pj_redis_options options = trusting();
    struct pj_aredis *r = on_loop(&options);
    PJ_CLEANUP(pj_freep) char *text = big_text();
    struct answer set = {0}, a[400] = {{0}};

    submit(r, &set, "SET", "big", pj_view_n(text, BIG));
    for (int i = 0; i < 400; i++)
        submit(r, &a[i], i % 100 == 50 ? "GET" : "INCR", i % 100 == 50 ? "big" : "n", none);
    run_until(&a[399].count, 1);
    cr_assert_str_eq(set.error, "");
    cr_assert_eq(a[399].number, 396);
    for (int i = 50; i < 400; i += 100)
        cr_assert_eq(a[i].size, BIG);
    pj_aredis_free(r);
}

Test(tls, names_are_checked_as_well_as_addresses)
{
    PJ_CLEANUP(pj_freep)
    char *by_name = pj_asprintf("rediss://localhost:%d/3", server.tls_port);
    struct pj_redis_options options = trusting();

    if (!localhost_is_known())
        cr_skip_test(LOCALHOST_MISSING);
    options.url = by_name;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = blocking(&options);
    cr_assert_eq(ask_number(redis, "INCR", "n"), 1);
}

Test(tls, client_certificate_user_and_password)
{
    PJ_CLEANUP(pj_freep)
    char *login = pj_asprintf("rediss://pj:s%%40same@127.0.0.1:%d/2", server.tls_port);
    PJ_CLEANUP(pj_freep) char *cert = test_redis_cert(&server, "client.crt");
    PJ_CLEANUP(pj_freep) char *key = test_redis_cert(&server, "client.key");
    struct pj_redis_options options = trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *local = test_redis_connect(&server);
    struct answer a = {0};

    pj_reply_freep(&(struct redisReply *){test_redis_words(
        local, "ACL", "SETUSER", "pj", "on", ">s@same", "allcommands", "allkeys", NULL)});
    test_redis_tls(&server, NULL, "yes");
    options.url = login;
    options.tls.cert_file = cert;
    options.tls.key_file = key;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = blocking(&options);
    cr_assert_eq(ask_number(redis, "INCR", "n"), 1);
    struct pj_aredis *r = on_loop(&options);
    submit(r, &a, "INCR", "n", none);
    run_until(&a.count, 1);
    cr_assert_eq(a.number, 2, "%s", a.error);
    pj_aredis_free(r);
}

/* ---- what can be wrong ---- */

struct fault {
    const char *cert;    /* the server's */
    const char *clients; /* does it ask for ours? */
    const char *trusted; /* our CA file */
    const char *shown;   /* our certificate, NULL: none */
    const char *said, *remedy;
};

static const struct fault faults[] = {
    {"server", "no", "other.crt", NULL, "signed by nobody whom PJ_REDIS_CA_FILE trusts",
     "PJ_REDIS_CA_FILE"},
    {"stranger", "no", "ca.crt", NULL, "signed by nobody whom PJ_REDIS_CA_FILE trusts",
     "PJ_REDIS_CA_FILE"},
    {"server", "no", NULL, NULL, "signed by nobody whom this system trusts", "PJ_REDIS_CA_FILE"},
    {"named", "no", "ca.crt", NULL, "not for 127.0.0.1 but for redis.example.com", "127.0.0.1"},
    {"expired", "no", "ca.crt", NULL, "expired on 20", "Renew"},
    {"server", "yes", "ca.crt", NULL, "wants a client certificate", "PJ_REDIS_CERT_FILE"},
    {"server", "yes", "ca.crt", "visitor", "refuses the client certificate", "PJ_REDIS_CERT_FILE"},
};

static void expect_text(const char *text, const char *part)
{
    cr_expect_not_null(strstr(text, part), "wanted \"%s\" in: %s", part, text);
}

/* Both connections must tell the reason. */
static void expect_fault(const struct pj_redis_options *options, const char *said,
                         const char *remedy)
{
    struct pj_redis_options hasty = *options;
    struct answer a = {0};
    struct pj_cmd cmd = {0};
    struct redisReply *reply = NULL;
    struct pj_err err = {0};

    hasty.retry_ms = 1;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = blocking(&hasty);
    pj_cmd_start(&cmd, "PING");
    cr_assert_lt(pj_redis_do(redis, &cmd, &reply, &err), 0, "%s", said);
    pj_cmd_release(&cmd);
    expect_text(err.message, said);
    expect_text(err.remedy, remedy);
    cr_expect_null(strstr(err.message, "s3cret"));

    hasty.command_ms = 1000;
    struct pj_aredis *r = on_loop(&hasty);
    submit(r, &a, "PING", NULL, none);
    run_until(&a.count, 1);
    expect_text(a.error, said);
    expect_text(pj_aredis_last_error(r), said);
    cr_expect_null(strstr(a.error, "s3cret"));
    cr_assert_not(pj_aredis_is_up(r));
    pj_aredis_free(r);
}

Test(tls, faults_of_certificates_are_named)
{
    for (size_t i = 0; i < PJ_COUNT_OF(faults); i++) {
        const struct fault *f = &faults[i];
        PJ_CLEANUP(pj_freep)
        char *trusted = f->trusted ? test_redis_cert(&server, f->trusted) : NULL;
        PJ_CLEANUP(pj_freep)
        char *cert = f->shown ? pj_asprintf("%s/%s.crt", server.certs, f->shown) : NULL;
        PJ_CLEANUP(pj_freep)
        char *key = f->shown ? pj_asprintf("%s/%s.key", server.certs, f->shown) : NULL;
        PJ_CLEANUP(pj_freep)
        char *login = pj_asprintf("rediss://:s3cret@127.0.0.1:%d", server.tls_port);
        const struct pj_redis_options options = {
            .url = login, .tls = {.ca_file = trusted, .cert_file = cert, .key_file = key}};

        test_redis_tls(&server, f->cert, f->clients);
        expect_fault(&options, f->said, f->remedy);
    }
}

Test(tls, plain_and_encrypted_ports_mixed_up_are_named)
{
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *local = test_redis_connect(&server);
    PJ_CLEANUP(pj_freep) char *port = pj_asprintf("%d", test_free_port());
    PJ_CLEANUP(pj_freep) char *plain = pj_asprintf("redis://127.0.0.1:%d", server.tls_port);
    PJ_CLEANUP(pj_freep) char *wrapped = pj_asprintf("rediss://127.0.0.1:%s", port);
    struct pj_redis_options options = {.url = plain};

    expect_fault(&options, "the server", "rediss://"); /* closes, or answers with an alert */
    pj_reply_freep(
        &(struct redisReply *){test_redis_words(local, "CONFIG", "SET", "port", port, NULL)});
    options = trusting();
    options.url = wrapped;
    options.connect_ms = 500;
    expect_fault(&options, "TLS", "TLS");
}

/* Somebody takes the connection and says nothing. */
Test(tls, a_handshake_without_an_answer_ends_in_time)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = test_free_port();
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    PJ_CLEANUP(pj_freep) char *silent = pj_asprintf("rediss://127.0.0.1:%d", port);
    struct pj_redis_options options = trusting();
    int64_t began = pj_mono_ms();

    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    cr_assert_eq(listen(fd, 50), 0);
    options.url = silent;
    options.connect_ms = 200;
    expect_fault(&options, "no answer to the TLS handshake in time", "TLS");
    cr_assert_lt(pj_mono_ms() - began, 10000);
    (void)close(fd);
}

Test(tls, settings_that_cannot_work_are_refused_before_anything_runs)
{
    static const struct {
        const char *url, *ca, *cert, *key, *said;
    } bad[] = {
        {"rediss://h", "missing.crt", NULL, NULL, "PJ_REDIS_CA_FILE"},
        {"rediss://h", "broken.crt", NULL, NULL, "PJ_REDIS_CA_FILE"},
        {"rediss://h", "ca.crt", "client.crt", NULL, "PJ_REDIS_KEY_FILE"},
        {"rediss://h", "ca.crt", NULL, "client.key", "PJ_REDIS_CERT_FILE"},
        {"rediss://h", "ca.crt", "broken.crt", "client.key", "PJ_REDIS_CERT_FILE"},
        {"rediss://h", "ca.crt", "client.crt", "visitor.key", "PJ_REDIS_KEY_FILE"},
        {"rediss://h", "ca.crt", "client.crt", "locked.key", "PJ_REDIS_KEY_FILE"},
        {"redis://h", "ca.crt", NULL, NULL, "PJ_REDIS_CA_FILE"},
        {"redis-sentinel://h/m", NULL, "client.crt", "client.key", "PJ_REDIS_CERT_FILE"},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(bad); i++) {
        PJ_CLEANUP(pj_freep) char *a = bad[i].ca ? test_redis_cert(&server, bad[i].ca) : NULL;
        PJ_CLEANUP(pj_freep) char *b = bad[i].cert ? test_redis_cert(&server, bad[i].cert) : NULL;
        PJ_CLEANUP(pj_freep) char *c = bad[i].key ? test_redis_cert(&server, bad[i].key) : NULL;
        const struct pj_redis_options options = {
            .url = bad[i].url, .tls = {.ca_file = a, .cert_file = b, .key_file = c}};
        struct pj_err err = {0};

        cr_expect_lt(pj_redis_check(&options, &err), 0, "%zu", i);
        cr_expect_eq(err.cls, PJ_E_INVALID);
        expect_text(err.message, bad[i].said);
        cr_expect_neq(err.remedy[0], '\0');
    }
}

/* ---- what happens in the course of time ---- */

Test(tls, comes_back_after_cut_connections_and_restarts)
{
    const struct pj_redis_options options = trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = blocking(&options);
    struct pj_redis_options patient = options;
    patient.command_ms = 20000;
    struct pj_aredis *r = on_loop(&patient);

    for (int round = 0; round < 4; round++) {
        struct answer a = {0};

        submit(r, &a, "PING", NULL, none);
        run_until(&a.count, 1);
        cr_assert_str_eq(a.error, "");
        cr_assert_geq(ask_number(redis, "INCR", "n"), 1);
        if (round % 2)
            test_redis_restart(&server);
        else
            test_redis_cut(&server);
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
    const struct pj_redis_options options = trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = blocking(&options);
    PJ_CLEANUP(pj_freep) char *text = big_text();
    struct heard h = {0};
    struct pj_sub *sub = NULL;
    struct pj_err err = {0};

    cr_assert_eq(pj_sub_new(base, &options, &events, &h, &sub, &err), 0, "%s", err.message);
    pj_sub_add(sub, "a", on_confirmed, &h);
    run_until(&h.confirmed, 1);
    for (int i = 0; i < 100; i++)
        pj_reply_freep(&(struct redisReply *){ask(redis, "PUBLISH", "a", pj_view_of("x"))});
    pj_reply_freep(&(struct redisReply *){ask(redis, "PUBLISH", "a", pj_view_n(text, BIG))});
    run_until(&h.messages, 101);
    cr_assert_eq(h.size, BIG);
    test_redis_cut(&server);
    run_until(&h.back, 1);
    cr_assert_eq(h.lost, 1);
    pj_reply_freep(&(struct redisReply *){ask(redis, "PUBLISH", "a", pj_view_of("x"))});
    run_until(&h.messages, 102);
    pj_sub_free(sub);
}

/* A read that the server holds open on purpose ends with what it waited for, not with a time-out. */
Test(tls, a_held_read_wakes_up)
{
    const struct pj_redis_options options = trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = blocking(&options);
    struct pj_aredis *r = on_loop(&options);
    struct answer popped = {0}, up_now = {0};
    struct pj_cmd cmd = {0};

    submit(r, &up_now, "PING", NULL, none);
    run_until(&up_now.count, 1);
    pj_cmd_start(&cmd, "BLPOP");
    pj_cmd_text(&cmd, "bell");
    pj_cmd_text(&cmd, "0");
    cmd.block_ms = 60000;
    pj_aredis_submit(r, &cmd, on_answer, &popped);
    cr_assert_eq(event_base_loop(base, EVLOOP_NONBLOCK), 0);
    pj_reply_freep(&(struct redisReply *){ask(redis, "RPUSH", "bell", pj_view_of("ring"))});
    run_until(&popped.count, 1);
    cr_assert_str_eq(popped.error, "");
    pj_aredis_free(r);
}

static void copy(const char *from, const char *to)
{
    PJ_CLEANUP(pj_freep) char *source = test_redis_cert(&server, from);
    PJ_CLEANUP(pj_freep) char *target = test_redis_cert(&server, to);
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_err err = {0};

    pj_str_init(&text, 1 << 16);
    cr_assert_eq(pj_fs_read(source, &text, &err), 0, "%s", err.message);
    cr_assert_eq(pj_fs_write_atomic(target, text.data, text.len, 0600, &err), 0, "%s", err.message);
}

/* Certificates are renewed while programs run; a file that is broken for an instant changes nothing. */
Test(tls, renewed_files_count_from_the_next_connection)
{
    PJ_CLEANUP(pj_freep) char *live = test_redis_cert(&server, "live.crt");
    struct pj_redis_options options = trusting();

    copy("ca.crt", "live.crt");
    options.tls.ca_file = live;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = blocking(&options);
    cr_assert_eq(ask_number(redis, "INCR", "n"), 1);
    copy("broken.crt", "live.crt");
    test_redis_cut(&server);
    cr_assert_eq(ask_number(redis, "INCR", "n"), 2);
    copy("other.crt", "live.crt");
    test_redis_tls(&server, "stranger", "no");
    test_redis_cut(&server);
    cr_assert_eq(ask_number(redis, "INCR", "n"), 3);
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
    const struct pj_redis_options direct = trusting();
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *plain = blocking(&direct);
    PJ_CLEANUP(pj_freep) char *text = big_text();

    pj_reply_freep(&(struct redisReply *){ask(plain, "SET", "some", pj_view_n(text, 40000))});
    for (int kind = 0; kind < 2; kind++) {
        int port = test_free_port();
        pid_t pid = relay(port, server.tls_port);
        PJ_CLEANUP(pj_freep) char *slow = pj_asprintf("rediss://127.0.0.1:%d", port);
        struct pj_redis_options options = trusting();

        options.url = slow;
        options.connect_ms = options.command_ms = 20000;
        if (kind == 0) {
            PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = blocking(&options);
            PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = ask(redis, "GET", "some", none);

            cr_assert_eq(pj_reply_view(reply).n, 40000);
        } else {
            struct pj_aredis *r = on_loop(&options);
            struct answer a = {0};

            submit(r, &a, "GET", "some", none);
            run_until(&a.count, 1);
            cr_assert_eq(a.size, 40000, "%s", a.error);
            pj_aredis_free(r);
        }
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
}
