#include "runner/family.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"

#define PROCESSES_MAX 65536
#define BEGAN_FIELD 22 /* of /proc/PID/stat; the name in brackets is the second (proc(5)) */
#define HOLD_MS 200    /* to stop them all: one that forks meanwhile is found by the next round */

struct process {
    pid_t pid, parent;
    uint64_t began; /* in clock ticks since boot: with its number, which process it is */
    char state;     /* of its first thread, as in /proc/PID/stat: R S D Z T t X */
    enum { UNKNOWN, ASKED, OURS, OTHERS } whose;
};

struct family {
    struct process *p;
    size_t n;
};

struct held {
    pid_t root, *pid; /* sorted */
    size_t n;
};

/* "1234 (name) S 1233 …". The name may hold anything. False: gone. */
static bool read_stat(const char *path, struct process *out)
{
    char text[512];
    const char *end;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    pj_fd_close(&fd);
    text[n > 0 ? n : 0] = '\0';
    end = strrchr(text, ')');
    if (end == NULL || strlen(end) <= 4)
        return false;
    *out = (struct process){.pid = (pid_t)strtol(text, NULL, 10),
                            .parent = (pid_t)strtol(end + 4, NULL, 10),
                            .state = end[2]};
    for (int field = 2; field < BEGAN_FIELD && end != NULL; field++)
        end = strchr(end + 1, ' ');
    if (end == NULL)
        return false;
    out->began = strtoull(end, NULL, 10);
    return true;
}

static bool read_process(const char *pid, struct process *out)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    return read_stat(path, out);
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const struct process *)a)->pid, y = ((const struct process *)b)->pid;

    return (x > y) - (x < y);
}

static struct process *find(const struct family *f, pid_t pid)
{
    const struct process key = {.pid = pid};

    return f->n > 0 ? bsearch(&key, f->p, f->n, sizeof(*f->p), by_pid) : NULL;
}

/* Each process is asked for its parent once, whatever trees a box grows. */
static void mark(struct family *f, pid_t root)
{
    struct process *top = find(f, root);

    if (top != NULL)
        top->whose = OURS;
    for (size_t i = 0; i < f->n; i++) {
        struct process *at = &f->p[i];
        bool ours;

        for (; at != NULL && at->whose == UNKNOWN; at = find(f, at->parent))
            at->whose = ASKED;
        ours = at != NULL && at->whose == OURS;
        for (at = &f->p[i]; at != NULL && at->whose == ASKED; at = find(f, at->parent))
            at->whose = ours ? OURS : OTHERS;
    }
}

/* Only what is ours; released by free(f->p). */
static void list(struct family *f, pid_t root)
{
    DIR *dir = opendir("/proc");
    const struct dirent *entry = NULL;
    size_t room = 0, kept = 0;

    *f = (struct family){0};
    while (dir != NULL && f->n < PROCESSES_MAX && (entry = readdir(dir)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        if (f->n == room) {
            room = room == 0 ? 256 : room * 2;
            f->p = pj_realloc(f->p, room, sizeof(*f->p));
        }
        if (read_process(entry->d_name, &f->p[f->n]))
            f->n++;
    }
    if (dir != NULL)
        closedir(dir);
    if (f->n > 0)
        qsort(f->p, f->n, sizeof(*f->p), by_pid);
    mark(f, root);
    for (size_t i = 0; i < f->n; i++)
        if (f->p[i].whose == OURS)
            f->p[kept++] = f->p[i];
    f->n = kept;
}

size_t family_list(pid_t root, pid_t **out)
{
    struct family f;

    list(&f, root);
    *out = pj_alloc(f.n > 0 ? f.n : 1, sizeof(**out));
    for (size_t i = 0; i < f.n; i++)
        (*out)[i] = f.p[i].pid;
    free(f.p);
    return f.n;
}

/* To this very process: its number may have become another's since it was listed. */
static void signal_it(const struct process *p, int sig)
{
    char pid[24];
    struct process now;
    int fd = pidfd_open(p->pid, 0);

    (void)snprintf(pid, sizeof(pid), "%d", (int)p->pid);
    if (fd >= 0 && read_process(pid, &now) && now.began == p->began)
        (void)pidfd_send_signal(fd, sig, NULL, 0);
    pj_fd_close(&fd);
}

static int compare_pids(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

    return (x > y) - (x < y);
}

static bool is_held(const struct held *h, pid_t pid)
{
    return h->n > 0 && bsearch(&pid, h->pid, h->n, sizeof(*h->pid), compare_pids) != NULL;
}

/* All its threads do: the first one may have ended and be a zombie while others go on, and each is stopped by itself. */
static bool stands(const struct process *p)
{
    char path[80];
    struct process thread;
    const struct dirent *entry = NULL;
    bool all = true;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)p->pid);
    DIR *dir = opendir(path);
    while (dir != NULL && all && (entry = readdir(dir)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%.20s/stat", (int)p->pid, entry->d_name);
        all = !read_stat(path, &thread) || strchr("TtZX", thread.state) != NULL;
    }
    if (dir != NULL)
        closedir(dir);
    return all;
}

/* One round. True: all stood still before it, so nothing can have been forked since. */
static bool hold_round(struct held *h)
{
    struct family f;
    size_t known = h->n;
    bool all = true;

    list(&f, h->root);
    h->pid = pj_realloc(h->pid, known + f.n + 1, sizeof(*h->pid));
    for (size_t i = 0; i < f.n; i++) {
        if (f.p[i].pid == h->root || stands(&f.p[i]))
            continue;
        all = false;
        signal_it(&f.p[i], SIGSTOP);
        if (!is_held(&(struct held){.pid = h->pid, .n = known}, f.p[i].pid))
            h->pid[h->n++] = f.p[i].pid;
    }
    qsort(h->pid, h->n, sizeof(*h->pid), compare_pids);
    free(f.p);
    return all;
}

struct held *family_hold(pid_t root)
{
    struct held *h = pj_alloc(1, sizeof(*h));
    int64_t until = pj_mono_ms() + HOLD_MS;

    h->root = root;
    while (!hold_round(h) && pj_mono_ms() < until)
        (void)poll(NULL, 0, 1); /* to be stopped takes them a moment */
    return h;
}

void family_let_go(struct held *h)
{
    struct family f;

    if (h == NULL)
        return;
    list(&f, h->root);
    for (size_t i = 0; i < f.n; i++)
        if (is_held(h, f.p[i].pid))
            signal_it(&f.p[i], SIGCONT);
    free(f.p);
    family_forget(h);
}

void family_forget(struct held *h)
{
    if (h == NULL)
        return;
    free(h->pid);
    free(h);
}
