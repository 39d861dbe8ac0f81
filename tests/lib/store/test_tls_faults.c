/* rediss://: everything that can be wrong with certificates, ports and settings, and whether it is said. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/lib/store/tls_rig.h"

TestSuite(tls_faults, .init = rig_up, .fini = rig_down);

struct fault {
    const char *cert;    /* the server's */
    const char *clients; /* does it ask for ours? */
    const char *trusted; /* our CA file */
    const char *shown;   /* our certificate, NULL: rig_none */
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
    struct rig_answer a = {0};
    struct pj_cmd cmd = {0};
    struct redisReply *reply = NULL;
    struct pj_err err = {0};

    hasty.retry_ms = 1;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = rig_blocking(&hasty);
    pj_cmd_start(&cmd, "PING");
    cr_assert_lt(pj_redis_do(redis, &cmd, &reply, &err), 0, "%s", said);
    pj_cmd_release(&cmd);
    expect_text(err.message, said);
    expect_text(err.remedy, remedy);
    cr_expect_null(strstr(err.message, "s3cret"));

    hasty.command_ms = 1000;
    struct pj_aredis *r = rig_on_loop(&hasty);
    rig_submit(r, &a, "PING", NULL, rig_none);
    rig_run_until(&a.count, 1);
    expect_text(a.error, said);
    expect_text(pj_aredis_last_error(r), said);
    cr_expect_null(strstr(a.error, "s3cret"));
    cr_assert_not(pj_aredis_is_up(r));
    pj_aredis_free(r);
}

Test(tls_faults, faults_of_certificates_are_named)
{
    for (size_t i = 0; i < PJ_COUNT_OF(faults); i++) {
        const struct fault *f = &faults[i];
        PJ_CLEANUP(pj_freep)
        char *trusted = f->trusted ? test_redis_cert(&rig.server, f->trusted) : NULL;
        PJ_CLEANUP(pj_freep)
        char *cert = f->shown ? pj_asprintf("%s/%s.crt", rig.server.certs, f->shown) : NULL;
        PJ_CLEANUP(pj_freep)
        char *key = f->shown ? pj_asprintf("%s/%s.key", rig.server.certs, f->shown) : NULL;
        PJ_CLEANUP(pj_freep)
        char *login = pj_asprintf("rediss://:s3cret@127.0.0.1:%d", rig.server.tls_port);
        const struct pj_redis_options options = {
            .url = login, .tls = {.ca_file = trusted, .cert_file = cert, .key_file = key}};

        test_redis_tls(&rig.server, f->cert, f->clients);
        expect_fault(&options, f->said, f->remedy);
    }
}

Test(tls_faults, plain_and_encrypted_ports_mixed_up_are_named)
{
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *local = test_redis_connect(&rig.server);
    PJ_CLEANUP(pj_freep) char *port = pj_asprintf("%d", test_free_port());
    PJ_CLEANUP(pj_freep) char *plain = pj_asprintf("redis://127.0.0.1:%d", rig.server.tls_port);
    PJ_CLEANUP(pj_freep) char *wrapped = pj_asprintf("rediss://127.0.0.1:%s", port);
    struct pj_redis_options options = {.url = plain};

    expect_fault(&options, "the server", "rediss://"); /* closes, or answers with an alert */
    pj_reply_freep(
        &(struct redisReply *){test_redis_words(local, "CONFIG", "SET", "port", port, NULL)});
    options = rig_trusting();
    options.url = wrapped;
    options.connect_ms = 500;
    expect_fault(&options, "TLS", "TLS");
}

/* Somebody takes the connection and says nothing. */
Test(tls_faults, a_handshake_without_an_answer_ends_in_time)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = test_free_port();
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    PJ_CLEANUP(pj_freep) char *silent = pj_asprintf("rediss://127.0.0.1:%d", port);
    struct pj_redis_options options = rig_trusting();
    int64_t began = pj_mono_ms();

    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    cr_assert_eq(listen(fd, 50), 0);
    options.url = silent;
    options.connect_ms = 200;
    expect_fault(&options, "no answer to the TLS handshake in time", "TLS");
    cr_assert_lt(pj_mono_ms() - began, 10000);
    (void)close(fd);
}

Test(tls_faults, settings_that_cannot_work_are_refused_before_anything_runs)
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
        PJ_CLEANUP(pj_freep) char *a = bad[i].ca ? test_redis_cert(&rig.server, bad[i].ca) : NULL;
        PJ_CLEANUP(pj_freep)
        char *b = bad[i].cert ? test_redis_cert(&rig.server, bad[i].cert) : NULL;
        PJ_CLEANUP(pj_freep) char *c = bad[i].key ? test_redis_cert(&rig.server, bad[i].key) : NULL;
        const struct pj_redis_options options = {
            .url = bad[i].url, .tls = {.ca_file = a, .cert_file = b, .key_file = c}};
        struct pj_err err = {0};

        cr_expect_lt(pj_redis_check(&options, &err), 0, "%zu", i);
        cr_expect_eq(err.cls, PJ_E_INVALID);
        expect_text(err.message, bad[i].said);
        cr_expect_neq(err.remedy[0], '\0');
    }
}
