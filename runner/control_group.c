#include "runner/control_group.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

#define MOUNT "/sys/fs/cgroup"
#define TEXT_MAX 4096

static bool read_file(const char *path, struct pj_str *text)
{
    struct pj_err ignored;

    pj_str_clear(text);
    return pj_fs_read(path, text, &ignored) == 0;
}

/* The line "0::/system.slice/pj-runner.service", which is the last where version 1 has lines too. */
static char *own_group(void)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    char *line;

    pj_str_init(&text, TEXT_MAX);
    if (!read_file("/proc/self/cgroup", &text) ||
        (line = strstr(pj_str_cstr(&text), "0::/")) == NULL)
        return NULL;
    line += 3;
    line[strcspn(line, "\n")] = '\0';
    return pj_asprintf(MOUNT "%s", strcmp(line, "/") == 0 ? "" : line);
}

static bool is_alone(const char *group)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/cgroup.procs", group);
    PJ_CLEANUP(pj_freep) char *alone = pj_asprintf("%d\n", (int)getpid());
    PJ_CLEANUP(pj_str_release) struct pj_str text;

    pj_str_init(&text, TEXT_MAX);
    return read_file(path, &text) && strcmp(pj_str_cstr(&text), alone) == 0 &&
           access(path, W_OK) == 0;
}

bool control_group_step_aside(void)
{
    struct statfs st;
    struct pj_err err;

    if (statfs(MOUNT, &st) < 0 || st.f_type != CGROUP2_SUPER_MAGIC)
        return false;
    PJ_CLEANUP(pj_freep) char *group = own_group();
    if (group == NULL || !is_alone(group))
        return false;
    PJ_CLEANUP(pj_freep) char *below = pj_asprintf("%s/runner", group);
    PJ_CLEANUP(pj_freep) char *procs = pj_asprintf("%s/cgroup.procs", below);
    if (mkdir(below, 0755) < 0 && errno != EEXIST)
        return false;
    int fd = open(procs, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || pj_write_all(fd, "0", 1) < 0) {
        (void)pj_fail_errno(&err, errno, "move to %s", below);
        pj_log_err(PJ_LOG_WARN, "control_group_kept", &err, NULL, NULL);
        pj_fd_close(&fd);
        (void)rmdir(below);
        return false;
    }
    pj_fd_close(&fd);
    return true;
}
