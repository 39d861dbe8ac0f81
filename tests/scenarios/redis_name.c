/* Redis by name: when the name server falls silent, API and runner go on serving whoever needs no Redis, and they follow the name. */
#include <signal.h>
#include "lib/base/clock.h"
#include "tests/scenarios/scene.h"
#include "tests/support/name_server.h"

#define NAME "redis.example.com" /* the certificate `named` is for it */
/* The resolver of name_server.h gives up after fifteen seconds: who waits for it does not answer in three. */
#define AT_ONCE_MS 3000

static const struct model_answer gated[] = {
    {.trouble = MODEL_GATE,
     .text = "I write.",
     .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
    SCENE_FINISH,
};

__attribute__((constructor)) static void before_main(void)
{
    name_server_become_root();
}

/* The world's Redis gives way to one with TLS that is known by name. */
static void use_name(struct scene *s)
{
    test_redis_stop(&s->w.redis);
    test_redis_start_tls(&s->w.redis, NULL);
    test_redis_tls(&s->w.redis, "named", "no");
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("rediss://" NAME ":%d/0", s->w.redis.tls_port);
    PJ_CLEANUP(pj_freep) char *ca = test_redis_cert(&s->w.redis, "ca.crt");

    world_set(&s->w, "PJ_REDIS_URL", url);
    world_set(&s->w, "PJ_REDIS_CA_FILE", ca);
}

/* Where the runner tells how it is doing. */
static char *probes_of(struct scene *s)
{
    PJ_CLEANUP(pj_freep) char *log = program_log(&s->w.runner[0]);
    const char *at = strstr(log, "metrics_listening");

    cr_assert_not_null(at, "%s", log);
    at = strstr(at, "\"port\":");
    return pj_asprintf("http://127.0.0.1:%ld", strtol(at + strcspn(at, "0123456789"), NULL, 10));
}

static void expect_at_once(const char *base)
{
    for (int i = 0; i < 50; i++) {
        struct http_answer a;

        http_try_briefly(base, "GET", "/livez", NULL, NULL, NULL, AT_ONCE_MS, &a);
        cr_expect_eq(a.status, 200, "call %d to %s: %d", i, base, a.status);
        http_answer_release(&a);
    }
}

Test(redis_name, silent_name_server_holds_up_neither_api_nor_runner)
{
    struct name_server ns;
    struct scene s;

    name_server_start(&ns);
    name_server_say(&ns, "127.0.0.1");
    scene_prepare(&s, gated, PJ_COUNT_OF(gated));
    use_name(&s);
    world_set(&s.w, "PJ_METRICS_LISTEN", "127.0.0.1:0");
    scene_open(&s, "");
    char *task = scene_run(&s, "Write a file");
    cr_assert(model_server_wait(s.model, 1, WORLD_SOON));

    PJ_CLEANUP(pj_redis_freep) struct pj_redis *local = test_redis_connect(&s.w.redis);
    name_server_say(&ns, NULL);
    pj_reply_freep(&(struct redisReply *){
        test_redis_words(local, "CONFIG", "SET", "bind", "127.0.0.2", NULL)});
    test_redis_cut(&s.w.redis);
    cr_assert(program_wait_log(&s.w.api, "the look-up of its name has no answer", WORLD_SOON));
    cr_assert(
        program_wait_log(&s.w.runner[0], "the look-up of its name has no answer", WORLD_SOON));
    PJ_CLEANUP(pj_freep) char *probes = probes_of(&s);
    expect_at_once(s.w.base);
    expect_at_once(probes);

    name_server_say(&ns, "127.0.0.2");
    cr_assert(program_wait_log(&s.w.api, "redis_reached", WORLD_SOON));
    cr_assert(program_wait_log(&s.w.runner[0], "redis_reached", WORLD_SOON));
    model_server_release(s.model);
    json_decref(world_wait_status(&s.w, task, "completed"));
    free(task);
    scene_stop(&s);
    name_server_stop(&ns);
}
