/* chaos_host.c - what the run leaves on the host, by name: processes, control groups, mounts, name spaces, files.
 *
 * While it lasts, whoever loses its parent becomes a child of ours, and boxes make their control groups beneath groups of ours: so that
 * what is left in the end can be told from what others on this host are doing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/chaos/chaos.h"

#define QUIET_MS 10000
#define GROUP "pj-chaos."

/* The whole of a small file; owned by the caller, NULL when it cannot be read. NUL bytes become spaces. */
static char *text_of(const char *path)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_err err;

    pj_str_init(&text, 16 << 20);
    if (pj_fs_read(path, &text, &err) < 0)
        return NULL;
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] == '\0')
            text.data[i] = ' ';
    return pj_str_take(&text);
}

/* ---- control groups ---- */

static int join(const char *group)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/cgroup.procs", group);
    FILE *f = fopen(path, "we");

    if (!f)
        return -1;
    (void)fprintf(f, "%d\n", (int)getpid());
    return fclose(f) == 0 ? 0 : -1;
}

/* Groups of runs that did not come to their end: whoever is in one keeps it. */
static void remove_old(const char *parent)
{
    DIR *dir = opendir(parent);
    struct dirent *e;

    while (dir && (e = readdir(dir)))
        if (strncmp(e->d_name, GROUP, strlen(GROUP)) == 0)
            (void)unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
    if (dir)
        (void)closedir(dir);
}

/* A group of our own beneath `path` of that hierarchy; where that cannot be had, its groups are not looked at. */
static void own_group(struct chaos *c, const char *controllers, const char *path)
{
    static const char *const v2[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    PJ_CLEANUP(pj_freep) char *v1 = pj_asprintf("/sys/fs/cgroup/%s", controllers);
    const char *mount = controllers[0] != '\0'                             ? v1
                        : access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? v2[0]
                                                                           : v2[1];
    PJ_CLEANUP(pj_freep)
    char *parent = pj_asprintf("%s%s", mount, strcmp(path, "/") == 0 ? "" : path);
    PJ_CLEANUP(pj_freep) char *group = pj_asprintf("%s/" GROUP "%d", parent, (int)getpid());
    size_t i = 0;

    while (i < CHAOS_GROUPS && c->group[i])
        i++;
    remove_old(parent);
    if (i == CHAOS_GROUPS || mkdir(group, 0755) < 0)
        return;
    if (join(group) < 0) {
        (void)rmdir(group);
        return;
    }
    c->group[i] = group;
    group = NULL;
}

static bool is_used(const char *controllers)
{
    static const char *const names[] = {"", "cpu", "memory", "pids", "cpu,cpuacct"};

    for (size_t i = 0; i < PJ_COUNT_OF(names); i++)
        if (strcmp(controllers, names[i]) == 0)
            return true;
    return false;
}

void chaos_host_begin(struct chaos *c)
{
    PJ_CLEANUP(pj_freep) char *own = text_of("/proc/self/cgroup");
    struct pj_view rest = pj_view_of(own ? own : ""), line, number, controllers;

    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    while (pj_view_cut(&rest, '\n', &line)) {
        if (!pj_view_cut(&line, ':', &number) || !pj_view_cut(&line, ':', &controllers))
            continue;
        PJ_CLEANUP(pj_freep) char *names = pj_strndup(controllers.p, controllers.n);
        PJ_CLEANUP(pj_freep) char *path = pj_strndup(line.p, line.n);

        if (is_used(names))
            own_group(c, names, path);
    }
    if (!c->group[0])
        fprintf(stderr, "no control group of our own here: those of the boxes are not looked at\n");
}

/* What boxes have left in our group. */
static void check_group(const char *group)
{
    DIR *dir = opendir(group);
    struct dirent *e;

    while (dir && (e = readdir(dir)))
        if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", group, e->d_name);
            PJ_CLEANUP(pj_freep) char *procs = pj_asprintf("%s/cgroup.procs", path);
            PJ_CLEANUP(pj_freep) char *pids = text_of(procs);

            cr_expect_fail("control group %s is left, with processes: %s", path, pids);
            (void)rmdir(path);
        }
    if (dir)
        (void)closedir(dir);
}

void chaos_host_end(struct chaos *c)
{
    for (size_t i = 0; i < CHAOS_GROUPS && c->group[i]; i++) {
        PJ_CLEANUP(pj_freep)
        char *up = pj_strndup(c->group[i], (size_t)(strrchr(c->group[i], '/') - c->group[i]));

        cr_expect_eq(join(up), 0, "%s", up);
        cr_expect_eq(rmdir(c->group[i]), 0, "%s: %s", c->group[i], strerror(errno));
        pj_freep(&c->group[i]);
    }
}

/* ---- processes ---- */

static pid_t parent_of(pid_t pid, char *state)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%d/stat", (int)pid);
    PJ_CLEANUP(pj_freep) char *stat = text_of(path);
    const char *end = stat ? strrchr(stat, ')') : NULL;
    int parent = 0;

    return end && sscanf(end, ") %c %d", state, &parent) == 2 ? parent : 0;
}

static bool is_ours(pid_t pid)
{
    char state;

    for (int depth = 0; pid > 1 && depth < 64; depth++) {
        pid = parent_of(pid, &state);
        if (pid == getpid())
            return true;
    }
    return false;
}

/* Living processes that descend from us, without API, Redis, relay and name server; their names in `out`. */
static size_t count_left(const struct chaos *c, struct pj_str *out)
{
    const pid_t known[] = {c->s.w.api.pid, c->s.w.redis.pid, c->link.pid, c->names.pid};
    DIR *proc = opendir("/proc");
    struct dirent *e;
    size_t n = 0;

    cr_assert_not_null(proc);
    while ((e = readdir(proc))) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        bool expected = pid <= 0;
        char state = 'Z';

        for (size_t i = 0; i < PJ_COUNT_OF(known); i++)
            expected |= pid == known[i];
        if (expected || !is_ours(pid) || parent_of(pid, &state) == 0 || state == 'Z')
            continue;
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%d/cmdline", (int)pid);
        PJ_CLEANUP(pj_freep) char *line = text_of(path);

        (void)pj_str_putf(out, "%d (%c) %s\n", (int)pid, state, line ? line : "");
        n++;
    }
    (void)closedir(proc);
    return n;
}

/* The last ones may still be on their way out. */
static void check_processes(struct chaos *c)
{
    int64_t until = pj_mono_ms() + QUIET_MS;
    PJ_CLEANUP(pj_str_release) struct pj_str names;

    pj_str_init(&names, 1 << 20);
    while (count_left(c, &names) > 0 && pj_mono_ms() < until) {
        pj_str_clear(&names);
        chaos_linger(c, 50);
    }
    cr_expect_eq(names.len, 0, "processes are left:\n%s", pj_str_cstr(&names));
}

/* ---- mounts and name spaces ---- */

/* With no process of a box left, a name space lives on by a mount of it or by a descriptor that somebody holds. */
static void check_descriptors(pid_t pid)
{
    static const char *const kinds[] = {"cgroup:[", "ipc:[",  "mnt:[",  "net:[",
                                        "pid:[",    "time:[", "user:[", "uts:["};
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    struct dirent *e;

    while (dir && (e = readdir(dir))) {
        char target[64] = "";

        if (readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1) <= 0)
            continue;
        for (size_t i = 0; i < PJ_COUNT_OF(kinds); i++)
            cr_expect_neq(strncmp(target, kinds[i], strlen(kinds[i])), 0,
                          "process %d holds the name space %s", (int)pid, target);
    }
    if (dir)
        (void)closedir(dir);
}

static void check_mounts(struct chaos *c)
{
    PJ_CLEANUP(pj_freep) char *mounts = text_of("/proc/self/mountinfo");
    struct pj_view rest = pj_view_of(mounts ? mounts : ""), line;

    cr_assert_not_null(mounts);
    while (pj_view_cut(&rest, '\n', &line)) {
        PJ_CLEANUP(pj_freep) char *text = pj_strndup(line.p, line.n);
        char point[4096];

        if (sscanf(text, "%*s %*s %*s %*s %4095s", point) != 1)
            continue;
        cr_expect_null(strstr(text, " - nsfs "), "a name space is mounted: %s", text);
        cr_expect(strncmp(point, c->s.w.dir, strlen(c->s.w.dir)) != 0 ||
                      (c->small_disk && strcmp(point, c->s.w.state) == 0),
                  "a mount is left: %s", text);
    }
    check_descriptors(getpid());
    check_descriptors(c->s.w.api.pid);
}

/* ---- files ---- */

static void check_files(const char *path, const char *const *expected)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    while (dir && (e = readdir(dir))) {
        bool known = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;

        for (size_t i = 0; expected && expected[i]; i++)
            known |= strcmp(e->d_name, expected[i]) == 0;
        cr_expect(known, "%s/%s is left", path, e->d_name);
    }
    if (dir)
        (void)closedir(dir);
}

/* A lock of git's that a killed job left in a mirror would stop the next one. */
static void check_locks(struct chaos *c)
{
    const char *const args[] = {c->s.w.state, "-path", "*.git/*.lock", NULL};
    char *out, *err;

    cr_expect_eq(program_run("/usr/bin/find", args, c->s.w.env, c->s.w.dir, NULL, &out, &err), 0,
                 "%s", err);
    cr_expect_str_empty(out, "locks are left:\n%s", out);
    free(out);
    free(err);
}

void chaos_host_check(struct chaos *c)
{
    static const char *const state[] = {"cache", "work", "rootfs", "runner.lock", NULL};

    for (size_t i = 0; i < RUNNERS; i++) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/runner-%zu", c->s.w.state, i);
        PJ_CLEANUP(pj_freep) char *work = pj_asprintf("%s/work", path);

        cr_expect_eq(program_stop(&c->s.w.runner[i], SIGTERM, END_MS), 0, "the last drain");
        program_release(&c->s.w.runner[i]);
        check_files(path, state);
        check_files(work, NULL);
    }
    check_processes(c);
    check_mounts(c);
    check_locks(c);
    for (size_t i = 0; i < CHAOS_GROUPS && c->group[i]; i++)
        check_group(c->group[i]);
    if (c->small_disk)
        cr_expect_eq(umount2(c->s.w.state, MNT_DETACH), 0);
}
