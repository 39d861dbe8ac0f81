/* chaos_faults.c - what is done to the installation. Each fault is over when its function returns. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/crypto/hmac.h"
#include "tests/chaos/chaos.h"

#define DISK "size=64m,mode=0755"
#define LONGER_THAN_LEASE (LEASE_MS + 2000)

static struct program *some_runner(struct chaos *c, size_t *which)
{
    *which = chaos_roll(c, RUNNERS);
    return &c->s.w.runner[*which];
}

static void kill_runner(struct chaos *c)
{
    size_t i;
    struct program *runner = some_runner(c, &i);

    (void)program_stop(runner, SIGKILL, WORLD_SOON);
    program_release(runner);
    world_runner_start(&c->s.w, i);
}

static void drain_runner(struct chaos *c)
{
    size_t i;
    struct program *runner = some_runner(c, &i);

    cr_expect_eq(program_stop(runner, SIGTERM, END_MS), 0, "a drain ends well");
    program_release(runner);
    world_runner_start(&c->s.w, i);
}

/* Its tasks go elsewhere, and what it does afterwards counts for nothing. */
static void freeze_runner(struct chaos *c)
{
    size_t i;
    struct program *runner = some_runner(c, &i);

    (void)kill(runner->pid, SIGSTOP);
    chaos_pass(c, LONGER_THAN_LEASE);
    (void)kill(runner->pid, SIGCONT);
}

static void freeze_api(struct chaos *c)
{
    (void)kill(c->s.w.api.pid, SIGSTOP);
    chaos_pass(c, LONGER_THAN_LEASE);
    (void)kill(c->s.w.api.pid, SIGCONT);
}

/* Nobody can renew: every runner has to end its boxes by its own clock. */
static void freeze_redis(struct chaos *c)
{
    (void)kill(c->s.w.redis.pid, SIGSTOP);
    chaos_pass(c, LONGER_THAN_LEASE);
    (void)kill(c->s.w.redis.pid, SIGCONT);
}

static void signal_job(struct chaos *c, int signal, int then_ms)
{
    size_t count = 0;
    pid_t *jobs = world_jobs(&c->s.w, &count);
    pid_t pid = count > 0 ? jobs[chaos_roll(c, (unsigned)count)] : 0;

    free(jobs);
    if (pid <= 0)
        return;
    (void)kill(pid, signal);
    if (then_ms > 0) {
        chaos_pass(c, then_ms);
        (void)kill(pid, SIGCONT);
    }
}

static void kill_job(struct chaos *c)
{
    signal_job(c, SIGKILL, 0);
}

static void freeze_job(struct chaos *c)
{
    signal_job(c, SIGSTOP, LONGER_THAN_LEASE);
}

static void kill_api(struct chaos *c)
{
    (void)program_stop(&c->s.w.api, SIGKILL, WORLD_SOON);
    program_release(&c->s.w.api);
    world_api_start(&c->s.w);
}

/* The file that Redis appends to; the caller's. */
static char *append_file(const struct chaos *c)
{
    PJ_CLEANUP(pj_freep) char *folder = pj_asprintf("%s/appendonlydir", c->s.w.redis.dir);
    DIR *dir = opendir(folder);
    struct dirent *e;
    char *path = NULL;

    while (dir && (e = readdir(dir)))
        if (!path && strstr(e->d_name, ".incr.aof"))
            path = pj_asprintf("%s/%s", folder, e->d_name);
    if (dir)
        (void)closedir(dir);
    return path;
}

/* With everysec what it wrote in its last moments is taken from the file as well, as when the power goes: a killed process alone loses
 * nothing of what it gave to the kernel. */
static void kill_redis(struct chaos *c)
{
    PJ_CLEANUP(pj_freep) char *file = c->everysec ? append_file(c) : NULL;
    int64_t since = pj_mono_ms();
    struct stat before, after;

    cr_assert_lt(c->kill_count, (size_t)KILLS_MAX);
    cr_assert(!c->everysec || (file && stat(file, &before) == 0));
    if (c->everysec) {
        chaos_create(c);
        chaos_pass(c, (int)chaos_roll(c, FORGET_MS / 2));
    }
    c->kill_ms[c->kill_count++] = pj_mono_ms();
    test_redis_kill(&c->s.w.redis);
    if (c->everysec && c->kill_ms[c->kill_count - 1] - since < FORGET_MS &&
        stat(file, &after) == 0 && after.st_size > before.st_size) {
        cr_assert_eq(truncate(file, before.st_size), 0);
        c->cut_bytes += after.st_size - before.st_size;
    }
    test_redis_restart(&c->s.w.redis);
}

static void cut_link(struct chaos *c)
{
    link_break(&c->link, LINK_CUT, 1 + (int)chaos_roll(c, 2000));
}

static void tear_link(struct chaos *c)
{
    link_break(&c->link, LINK_TEAR, 1 + (int)chaos_roll(c, 500));
}

/* Who has to connect anew does not learn where to; whoever knows goes on meanwhile. */
static void silence_names(struct chaos *c)
{
    if (!c->names.pid)
        return;
    name_server_say(&c->names, NULL);
    link_break(&c->link, LINK_CUT, 1);
    chaos_pass(c, 1 + (int)chaos_roll(c, LONGER_THAN_LEASE));
    name_server_say(&c->names, "127.0.0.1");
}

static void stall_link(struct chaos *c)
{
    link_break(&c->link, LINK_STALL, LONGER_THAN_LEASE);
    chaos_pass(c, LONGER_THAN_LEASE);
}

static void delay_link(struct chaos *c)
{
    link_break(&c->link, LINK_DELAY, 3000);
    chaos_pass(c, 3000);
}

/* The disk of the runners is full for a second; what ran may fail, in so many words, but must end. */
static void fill_disk(struct chaos *c)
{
    static const char zeros[1 << 16];
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/filler", c->s.w.state);
    int fd = c->small_disk ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    for (size_t i = 0; i < c->count; i++)
        c->task[i].starved |= c->task[i].end[0] == '\0';
    while (write(fd, zeros, sizeof(zeros)) > 0) {
    }
    chaos_pass(c, 1000);
    (void)close(fd);
    (void)unlink(path);
}

void chaos_small_disk(struct chaos *c)
{
    c->small_disk = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                    mount("tmpfs", c->s.w.state, "tmpfs", 0, DISK) == 0;
    if (!c->small_disk)
        fprintf(stderr, "no small disk here: that fault is left out\n");
}

static size_t some_task(struct chaos *c)
{
    /* Mostly a young one: those are at work. */
    size_t young = c->count < ACTIVE_MAX ? c->count : ACTIVE_MAX;

    return young == 0 ? TASKS_MAX : c->count - 1 - chaos_roll(c, (unsigned)young);
}

static void cancel_one(struct chaos *c)
{
    size_t i = some_task(c);
    struct http_answer a;

    if (i == TASKS_MAX || c->task[i].end[0] != '\0')
        return;
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/tasks/%s/cancel", c->task[i].id);
    c->task[i].cancelled = true; /* also when the answer is lost */
    int status = chaos_ask(c, "POST", path, NULL, NULL, &a);
    cr_expect(status == 200 || status == 202 || status == 409 || (status == 404 && c->everysec),
              "cancel: %d %s", status, a.body);
    http_answer_release(&a);
}

/* A signed webhook, asked again until it is answered. */
static int deliver(struct chaos *c, const char *id, const char *body)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/api/v1/webhooks/execution/%s", c->s.repo);
    int64_t until = pj_mono_ms() + ANSWER_MS;
    int status = 0;

    while (status == 0 || status >= 500 || status == 429) {
        long long now = (long long)(pj_now_ms() / 1000);
        PJ_CLEANUP(pj_freep) char *text = pj_asprintf("%s.%lld.%s", id, now, body);
        PJ_CLEANUP(pj_freep) char *h_id = pj_asprintf("webhook-id: %s", id);
        PJ_CLEANUP(pj_freep) char *h_at = pj_asprintf("webhook-timestamp: %lld", now);
        PJ_CLEANUP(pj_str_release) struct pj_str signature;
        uint8_t key[64], mac[PJ_SHA256_SIZE];
        struct http_answer a;
        size_t n = 0;

        cr_assert_eq(
            pj_base64_decode(pj_view_of(c->hook_secret + strlen("whsec_")), key, sizeof(key), &n),
            0);
        pj_hmac_sha256(key, n, text, strlen(text), mac);
        pj_str_init(&signature, 200);
        (void)pj_str_puts(&signature, "webhook-signature: v1,");
        (void)pj_base64_encode(&signature, mac, sizeof(mac));
        const char *const headers[] = {h_id, h_at, pj_str_cstr(&signature), NULL};

        http_try(c->s.w.base, "POST", path, NULL, body, headers, &a);
        status = a.status;
        http_answer_release(&a);
        cr_assert_lt(pj_mono_ms(), until, "the webhook is not answered: %d", status);
        if (status == 0 || status >= 500)
            chaos_linger(c, 100);
    }
    return status;
}

/* The end of a task reported from outside: three times at once, and another one much too late. */
static void hook_twice_and_late(struct chaos *c)
{
    size_t i = some_task(c);

    if (i == TASKS_MAX || c->task[i].end[0] != '\0')
        return;
    PJ_CLEANUP(pj_freep)
    char *done = pj_asprintf("{\"type\":\"task.completed\",\"taskId\":\"%s\",\"attempt\":1,"
                             "\"prUrl\":\"https://example.com/pull/1\"}",
                             c->task[i].id);
    PJ_CLEANUP(pj_freep)
    char *late = pj_asprintf("{\"type\":\"task.failed\",\"taskId\":\"%s\",\"attempt\":1,\"error\":{"
                             "\"code\":\"agent_failed\",\"message\":\"late\"}}",
                             c->task[i].id);
    PJ_CLEANUP(pj_freep) char *id = pj_asprintf("msg_chaos_%zu_%u", i, c->random);
    PJ_CLEANUP(pj_freep) char *other = pj_asprintf("msg_late_%zu_%u", i, c->random);
    int first = deliver(c, id, done);

    if (first / 100 == 2 && c->task[i].hooked_ms == 0)
        c->task[i].hooked_ms = pj_mono_ms();
    for (int k = 0; k < 2; k++)
        cr_expect_eq(deliver(c, id, done), first, "the same message is answered alike");
    if (first / 100 == 2)
        cr_expect_eq(deliver(c, other, late), 409, "a late word changes nothing");
}

static struct {
    const char *name;
    unsigned weight;
    void (*strike)(struct chaos *c);
    size_t times;
} faults[] = {
    {"cancel a task", 2, cancel_one, 0},
    {"webhook thrice, and one late", 2, hook_twice_and_late, 0},
    {"kill -9 a job", 4, kill_job, 0},
    {"freeze a job past its lease", 1, freeze_job, 0},
    {"kill -9 a runner", 3, kill_runner, 0},
    {"drain a runner", 1, drain_runner, 0},
    {"freeze a runner past its leases", 1, freeze_runner, 0},
    {"kill -9 the API", 2, kill_api, 0},
    {"freeze the API", 1, freeze_api, 0},
    {"kill -9 Redis", 2, kill_redis, 0},
    {"freeze Redis past all leases", 1, freeze_redis, 0},
    {"cut the link to Redis", 2, cut_link, 0},
    {"tear the link within a message", 2, tear_link, 0},
    {"cut it, and the name server is silent", 2, silence_names, 0},
    {"stall the link past all leases", 1, stall_link, 0},
    {"delay the link, 100 ms a piece", 1, delay_link, 0},
    {"fill the runners' disk", 1, fill_disk, 0},
};

void chaos_strike(struct chaos *c)
{
    unsigned total = 0;

    for (size_t i = 0; i < PJ_COUNT_OF(faults); i++)
        total += faults[i].weight;
    unsigned at = chaos_roll(c, total);
    for (size_t i = 0; i < PJ_COUNT_OF(faults); i++) {
        if (at < faults[i].weight) {
            faults[i].times++;
            faults[i].strike(c);
            return;
        }
        at -= faults[i].weight;
    }
}

void chaos_print_faults(FILE *out)
{
    for (size_t i = 0; i < PJ_COUNT_OF(faults); i++)
        fprintf(out, "%-38s %zu\n", faults[i].name, faults[i].times);
}
