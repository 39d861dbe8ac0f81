/* Tasks under constant faults, with real programs, boxes, remotes and a forge; afterwards every task is held against what was
 * accepted. A short form runs with the other tests; PJ_CHAOS_SECONDS makes it longer, PJ_CHAOS_SEED repeats a run's choices,
 * PJ_CHAOS_FSYNC=everysec lets Redis forget what the README says it may, PJ_CHAOS_LINK=tls has it reached by name and under TLS. */
#include "tests/chaos/chaos.h"
#include "tests/support/localhost.h"

/* A task takes about a second in its box, and talks. */
static const struct model_answer work[] = {
    {.repeat = true,
     .text = "I do it.",
     .prompt_tokens = 700,
     .completion_tokens = 70,
     .calls =
         {{"run",
           "{\"command\":\"i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); done; sleep 1; "
           "setsid sleep 600 & echo done > done.txt\"}"},
          {"finish", "{\"summary\":\"Done.\"}"}}},
};

/* Numerical Recipes' generator: the run is repeated by its seed. */
unsigned chaos_roll(struct chaos *c, unsigned sides)
{
    c->random = c->random * 1664525u + 1013904223u;
    return (c->random >> 8) % sides;
}

void chaos_linger(struct chaos *c, int ms)
{
    (void)model_server_wait(c->s.model, model_server_count(c->s.model) + 1, ms);
}

void chaos_pass(struct chaos *c, int ms)
{
    int64_t until = pj_mono_ms() + ms;

    for (int64_t left = ms; left > 0; left = until - pj_mono_ms())
        chaos_linger(c, (int)left);
}

int chaos_ask(struct chaos *c, const char *method, const char *path, const char *body,
              const char *key, struct http_answer *out)
{
    PJ_CLEANUP(pj_freep) char *full = pj_asprintf("/api/v1%s", path);
    PJ_CLEANUP(pj_freep) char *header = key ? pj_asprintf("Idempotency-Key: %s", key) : NULL;
    const char *const headers[] = {header, NULL};
    int64_t until = pj_mono_ms() + ANSWER_MS;

    for (;;) {
        http_try(c->s.w.base, method, full, WORLD_TOKEN, body, headers, out);
        bool passing = out->status == 0 || out->status >= 500 || out->status == 429 ||
                       (out->status == 409 &&
                        strcmp(pj_json_str(out->json, "code", ""), "idempotency_in_progress") == 0);
        if (!passing)
            return out->status;
        if (pj_mono_ms() > until) {
            PJ_CLEANUP(pj_freep) char *logs = world_logs(&c->s.w);

            cr_assert_fail("%s %s: still %d: %s\n%s", method, path, out->status, out->body, logs);
        }
        http_answer_release(out);
        chaos_linger(c, 100);
    }
}

void chaos_create(struct chaos *c)
{
    PJ_CLEANUP(pj_freep) char *key = pj_asprintf("chaos-task-%zu-%u", c->count, c->random);
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"repositoryId\":\"%s\",\"title\":\"Task %zu\",\"description\":\"Do "
                             "it.\",\"execute\":true}",
                             c->s.repo, c->count);
    struct chaos_task *task = &c->task[c->count];
    struct http_answer a;

    cr_assert_eq(chaos_ask(c, "POST", "/tasks", body, key, &a), 201, "%s", a.body);
    task->id = pj_strdup(pj_json_str(a.json, "id", ""));
    task->accepted_ms = pj_mono_ms();
    c->count++;
    http_answer_release(&a);
}

int64_t chaos_loss_ms(const struct chaos *c, int64_t ms)
{
    for (size_t i = c->kill_count; c->everysec && i-- > 0;)
        if (ms > c->kill_ms[i] - FORGET_MS && ms <= c->kill_ms[i])
            return c->kill_ms[i] - ms;
    return -1;
}

static bool is_over(const json_t *task)
{
    const char *status = scene_status(task);

    return strcmp(status, "running") != 0 && strcmp(status, "queued") != 0;
}

/* Redis does not know what was acknowledged then: so may it be with everysec, for the last second before a kill. */
static void expect_loss(struct chaos *c, int64_t acknowledged_ms, const char *what, const char *id)
{
    int64_t last = c->kill_count > 0 ? c->kill_ms[c->kill_count - 1] - acknowledged_ms : 0;
    int64_t loss = chaos_loss_ms(c, acknowledged_ms);

    cr_assert_geq(loss, 0, "%s of task %s is lost, acknowledged %lld ms before the last kill", what,
                  id, (long long)last);
    c->oldest_loss_ms = loss > c->oldest_loss_ms ? loss : c->oldest_loss_ms;
}

static void forget(struct chaos *c, struct chaos_task *task)
{
    expect_loss(c, task->accepted_ms, "the acceptance", task->id);
    c->forgotten++;
    free(task->id);
    *task = c->task[--c->count];
}

/* What the API says of it now. An end stays as it was told. */
static void note_state(struct chaos *c, struct chaos_task *task, const json_t *doc)
{
    const char *status = scene_status(doc);

    if (task->end[0] != '\0' && strcmp(task->end, status) != 0) {
        expect_loss(c, task->ended_ms, "the end", task->id);
        c->undone++;
        task->end[0] = '\0';
    }
    if (task->end[0] == '\0' && is_over(doc)) {
        (void)snprintf(task->end, sizeof(task->end), "%s", status);
        task->ended_ms = pj_mono_ms();
    }
}

static void look(struct chaos *c, struct chaos_task *task)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s", task->id);
    struct http_answer a;
    int status = chaos_ask(c, "GET", path, NULL, NULL, &a);

    if (status == 404) {
        forget(c, task);
    } else {
        cr_assert_eq(status, 200, "%s", a.body);
        note_state(c, task, a.json);
    }
    http_answer_release(&a);
}

/* Those that run, and those whose end may have gone with Redis since it was told. */
static size_t count_active(struct chaos *c)
{
    size_t active = 0;

    for (size_t i = c->count; i-- > 0;) {
        struct chaos_task *task = &c->task[i];
        size_t before = c->count;

        if (task->end[0] != '\0' && chaos_loss_ms(c, task->ended_ms) < 0)
            continue;
        look(c, task);
        active += c->count == before && task->end[0] == '\0';
    }
    return active;
}

void chaos_settle(struct chaos *c)
{
    int64_t until = pj_mono_ms() + END_MS;

    while (count_active(c) > 0) {
        if (pj_mono_ms() > until) {
            PJ_CLEANUP(pj_freep) char *logs = world_logs(&c->s.w);

            cr_assert_fail("tasks never end\n%s", logs);
        }
        chaos_linger(c, 200);
    }
}

static bool env_is(const char *name, const char *value)
{
    return getenv(name) && strcmp(getenv(name), value) == 0;
}

static int64_t from_env(const char *name, int64_t def)
{
    int64_t n;

    return getenv(name) && pj_parse_i64(pj_view_of(getenv(name)), &n) == 0 ? n : def;
}

/* A Redis that keeps what it was told, and the relay before it. */
static void set_up_redis(struct chaos *c)
{
    struct world *w = &c->s.w;
    const char *appendfsync = c->everysec ? "everysec" : "always";

    test_redis_stop(&w->redis);
    if (!c->tls) {
        test_redis_start_durable(&w->redis, appendfsync);
        link_start(&c->link, w->dir, w->redis.socket);
        world_set(w, "PJ_REDIS_URL", c->link.url);
        return;
    }
    test_redis_start_tls(&w->redis, appendfsync);
    link_start_tcp(&c->link, w->redis.tls_port);
    PJ_CLEANUP(pj_freep) char *ca = test_redis_cert(&w->redis, "ca.crt");
    const char *host = c->names.pid           ? "redis.test"
                       : localhost_is_known() ? "localhost"
                                              : "127.0.0.1";
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("rediss://%s:%d/0", host, c->link.port);
    world_set(w, "PJ_REDIS_URL", url);
    world_set(w, "PJ_REDIS_CA_FILE", ca);
}

static void set_up(struct chaos *c)
{
    struct scene *s = &c->s;

    chaos_host_begin(c);
    if (c->tls && name_server_try(&c->names))
        name_server_say(&c->names, "127.0.0.1");
    else if (c->tls)
        fprintf(stderr, "no name server of our own here: that fault is left out\n");
    s->model = model_server_start(0, work, 1);
    world_start(&s->w);
    chaos_small_disk(c);
    set_up_redis(c);
    world_set(&s->w, "PJ_LEASE_TTL", "3s");
    world_set(&s->w, "PJ_JANITOR_INTERVAL", "1s");
    world_set(&s->w, "PJ_RUNNER_SLOTS", "2");
    world_set(&s->w, "PJ_LOG_LEVEL", "warn");
    world_set(&s->w, "PJ_RATE_LIMIT", "0");
    world_use_openai(&s->w, s->model);
    scene_open_forge(s, ",\"codeRabbit\":\"off\"");
    for (size_t i = 1; i < RUNNERS; i++)
        world_runner_start(&s->w, i);
    world_set(&s->w, "PJ_LISTEN", s->w.base + strlen("http://"));
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s/webhook-secret", s->repo);
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = world_call(&s->w, "POST", path, "{}", 201);
    c->hook_secret = pj_strdup(pj_json_str(doc, "webhookSecret", ""));
}

Test(chaos, whatever_dies_nothing_is_lost_and_nothing_happens_twice)
{
    static struct chaos c;

    c.random = (unsigned)from_env("PJ_CHAOS_SEED", pj_now_ms() & 0xffffff);
    c.everysec = env_is("PJ_CHAOS_FSYNC", "everysec");
    c.tls = env_is("PJ_CHAOS_LINK", "tls");
    fprintf(stderr, "PJ_CHAOS_SEED=%u, appendfsync %s, %s\n", c.random,
            c.everysec ? "everysec" : "always", c.tls ? "TLS" : "Unix socket");
    set_up(&c);
    if (c.everysec) /* the repository is older than what may be forgotten */
        chaos_pass(&c, 2 * FORGET_MS);
    c.until_ms = pj_mono_ms() + from_env("PJ_CHAOS_SECONDS", 15) * 1000;
    while (pj_mono_ms() < c.until_ms && c.count + ACTIVE_MAX < TASKS_MAX) {
        for (size_t active = count_active(&c); active < ACTIVE_MAX; active++)
            chaos_create(&c);
        chaos_linger(&c, 1 + (int)chaos_roll(&c, 700));
        chaos_strike(&c);
    }
    chaos_print_faults(stderr);
    chaos_settle(&c);
    chaos_check(&c);
    for (size_t i = 0; i < c.count; i++)
        free(c.task[i].id);
    free(c.hook_secret);
    scene_stop(&c.s);
    link_stop(&c.link);
    if (c.names.pid)
        name_server_stop(&c.names);
    chaos_host_end(&c);
}
