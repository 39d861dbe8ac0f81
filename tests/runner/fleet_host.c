/* fleet_host.c - what of a fleet is on the host: processes, mounts, folders. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "tests/runner/fleet.h"

/* The NUL-separated words of a process, joined by spaces. False when it is gone or a kernel thread. */
static bool command_line(long pid, struct pj_str *out)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%ld/cmdline", pid);
    struct pj_err err;

    pj_str_clear(out);
    if (pj_fs_read(path, out, &err) < 0 || out->len == 0)
        return false;
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == '\0')
            out->data[i] = ' ';
    return true;
}

static long parent_of(long pid)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%ld/stat", pid);
    struct pj_str text;
    struct pj_err err;
    long parent = 0;
    const char *after;

    pj_str_init(&text, 4096);
    if (pj_fs_read(path, &text, &err) == 0 && (after = strrchr(pj_str_cstr(&text), ')')) != NULL)
        (void)sscanf(after, ") %*c %ld", &parent);
    pj_str_release(&text);
    return parent;
}

static bool descends(long pid, long ancestor)
{
    for (int i = 0; pid > 1 && i < 20; i++) {
        if (pid == ancestor)
            return true;
        pid = parent_of(pid);
    }
    return false;
}

/* First process for which the test holds; 0 when there is none. */
static long find(bool (*test)(long pid, const char *line, void *ctx), void *ctx)
{
    DIR *proc = opendir("/proc");
    struct dirent *e;
    struct pj_str line;
    long found = 0;

    pj_str_init(&line, 65536);
    while (found == 0 && (e = readdir(proc)) != NULL) {
        long pid = strtol(e->d_name, NULL, 10);

        if (pid > 1 && pid != getpid() && command_line(pid, &line) &&
            test(pid, pj_str_cstr(&line), ctx))
            found = pid;
    }
    (void)closedir(proc);
    pj_str_release(&line);
    return found;
}

struct wanted {
    long ancestor;
    const char *program, *argument;
};

static bool is_wanted(long pid, const char *line, void *ctx)
{
    const struct wanted *w = ctx;
    const char *at = strstr(line, w->program);
    const char *space = strchr(line, ' ');

    return at != NULL && space != NULL && at < space &&
           (w->argument == NULL || strstr(space, w->argument) != NULL) &&
           descends(pid, w->ancestor);
}

pid_t fleet_find_process(struct fleet *f, size_t i, const char *program, const char *argument)
{
    struct wanted w = {.ancestor = f->runner[i].pid, .program = program, .argument = argument};

    return (pid_t)find(is_wanted, &w);
}

static bool names_fleet(long pid, const char *line, void *ctx)
{
    struct fleet *f = ctx;
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%ld/environ", pid);
    struct pj_str env;
    struct pj_err err;
    bool found = strstr(line, f->state) != NULL;

    pj_str_init(&env, 1 << 20);
    if (!found && pj_fs_read(path, &env, &err) == 0)
        for (size_t at = 0; !found && at < env.len; at += strlen(env.data + at) + 1)
            found = strncmp(env.data + at, "PJ_FORGES=", 10) == 0 &&
                    strstr(env.data + at, f->dir) != NULL;
    pj_str_release(&env);
    return found;
}

/* Name of a folder under <state>/work, owned by the caller; NULL when there is none. */
static char *find_work(const char *state)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/work", state);
    DIR *dir = opendir(path);
    struct dirent *e;
    char *found = NULL;

    while (dir != NULL && found == NULL && (e = readdir(dir)) != NULL)
        if (e->d_name[0] != '.')
            found = pj_strdup(e->d_name);
    if (dir != NULL)
        (void)closedir(dir);
    return found;
}

static void on_alarm(int sig)
{
    (void)sig;
}

/* A line for each process that has the file open. */
static void name_holders(const char *path, struct pj_str *out)
{
    struct stat want, st;
    DIR *proc = opendir("/proc");
    struct dirent *e;
    struct pj_str line;

    pj_str_init(&line, 65536);
    cr_assert_eq(stat(path, &want), 0);
    while ((e = readdir(proc)) != NULL)
        for (int fd = 0; fd < 64; fd++) {
            PJ_CLEANUP(pj_freep) char *of = pj_asprintf("/proc/%s/fd/%d", e->d_name, fd);

            if (e->d_name[0] > '0' && e->d_name[0] <= '9' && stat(of, &st) == 0 &&
                st.st_ino == want.st_ino && st.st_dev == want.st_dev &&
                command_line(strtol(e->d_name, NULL, 10), &line))
                (void)pj_str_putf(out, "%s: %s\n", e->d_name, pj_str_cstr(&line));
        }
    (void)closedir(proc);
    pj_str_release(&line);
}

/* Spawner and keepers hold the lock of their state folder until nothing of a task is left. */
static void await_lock(const char *state)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/runner.lock", state);
    PJ_CLEANUP(pj_closep) int fd = open(path, O_RDWR | O_CLOEXEC);
    const struct sigaction wake = {.sa_handler = on_alarm};
    struct sigaction was;
    struct pj_str who;

    if (fd < 0)
        return;
    cr_assert_eq(sigaction(SIGALRM, &wake, &was), 0);
    (void)alarm(FLEET_SOON_MS / 1000);
    bool held = flock(fd, LOCK_EX) == 0;
    (void)alarm(0);
    (void)sigaction(SIGALRM, &was, NULL);
    pj_str_init(&who, 65536);
    if (!held)
        name_holders(path, &who);
    cr_assert(held, "%s is not let go by\n%s", path, pj_str_cstr(&who));
    pj_str_release(&who);
}

void fleet_assert_clean(struct fleet *f)
{
    PJ_CLEANUP(pj_freep) char *second = pj_asprintf("%s/state-1", f->dir);
    struct pj_str mounts;
    struct pj_err err;
    long pid;

    await_lock(f->state);
    await_lock(second);
    pid = find(names_fleet, f);
    cr_assert_eq(pid, 0, "process %ld is left", pid);
    fleet_assert_no_work(f, 0);
    fleet_assert_no_work(f, 1);
    pj_str_init(&mounts, 1 << 20);
    cr_assert_eq(pj_fs_read("/proc/self/mountinfo", &mounts, &err), 0);
    cr_assert_null(strstr(pj_str_cstr(&mounts), f->dir), "a mount is left");
    pj_str_release(&mounts);
}

void fleet_assert_no_work(struct fleet *f, size_t i)
{
    PJ_CLEANUP(pj_freep) char *state = pj_asprintf("%s/state-%zu", f->dir, i);
    PJ_CLEANUP(pj_freep) char *folder = find_work(state);
    PJ_CLEANUP(pj_freep)
    char *log = folder != NULL && f->runner[i].log_path != NULL ? program_log(&f->runner[i]) : NULL;

    cr_assert_null(folder, "%s/work/%s is left; the runner said:\n%s", state, folder, log);
    if (f->runner[i].pid != 0)
        cr_assert_eq(fleet_find_process(f, i, "pj-sandbox", NULL), 0, "a box is left");
}
