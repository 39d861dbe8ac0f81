/* Redis under TLS, seen by the programs: rediss:// from start to pull, cuts and restarts in between, and what they say when it cannot be. */
#include <signal.h>
#include "tests/scenarios/scene.h"

static const struct model_answer gated[] = {
    {.trouble = MODEL_GATE,
     .text = "I write.",
     .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
    SCENE_FINISH,
};
static const struct model_answer write_and_finish[] = {SCENE_WRITE("new.txt", "made\\n"),
                                                       SCENE_FINISH};

/* The world's Redis gives way to one with TLS. */
static void use_tls(struct scene *s, const char *appendfsync)
{
    PJ_CLEANUP(pj_freep) char *url = NULL;
    PJ_CLEANUP(pj_freep) char *ca = NULL;

    test_redis_stop(&s->w.redis);
    test_redis_start_tls(&s->w.redis, appendfsync);
    url = pj_asprintf("rediss://127.0.0.1:%d/0", s->w.redis.tls_port);
    ca = test_redis_cert(&s->w.redis, "ca.crt");
    world_set(&s->w, "PJ_REDIS_URL", url);
    world_set(&s->w, "PJ_REDIS_CA_FILE", ca);
}

/* And to one that also wants a client certificate, a user and a password. */
static void prepare(struct scene *s, const struct model_answer *answers, size_t count)
{
    PJ_CLEANUP(pj_freep) char *url = NULL;
    PJ_CLEANUP(pj_freep) char *cert = NULL;
    PJ_CLEANUP(pj_freep) char *key = NULL;
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *local = NULL;

    scene_prepare(s, answers, count);
    use_tls(s, NULL);
    local = test_redis_connect(&s->w.redis);
    pj_reply_freep(
        &(struct redisReply *){test_redis_words(local, "ACL", "SETUSER", "pj", "on", ">open-sesame",
                                                "allcommands", "~pj:*", "&pj:*", NULL)});
    test_redis_tls(&s->w.redis, NULL, "yes");
    url = pj_asprintf("rediss://pj:@127.0.0.1:%d/0", s->w.redis.tls_port);
    cert = test_redis_cert(&s->w.redis, "client.crt");
    key = test_redis_cert(&s->w.redis, "client.key");
    world_set(&s->w, "PJ_REDIS_URL", url);
    world_set(&s->w, "PJ_REDIS_PASSWORD", "open-sesame");
    world_set(&s->w, "PJ_REDIS_CERT_FILE", cert);
    world_set(&s->w, "PJ_REDIS_KEY_FILE", key);
}

/* How many connections of ours are there? Over the Unix socket: the one that asks is not counted. */
static size_t connections(struct scene *s)
{
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *local = test_redis_connect(&s->w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply = test_redis_words(local, "CLIENT", "LIST", NULL);
    const char *text = pj_reply_view(reply).p;
    size_t n = 0;

    while ((text = strstr(text, " name=pj-")) != NULL) {
        n++;
        text++;
    }
    return n;
}

Test(redis_tls, task_runs_from_start_to_end_and_its_log_streams)
{
    struct scene s;

    prepare(&s, write_and_finish, PJ_COUNT_OF(write_and_finish));
    scene_open(&s, "");
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed")); /* follows the stream */
    cr_expect(world_log_has(&s.w, task, "new.txt"));
    cr_expect_geq(connections(&s), 4, "the programs are on that Redis");
    char *logs = world_logs(&s.w);
    cr_expect_null(strstr(logs, "open-sesame"), "the password stands in a log");
    free(logs);
    free(task);
    scene_stop(&s);
}

Test(redis_tls, task_outlives_cut_connections_and_a_restart_of_redis)
{
    struct scene s;

    scene_prepare(&s, gated, PJ_COUNT_OF(gated));
    use_tls(&s, "always");
    scene_open(&s, "");
    char *task = scene_run(&s, "Write a file");
    cr_assert(model_server_wait(s.model, 1, WORLD_SOON));
    test_redis_cut(&s.w.redis);
    test_redis_restart(&s.w.redis);
    test_redis_cut(&s.w.redis);
    model_server_release(s.model);
    json_t *end = world_wait_status(&s.w, task, "completed");
    cr_expect_eq(pj_json_i64(end, "attempt", 0), 1, "it was not begun anew");
    json_decref(end);
    free(task);
    scene_stop(&s);
}

/* Certificates expire while everything runs: the log names that, and after the renewal all is well by itself. */
Test(redis_tls, certificate_that_expires_is_named_and_its_renewal_heals)
{
    struct scene s;

    scene_prepare(&s, write_and_finish, PJ_COUNT_OF(write_and_finish));
    use_tls(&s, NULL);
    scene_open(&s, "");
    test_redis_tls(&s.w.redis, "expired", "no");
    test_redis_cut(&s.w.redis);
    cr_expect(program_wait_log(&s.w.api, "expired on 20", WORLD_SOON));
    cr_expect(program_wait_log(&s.w.runner[0], "expired on 20", WORLD_SOON));
    test_redis_tls(&s.w.redis, "server", "no");
    cr_expect(program_wait_log(&s.w.api, "redis_reached", WORLD_SOON));
    cr_expect(program_wait_log(&s.w.runner[0], "redis_reached", WORLD_SOON));
    char *task = scene_run(&s, "Write a file");
    json_decref(world_wait_status(&s.w, task, "completed"));
    free(task);
    scene_stop(&s);
}

static void expect_said(struct scene *s, const char *program, const char *const *args, int want,
                        const char *said, const char *remedy)
{
    char *out, *err;
    int code = program_run(program, args, s->w.env, s->w.dir, NULL, &out, &err);

    cr_expect_eq(code, want, "%s: exit %d: %s%s", program, code, out, err);
    cr_expect(strstr(err, said) || strstr(out, said), "%s does not say \"%s\": %s%s", program, said,
              out, err);
    cr_expect(strstr(err, remedy) || strstr(out, remedy), "%s does not say \"%s\": %s%s", program,
              remedy, out, err);
    free(out);
    free(err);
}

Test(redis_tls, programs_and_doctor_say_what_is_wrong_and_what_to_do)
{
    static const char *const programs[] = {"pj-api", "pj-runner"};
    static const char *const doctor[] = {"doctor", NULL};
    struct scene s;

    prepare(&s, NULL, 0);
    PJ_CLEANUP(pj_freep) char *other = test_redis_cert(&s.w.redis, "other.crt");
    PJ_CLEANUP(pj_freep) char *ca = test_redis_cert(&s.w.redis, "ca.crt");

    expect_said(&s, "pj", doctor, 0, "Redis has no append-only file",
                "this host and Redis differ by");
    world_set(&s.w, "PJ_REDIS_CA_FILE", other);
    for (size_t i = 0; i < PJ_COUNT_OF(programs); i++)
        expect_said(&s, programs[i], NULL, 1, "signed by nobody whom PJ_REDIS_CA_FILE trusts",
                    "Let PJ_REDIS_CA_FILE name the certificate");
    expect_said(&s, "pj", doctor, 1, "signed by nobody whom PJ_REDIS_CA_FILE trusts",
                "Let PJ_REDIS_CA_FILE name the certificate");

    /* What can be judged without a server is a mistake in the settings. */
    world_set(&s.w, "PJ_REDIS_CA_FILE", "/nonexistent/ca.crt");
    for (size_t i = 0; i < PJ_COUNT_OF(programs); i++)
        expect_said(&s, programs[i], NULL, 78, "PJ_REDIS_CA_FILE", "PEM");
    world_set(&s.w, "PJ_REDIS_CA_FILE", ca);
    world_set(&s.w, "PJ_REDIS_URL", "redis://127.0.0.1:1");
    for (size_t i = 0; i < PJ_COUNT_OF(programs); i++)
        expect_said(&s, programs[i], NULL, 78, "PJ_REDIS_CA_FILE", "rediss://");
    scene_stop(&s);
}
