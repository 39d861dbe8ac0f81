/* Where in version 2 the box's group is made. A group that has processes passes no controllers on: memory refuses
 * it, and cpu and pids are worse: they would turn the group into one of threads, beneath which no process may be
 * put at all. So the process that is alone in its group, as systemd starts a service or a scope, steps aside into a
 * group of its own, and back at the end; else the box's group is made beside this one, where the limits of what is
 * above both still hold. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/view.h"
#include "sandbox/cgroup_impl.h"

static const char *const controllers[] = {"cpu", "memory", "pids"};

/* One at a time: a single one that is missing would refuse them all. */
static void pass_on(const char *parent, char sign)
{
    char list[512], word[16];

    if (cgroup_read(parent, "cgroup.controllers", list, sizeof list) <= 0)
        return;
    for (size_t i = 0; i < PJ_COUNT_OF(controllers); i++) {
        snprintf(word, sizeof word, "%c%s", sign, controllers[i]);
        if (cgroup_has_word(list, controllers[i]))
            cgroup_write(parent, "cgroup.subtree_control", word);
    }
}

/* The root alone has processes and passes controllers on; it has no type. */
static bool is_root(const char *path)
{
    char type[32];

    return cgroup_read(path, "cgroup.type", type, sizeof type) < 0 && errno == ENOENT;
}

/* Is there a controller that is asked for, that the group at `where` has, and that is not in `got`? */
static bool lacks(const char *got, const char *where, const struct cgroup_limits *limits)
{
    const int64_t asked[] = {limits->cpu_milli, limits->memory_bytes, limits->pids};
    char list[512];

    if (cgroup_read(where, "cgroup.controllers", list, sizeof list) <= 0)
        return false;
    for (size_t i = 0; i < PJ_COUNT_OF(controllers); i++) {
        if (asked[i] && cgroup_has_word(list, controllers[i]) &&
            !cgroup_has_word(got, controllers[i]))
            return true;
    }
    return false;
}

static void drop(struct cgroup_dir *dir)
{
    rmdir(dir->path);
    pj_fd_close(&dir->join_fd);
    pj_fd_close(&dir->dir_fd);
    dir->path[0] = '\0';
}

/* A group that processes may be put into, not one beneath a group of threads; when `best` is a group's path, one
 * that lacks nothing of what is asked for and to be had there. */
static struct cgroup_dir *make(struct cgroup *cg, const struct cgroup_hierarchy *h,
                               const struct cgroup_limits *limits, const char *best)
{
    struct cgroup_dir *dir = cgroup_make_dir(cg, h, true);
    char type[32];

    if (!dir)
        return NULL;
    if (cgroup_read(dir->path, "cgroup.type", type, sizeof type) > 0 &&
        strcmp(type, "domain\n") == 0 && !(best && lacks(dir->controllers, best, limits)))
        return dir;
    drop(dir);
    cg->count--;
    return NULL;
}

/* The parent of `pid`, 0 when it cannot be told. */
static pid_t parent_of(pid_t pid)
{
    char dir[32], text[512];
    const char *end;

    snprintf(dir, sizeof dir, "/proc/%d", (int)pid);
    if (cgroup_read(dir, "stat", text, sizeof text) <= 0 || !(end = strrchr(text, ')')) ||
        strlen(end) < 5)
        return 0;
    return (pid_t)strtol(end + 4, NULL, 10); /* ") S " */
}

/* This process and what it has started are all that is in the group. */
static bool is_alone(const char *procs)
{
    for (const char *at = procs; *at;) {
        char *end;
        pid_t pid = (pid_t)strtol(at, &end, 10);

        if (end == at || *end != '\n' || (pid != getpid() && parent_of(pid) != getpid()))
            return false;
        at = end + 1;
    }
    return *procs != '\0';
}

static int move_all(const char *procs, const char *to)
{
    for (const char *at = procs; *at;) {
        char word[24];
        char *end;
        long pid = strtol(at, &end, 10);

        snprintf(word, sizeof word, "%ld", pid);
        if (cgroup_write(to, "cgroup.procs", word) < 0 && errno != ESRCH)
            return -1;
        at = *end ? end + 1 : end;
    }
    return 0;
}

static bool step_aside(struct cgroup *cg, const char *own)
{
    char procs[512];

    if (cgroup_read(own, "cgroup.procs", procs, sizeof procs) <= 0 || !is_alone(procs) ||
        cgroup_make_locked(&cg->home, own) < 0) {
        cg->home.path[0] = '\0';
        return false;
    }
    if (move_all(procs, cg->home.path) == 0) {
        pass_on(own, '+');
        return true;
    }
    move_all(procs, own);
    drop(&cg->home);
    return false;
}

void cgroup_step_back(struct cgroup *cg)
{
    char own[sizeof cg->home.path], procs[512];

    if (!cg->home.path[0])
        return;
    snprintf(own, sizeof own, "%.*s", (int)(strrchr(cg->home.path, '/') - cg->home.path),
             cg->home.path);
    pass_on(own, '-');
    if (cgroup_read(cg->home.path, "cgroup.procs", procs, sizeof procs) > 0)
        move_all(procs, own);
    drop(&cg->home);
}

struct cgroup_dir *cgroup_place(struct cgroup *cg, const struct cgroup_hierarchy *own,
                                const struct cgroup_limits *limits)
{
    struct cgroup_hierarchy up = *own;
    struct cgroup_dir *dir;
    char here[520], above[520], *slash = strrchr(up.own, '/');

    cgroup_path(own, here, sizeof here);
    if (!own->mount[0] || !slash || !(limits->memory_bytes || limits->pids || limits->cpu_milli))
        return make(cg, own, limits, NULL);
    slash[slash == up.own] = '\0';
    cgroup_path(&up, above, sizeof above); /* the same, at the top */
    if (is_root(here))
        pass_on(here, '+');
    dir = make(cg, own, limits, above);
    if (!dir && lacks("", here, limits) && step_aside(cg, here) &&
        !(dir = make(cg, own, limits, above)))
        cgroup_step_back(cg);
    if (!dir && strcmp(above, here) != 0) {
        pass_on(above, '+');
        dir = make(cg, &up, limits, NULL);
    }
    return dir ? dir : make(cg, own, limits, NULL);
}
