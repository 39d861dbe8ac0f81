#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/view.h"
#include "sandbox/cgroup_impl.h"

#define PREFIX "pj-sandbox."
#define CPU_PERIOD_US 100000

enum { H_V2, H_CPU, H_MEMORY, H_PIDS, H_COUNT = CGROUP_HIERARCHIES };

static const char *const controllers[H_COUNT] = {"", "cpu", "memory", "pids"};

static int open_at(const char *dir, const char *file, int flags)
{
    char path[900];

    snprintf(path, sizeof path, "%s/%s", dir, file);
    return open(path, flags | O_CLOEXEC);
}

int cgroup_write(const char *dir, const char *file, const char *text)
{
    int fd = open_at(dir, file, O_WRONLY), rc;

    if (fd < 0)
        return -1;
    rc = write(fd, text, strlen(text)) < 0 ? -1 : 0;
    pj_fd_close(&fd);
    return rc;
}

static int write_number(const char *dir, const char *file, int64_t n)
{
    char text[32];

    snprintf(text, sizeof text, "%" PRId64, n);
    return cgroup_write(dir, file, text);
}

ssize_t cgroup_read(const char *dir, const char *file, char *buf, size_t size)
{
    int fd = open_at(dir, file, O_RDONLY);
    ssize_t n;

    if (fd < 0)
        return -1;
    n = read(fd, buf, size - 1);
    buf[n > 0 ? n : 0] = '\0';
    pj_fd_close(&fd);
    return n;
}

/* The value after `key` at the start of a line, -1 when there is none. */
static int64_t keyed(const char *text, const char *key)
{
    size_t n = strlen(key);

    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (strncmp(line, key, n) == 0 && line[n] == ' ')
            return strtoll(line + n + 1, NULL, 10);
    }
    return -1;
}

bool cgroup_has_word(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = strstr(list, word); p; p = strstr(p + 1, word)) {
        bool starts = p == list || p[-1] == ',' || p[-1] == ' ';
        bool ends = p[n] == '\0' || p[n] == ',' || p[n] == ' ' || p[n] == '\n';

        if (starts && ends)
            return true;
    }
    return false;
}

static bool is_hierarchy(const char *path, bool v2)
{
    struct statfs st;

    return statfs(path, &st) == 0 && st.f_type == (v2 ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
}

/* Where every distribution mounts them: asking three places costs a tenth of reading the mount
 * table. */
static bool find_usual_mount(int i, struct cgroup_hierarchy *h)
{
    static const char *const v2[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

    if (i != H_V2) {
        snprintf(h->mount, sizeof h->mount, "/sys/fs/cgroup/%s", controllers[i]);
        return is_hierarchy(h->mount, false);
    }
    for (size_t k = 0; k < PJ_COUNT_OF(v2); k++) {
        snprintf(h->mount, sizeof h->mount, "%s", v2[k]);
        if (is_hierarchy(h->mount, true))
            return true;
    }
    return false;
}

static void find_mounts(struct cgroup_hierarchy h[H_COUNT])
{
    char line[1024];
    FILE *f = fopen("/proc/self/mountinfo", "re");

    while (f && fgets(line, sizeof line, f)) {
        char mount[256], type[32], options[256];
        const char *dash = strstr(line, " - cgroup");

        if (!dash || sscanf(line, "%*d %*d %*s %*s %255s", mount) != 1 ||
            sscanf(dash, " - %31s %*s %255s", type, options) != 2)
            continue;
        for (int i = 0; i < H_COUNT; i++) {
            if (i == H_V2 ? strcmp(type, "cgroup2") == 0
                          : strcmp(type, "cgroup") == 0 && cgroup_has_word(options, controllers[i]))
                memcpy(h[i].mount, mount, sizeof mount);
        }
    }
    if (f)
        fclose(f);
}

/* One line of /proc/self/cgroup: "id:controllers:path". */
static void note_own(struct cgroup_hierarchy h[H_COUNT], char *line)
{
    char *list = strchr(line, ':');
    char *path = list ? strchr(list + 1, ':') : NULL;

    if (!path)
        return;
    *path++ = '\0';
    for (int i = 0; i < H_COUNT; i++) {
        if (i == H_V2 ? list[1] == '\0' : cgroup_has_word(list + 1, controllers[i]))
            snprintf(h[i].own, sizeof h[i].own, "%s", path);
    }
}

/* Our own groups, and where their hierarchies are mounted. */
static void find_hierarchies(struct cgroup_hierarchy h[H_COUNT])
{
    char text[4096], *line, *rest = text;
    bool all_usual = true;

    memset(h, 0, H_COUNT * sizeof *h);
    if (cgroup_read("/proc/self", "cgroup", text, sizeof text) <= 0)
        return;
    while ((line = strsep(&rest, "\n")))
        note_own(h, line);
    for (int i = 0; i < H_COUNT; i++) {
        if (h[i].own[0] && !find_usual_mount(i, &h[i])) {
            h[i].mount[0] = '\0';
            all_usual = false;
        }
    }
    if (!all_usual)
        find_mounts(h);
}

/* Groups of our kind whose maker is gone: end what is left in them and remove them. The maker
 * holds a lock on the directory as long as it lives; a pid would say nothing, since others may
 * look from another pid namespace. */
static void sweep(const char *parent)
{
    DIR *dir = opendir(parent);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char path[800];
        int fd;

        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
            cgroup_write(path, "cgroup.kill", "1");
            rmdir(path);
        }
        pj_fd_close(&fd);
    }
    if (dir)
        closedir(dir);
}

/* Make and lock the directory. A sweep may take it in between, as long as it is empty: then try
 * again. */
int cgroup_make_locked(struct cgroup_dir *dir, const char *parent)
{
    for (int attempt = 0; attempt < 16; attempt++) {
        uint64_t random = 0;

        if (getrandom(&random, sizeof random, 0) < 0 ||
            snprintf(dir->path, sizeof dir->path, "%s/" PREFIX "%d.%08" PRIx64, parent,
                     (int)getpid(), random & 0xffffffffU) >= (int)sizeof dir->path ||
            (mkdir(dir->path, 0755) < 0 && errno != EEXIST))
            return -1;
        dir->dir_fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir->dir_fd >= 0 && flock(dir->dir_fd, LOCK_EX) == 0 && access(dir->path, F_OK) == 0)
            return 0;
        pj_fd_close(&dir->dir_fd);
    }
    return -1;
}

void cgroup_path(const struct cgroup_hierarchy *h, char *out, size_t size)
{
    if ((size_t)snprintf(out, size, "%s%s", h->mount, strcmp(h->own, "/") == 0 ? "" : h->own) >=
        size)
        out[0] = '\0'; /* cannot be: both parts are shorter than half of it */
}

struct cgroup_dir *cgroup_make_dir(struct cgroup *cg, const struct cgroup_hierarchy *h, bool v2)
{
    struct cgroup_dir *dir = &cg->dirs[cg->count];
    char parent[520];

    if (h->mount[0] == '\0' || h->own[0] != '/')
        return NULL;
    cgroup_path(h, parent, sizeof parent);
    for (size_t i = 0; i < cg->count; i++) {
        /* Controllers that are mounted together share one group. */
        if (strncmp(cg->dirs[i].path, parent, strlen(parent)) == 0 && cg->dirs[i].v2 == v2 &&
            strncmp(cg->dirs[i].path + strlen(parent), "/" PREFIX, sizeof PREFIX) == 0)
            return &cg->dirs[i];
    }
    if (cg->count == CGROUP_DIRS_MAX || cgroup_make_locked(dir, parent) < 0)
        return NULL;
    dir->v2 = v2;
    dir->controllers[0] = '\0';
    if (v2)
        (void)cgroup_read(dir->path, "cgroup.controllers", dir->controllers,
                          sizeof dir->controllers);
    /* A single thread that moves itself through v1's `tasks` needs no lock over all of the
     * machine's processes. */
    dir->join_fd = open_at(dir->path, v2 ? "cgroup.procs" : "tasks", O_WRONLY);
    if (dir->join_fd < 0) {
        rmdir(dir->path);
        pj_fd_close(&dir->dir_fd);
        return NULL;
    }
    cg->count++;
    return dir;
}

static bool offers(const struct cgroup_dir *dir, const char *controller)
{
    return cgroup_has_word(dir->controllers, controller);
}

static int limit_memory(const struct cgroup_dir *dir, int64_t bytes)
{
    if (dir->v2) {
        cgroup_write(dir->path, "memory.swap.max", "0");
        cgroup_write(dir->path, "memory.oom.group", "0");
        return write_number(dir->path, "memory.max", bytes);
    }
    if (write_number(dir->path, "memory.limit_in_bytes", bytes) < 0)
        return -1;
    write_number(dir->path, "memory.memsw.limit_in_bytes",
                 bytes); /* absent without swap accounting */
    return 0;
}

static int limit_cpu(const struct cgroup_dir *dir, int64_t milli)
{
    int64_t quota = milli * CPU_PERIOD_US / 1000;
    char text[64];

    if (quota < 1000)
        quota = 1000; /* the kernel's minimum */
    if (dir->v2) {
        snprintf(text, sizeof text, "%" PRId64 " %d", quota, CPU_PERIOD_US);
        return cgroup_write(dir->path, "cpu.max", text);
    }
    if (write_number(dir->path, "cpu.cfs_period_us", CPU_PERIOD_US) < 0)
        return -1;
    return write_number(dir->path, "cpu.cfs_quota_us", quota);
}

static int limit_pids(const struct cgroup_dir *dir, int64_t pids)
{
    return write_number(dir->path, "pids.max", pids + 1); /* process 1 counts */
}

typedef int (*limit_fn)(const struct cgroup_dir *, int64_t);

/* Keep `value` by v2 where it has the controller, else by v1's hierarchy of it; tells which. */
static const char *keep(struct cgroup *cg, const struct cgroup_dir *v2,
                        const struct cgroup_hierarchy *h, const char *controller, int64_t value,
                        limit_fn limit, const struct cgroup_dir **where)
{
    const struct cgroup_dir *dir;

    if (!value)
        return NULL;
    if (v2 && offers(v2, controller) && limit(v2, value) == 0) {
        if (where)
            *where = v2;
        return "cgroup-v2";
    }
    dir = cgroup_make_dir(cg, h, false);
    if (!dir || limit(dir, value) < 0)
        return NULL;
    if (where)
        *where = dir;
    return "cgroup-v1";
}

void cgroup_begin(struct cgroup *cg, const struct cgroup_limits *limits)
{
    struct cgroup_dir *v2;

    *cg = (struct cgroup){.home = {.dir_fd = -1, .join_fd = -1}};
    find_hierarchies(cg->hierarchies);
    v2 = cgroup_place(cg, &cg->hierarchies[H_V2], limits);
    if (v2) {
        char path[600];

        snprintf(path, sizeof path, "%s/cgroup.kill", v2->path);
        if (access(path, W_OK) == 0)
            cg->kill_dir = v2;
    }
}

static struct cgroup_dir *v2_of(struct cgroup *cg)
{
    return cg->count && cg->dirs[0].v2 ? &cg->dirs[0] : NULL;
}

int cgroup_birth_fd(const struct cgroup *cg)
{
    return cg->count && cg->dirs[0].v2 ? cg->dirs[0].dir_fd : -1;
}

void cgroup_limit(struct cgroup *cg, const struct cgroup_limits *limits)
{
    const struct cgroup_hierarchy *h = cg->hierarchies;
    const struct cgroup_dir *v2 = v2_of(cg);

    cg->memory_kept =
        keep(cg, v2, &h[H_MEMORY], "memory", limits->memory_bytes, limit_memory, &cg->memory_dir);
    cg->pids_kept = keep(cg, v2, &h[H_PIDS], "pids", limits->pids, limit_pids, NULL);
    cg->cpu_kept = keep(cg, v2, &h[H_CPU], "cpu", limits->cpu_milli, limit_cpu, NULL);
}

size_t cgroup_join_fds(const struct cgroup *cg, bool born_in_v2, int fds[CGROUP_DIRS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < cg->count; i++) {
        if (!(cg->dirs[i].v2 && born_in_v2))
            fds[n++] = cg->dirs[i].join_fd;
    }
    return n;
}

void cgroup_sweep(const struct cgroup *cg)
{
    for (size_t i = 0; i < cg->count; i++) {
        char parent[520];

        snprintf(parent, sizeof parent, "%.*s",
                 (int)(strrchr(cg->dirs[i].path, '/') - cg->dirs[i].path), cg->dirs[i].path);
        sweep(parent);
    }
}

void cgroup_kill(const struct cgroup *cg)
{
    if (cg->kill_dir)
        cgroup_write(cg->kill_dir->path, "cgroup.kill", "1");
}

int64_t cgroup_oom_kills(const struct cgroup *cg)
{
    char text[1024];
    int64_t n = 0;

    if (cg->memory_dir && cgroup_read(cg->memory_dir->path,
                                      cg->memory_dir->v2 ? "memory.events" : "memory.oom_control",
                                      text, sizeof text) > 0)
        n = keyed(text, "oom_kill");
    return n > 0 ? n : 0;
}

bool cgroup_remove(struct cgroup *cg, int64_t wait_ms)
{
    int64_t end = pj_mono_ms() + wait_ms;
    bool gone = true;

    prctl(PR_SET_TIMERSLACK, 1000UL); /* ours is over: sleep no longer than asked */
    for (size_t i = 0; i < cg->count; i++) {
        long pause_ns = 10000;

        /* A dead member leaves its group a moment after it was reaped; v1 has no event for that. */
        while (rmdir(cg->dirs[i].path) < 0 && errno == EBUSY && pj_mono_ms() < end) {
            nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
            if (pause_ns < 1000000)
                pause_ns *= 2;
        }
        if (access(cg->dirs[i].path, F_OK) == 0)
            gone = false;
        pj_fd_close(&cg->dirs[i].join_fd);
        pj_fd_close(&cg->dirs[i].dir_fd);
    }
    cg->count = 0;
    cgroup_step_back(cg);
    return gone;
}
