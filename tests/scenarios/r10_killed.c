/* R10.2: the runner itself killed with SIGKILL at random moments, with boxes at work in any phase. When its successor is ready, nothing of what
 * it had started is alive, no name space, control group, mount or temporary file of it is left. PJ_KILL_ROUNDS sets how often (10). */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/view.h"
#include "tests/scenarios/scene.h"

#define ROUNDS 10
#define LATEST_MS                                                                                  \
    1200 /* from the runner's readiness: two tasks are through by then on an idle host */
#define PROCESSES_MAX 512
#define UNFINISHED 6 /* so that there is always one to take */

static const struct model_answer answers[] = {
    {.repeat = true,
     .text = "I work.",
     .calls = {{"run", "{\"command\":\"trap '' TERM; setsid sleep 1000 & (sleep 1000 & sleep 1000) "
                       "& i=0; while [ $i -lt 200 ]; do echo x > new.txt; i=$((i+1)); done; "
                       "echo x > /tmp/mark\"}"},
               {"finish", "{\"summary\":\"Written.\"}"}}},
};

/* A process, told apart from a later one with the same number; and the name spaces that it was in. */
struct process {
    pid_t pid;
    unsigned long long started;
    char spaces[3][48];
};

struct family {
    struct process of[PROCESSES_MAX];
    size_t count;
    unsigned long long killed; /* when, in the unit of `started` */
};

static const char *const kinds[] = {"mnt", "net", "pid"};

static bool read_stat(pid_t pid, char *state, pid_t *parent, unsigned long long *started)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%d/stat", (int)pid);
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_err err;
    const char *end;
    int up = 0;

    pj_str_init(&text, 4096);
    if (pj_fs_read(path, &text, &err) < 0 || (end = strrchr(pj_str_cstr(&text), ')')) == NULL)
        return false;
    if (sscanf(end,
               ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               state, &up, started) != 3)
        return false;
    *parent = (pid_t)up;
    return true;
}

static void read_spaces(struct process *p)
{
    for (size_t i = 0; i < PJ_COUNT_OF(kinds); i++) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%d/ns/%s", (int)p->pid, kinds[i]);

        if (readlink(path, p->spaces[i], sizeof(p->spaces[i]) - 1) < 0)
            p->spaces[i][0] = '\0';
    }
}

static bool descends(pid_t pid, pid_t from)
{
    unsigned long long started;
    char state;

    for (int depth = 0; pid > 1 && depth < 64; depth++) {
        if (pid == from)
            return true;
        if (!read_stat(pid, &state, &pid, &started))
            return false;
    }
    return false;
}

/* Everybody who descends from `root`, and root. */
static void family_of(pid_t root, struct family *f)
{
    DIR *proc = opendir("/proc");
    struct dirent *e;

    f->count = 0;
    cr_assert_not_null(proc);
    while ((e = readdir(proc)) && f->count < PROCESSES_MAX) {
        struct process *p = &f->of[f->count];
        pid_t parent;
        char state;

        *p = (struct process){.pid = (pid_t)strtol(e->d_name, NULL, 10)};
        if (p->pid <= 0 || !descends(p->pid, root) ||
            !read_stat(p->pid, &state, &parent, &p->started))
            continue;
        read_spaces(p);
        f->count++;
    }
    (void)closedir(proc);
}

static bool lives(const struct process *p)
{
    unsigned long long started;
    pid_t parent;
    char state;

    return read_stat(p->pid, &state, &parent, &started) && started == p->started && state != 'Z' &&
           state != 'X';
}

/* Name spaces that the family had to itself, and that somebody is in who was there before it was killed: who comes later may have got a number
 * that is free again. */
static void assert_no_name_space(const struct family *f)
{
    DIR *proc = opendir("/proc");
    struct process own = {.pid = getpid()};
    struct dirent *e;

    cr_assert_not_null(proc);
    read_spaces(&own);
    while ((e = readdir(proc))) {
        struct process p = {.pid = (pid_t)strtol(e->d_name, NULL, 10)};
        pid_t parent;
        char state;

        if (p.pid <= 0 || !read_stat(p.pid, &state, &parent, &p.started) || p.started > f->killed)
            continue;
        read_spaces(&p);
        for (size_t i = 0; i < f->count; i++)
            for (size_t k = 0; k < PJ_COUNT_OF(kinds); k++)
                cr_expect(f->of[i].spaces[k][0] == '\0' ||
                              strcmp(f->of[i].spaces[k], own.spaces[k]) == 0 ||
                              strcmp(f->of[i].spaces[k], p.spaces[k]) != 0,
                          "process %d is in %s of a box that ended", (int)p.pid, p.spaces[k]);
    }
    (void)closedir(proc);
}

/* Control groups that carry the number of one of the family. */
static void assert_no_group(const struct family *f, const char *path, int depth)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    while (dir && (e = readdir(dir))) {
        PJ_CLEANUP(pj_freep) char *sub = pj_asprintf("%s/%s", path, e->d_name);

        if (e->d_type != DT_DIR || e->d_name[0] == '.')
            continue;
        if (strncmp(e->d_name, "pj-sandbox.", 11) != 0) {
            if (depth > 0)
                assert_no_group(f, sub, depth - 1);
            continue;
        }
        for (size_t i = 0; i < f->count; i++)
            cr_expect_neq(f->of[i].pid, (pid_t)strtol(e->d_name + 11, NULL, 10), "%s is left", sub);
    }
    if (dir)
        (void)closedir(dir);
}

static void assert_empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    cr_assert_not_null(dir);
    while ((e = readdir(dir)))
        cr_expect(e->d_name[0] == '.', "%s/%s is left", path, e->d_name);
    (void)closedir(dir);
}

/* What the runner had started, boxes and all, is gone with it or soon after; at the latest before its successor is ready. */
static void assert_gone(const struct family *f)
{
    for (size_t i = 0; i < f->count; i++)
        cr_expect_not(lives(&f->of[i]), "process %d outlives the runner", (int)f->of[i].pid);
    assert_no_name_space(f);
    assert_no_group(f, "/sys/fs/cgroup", 6);
}

static size_t boxes_in(const struct family *f)
{
    struct process own = {.pid = getpid()};
    size_t n = 0;

    read_spaces(&own);
    for (size_t i = 0; i < f->count; i++)
        n += f->of[i].spaces[2][0] != '\0' && strcmp(f->of[i].spaces[2], own.spaces[2]) != 0;
    return n;
}

/* Ids of tasks that are on their way: waiting, at work, or lost with a runner until their lease expires. */
static json_t *unfinished(struct scene *s, json_t **page)
{
    *page = world_call(&s->w, "GET", "/tasks?status=running&limit=200", NULL, 200);
    return json_object_get(*page, "items");
}

/* One runner's life; how many processes were in boxes when it ended. */
static size_t round_of(struct scene *s, unsigned *random)
{
    static struct family family;
    struct pollfd end = {.events = POLLIN};
    struct timespec now;
    json_t *page;

    for (size_t i = json_array_size(unfinished(s, &page)); i < UNFINISHED; i++)
        free(scene_run(s, "Write a file"));
    json_decref(page);
    end.fd = s->w.runner[0].pidfd;
    cr_assert_eq(poll(&end, 1, (int)(rand_r(random) % LATEST_MS)), 0, "the runner ended by itself");
    family_of(s->w.runner[0].pid, &family);
    cr_assert_eq(clock_gettime(CLOCK_BOOTTIME, &now), 0);
    family.killed =
        (unsigned long long)now.tv_sec * (unsigned long long)sysconf(_SC_CLK_TCK) +
        (unsigned long long)now.tv_nsec * (unsigned long long)sysconf(_SC_CLK_TCK) / 1000000000ULL;
    cr_expect_eq(program_stop(&s->w.runner[0], SIGKILL, WORLD_SOON), 128 + SIGKILL);
    program_release(&s->w.runner[0]);
    world_runner_start(&s->w, 0);
    assert_gone(&family);
    return boxes_in(&family);
}

/* All tasks to their end, whatever it is: some were lost with more runners than they are given. */
static void finish(struct scene *s)
{
    size_t i, count = 1;

    while (count > 0) {
        json_t *page, *items = unfinished(s, &page), *task;

        count = json_array_size(items);
        json_array_foreach(items, i, task)
            json_decref(world_wait_end(&s->w, pj_json_str(task, "id", "")));
        json_decref(page);
    }
}

Test(r10_killed, r10_2_a_runner_that_is_killed_at_random_moments_leaves_nothing)
{
    const char *setting = getenv("PJ_KILL_ROUNDS");
    uint64_t rounds = ROUNDS;
    unsigned random = (unsigned)getpid();
    size_t busy = 0;
    struct scene s;

    if (setting != NULL)
        cr_assert_eq(pj_parse_u64(pj_view_of(setting), &rounds), 0);
    /* Whoever loses its parent becomes ours: nobody escapes the last look. */
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    fprintf(stderr, "%llu rounds, seed %u\n", (unsigned long long)rounds, random);
    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    PJ_CLEANUP(pj_freep) char *tmp = pj_asprintf("%s/tmp", s.w.dir);
    struct pj_err err;
    cr_assert_eq(pj_fs_mkdirs(tmp, 0700, &err), 0);
    world_set(&s.w, "TMPDIR", tmp);
    world_set(&s.w, "PJ_LEASE_TTL", "1s");
    world_set(&s.w, "PJ_JANITOR_INTERVAL", "1s");
    world_set(&s.w, "PJ_RUNNER_SLOTS", "2");
    scene_open(&s, ",\"codeRabbit\":\"off\"");
    for (uint64_t i = 0; i < rounds; i++)
        busy += round_of(&s, &random) > 0;
    fprintf(stderr, "%zu of %llu kills met a box\n", busy, (unsigned long long)rounds);
    cr_expect_gt(busy, rounds / 3, "the kills met too few boxes to prove anything");
    finish(&s);
    assert_empty(tmp);
    scene_stop(&s);
}
