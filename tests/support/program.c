#include "tests/support/program.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"

#define ARGS_MAX 40
#define ENV_MAX 120
#define LOG_MAX (64u * 1024 * 1024)

char *program_path(const char *name)
{
    const char *bin = getenv("PJ_TEST_BIN");

    if (name[0] == '/')
        return pj_strdup(name);
    cr_assert_not_null(bin, "PJ_TEST_BIN is not set: run this under ctest");
    return pj_asprintf("%s/%s", bin, name);
}

static void spawn(struct program *p, const char *name, const char *const *args, char *const *env,
                  const char *dir, const int fds[3], const char *notify)
{
    PJ_CLEANUP(pj_freep) char *path = program_path(name);
    PJ_CLEANUP(pj_freep) char *notify_var = notify ? pj_asprintf("NOTIFY_SOCKET=%s", notify) : NULL;
    char *argv[ARGS_MAX + 2] = {path};
    char *envp[ENV_MAX + 2] = {NULL};
    size_t argc = 1, envc = 0;
    struct pj_spawn_fd map[3] = {
        {fds[0], 0},
        {fds[1], 1},
        {fds[2], 2},
    };
    struct pj_err err = {0};

    for (; args && *args && argc <= ARGS_MAX; args++)
        argv[argc++] = pj_strdup(*args);
    for (; *env && envc < ENV_MAX; env++)
        envp[envc++] = *env;
    if (notify_var)
        envp[envc++] = notify_var;
    struct pj_spawn spec = {.path = path,
                            .argv = argv,
                            .envp = envp,
                            .cwd = dir,
                            .fds = map,
                            .fd_count = 3,
                            .death_signal = SIGKILL};
    cr_assert_eq(pj_spawn(&spec, &p->pid, &p->pidfd, &err), 0, "%s: %s", name, err.message);
    for (size_t i = 1; i < argc; i++)
        free(argv[i]);
}

static int open_null(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void start(struct program *p, const char *name, const char *const *args, char *const *env,
                  const char *dir, const char *tag, const char *notify)
{
    memset(p, 0, sizeof *p);
    p->name = pj_strdup(name);
    p->log_path = pj_asprintf("%s/%s.log", dir, tag);
    PJ_CLEANUP(pj_closep)
    int log = open(p->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    PJ_CLEANUP(pj_closep) int null = open_null();
    cr_assert(log >= 0 && null >= 0);
    spawn(p, name, args, env, dir, (const int[]){null, log, log}, notify);
}

void program_start(struct program *p, const char *name, const char *const *args, char *const *env,
                   const char *dir, const char *tag)
{
    start(p, name, args, env, dir, tag, NULL);
}

void program_start_tty(struct program *p, const char *name, const char *const *args,
                       char *const *env, const char *dir, unsigned short columns, int *terminal)
{
    const struct winsize size = {.ws_row = 24, .ws_col = columns};
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char path[64];

    memset(p, 0, sizeof *p);
    p->name = pj_strdup(name);
    cr_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    cr_assert_eq(ptsname_r(master, path, sizeof path), 0);
    PJ_CLEANUP(pj_closep) int slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    cr_assert(slave >= 0 && ioctl(slave, TIOCSWINSZ, &size) == 0);
    spawn(p, name, args, env, dir, (const int[]){slave, slave, slave}, NULL);
    *terminal = master;
}

bool program_tty_wait(int terminal, struct pj_str *seen, const char *text, int deadline_ms)
{
    int64_t until = pj_mono_ms() + deadline_ms;
    char bytes[4096];

    while (!text || !strstr(pj_str_cstr(seen), text)) {
        struct pollfd fd = {.fd = terminal, .events = POLLIN};
        int64_t left = until - pj_mono_ms();

        if (left <= 0 || (poll(&fd, 1, (int)left) < 0 && errno != EINTR))
            return false;
        ssize_t n = fd.revents ? read(terminal, bytes, sizeof bytes) : 0;
        if (n < 0 && errno == EIO) /* nobody holds the other end any more */
            return !text;
        if (n > 0)
            (void)pj_str_append(seen, bytes, (size_t)n);
    }
    return true;
}

static void reap(struct program *p)
{
    int status = 0;

    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
        ;
    p->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    p->pid = 0;
    pj_fd_close(&p->pidfd);
}

static bool wait_end(struct program *p, int timeout_ms)
{
    struct pollfd fd = {.fd = p->pidfd, .events = POLLIN};
    int64_t until = pj_mono_ms() + timeout_ms;

    if (p->pid == 0)
        return true;
    for (;;) {
        int64_t left = until - pj_mono_ms();
        int n = poll(&fd, 1, left > 0 ? (int)left : 0);

        if (n > 0) {
            reap(p);
            return true;
        }
        if (n == 0 || errno != EINTR)
            return false;
    }
}

/* True once READY=1 was received; p->ready has the STATUS. */
static bool take_notice(struct program *p, int fd)
{
    char text[1200];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);

    if (n <= 0)
        return false;
    text[n] = '\0';
    if (!strstr(text, "READY=1"))
        return false;
    const char *status = strstr(text, "STATUS=");
    p->ready = pj_strdup(status ? status + 7 : "");
    p->ready[strcspn(p->ready, "\n")] = '\0';
    return true;
}

bool program_start_ready(struct program *p, const char *name, const char *const *args,
                         char *const *env, const char *dir, const char *tag, int deadline_ms)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s.notify", dir, tag);
    PJ_CLEANUP(pj_closep) int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int64_t until = pj_mono_ms() + deadline_ms;
    int on = 1;

    cr_assert_lt(strlen(path), sizeof at.sun_path);
    memcpy(at.sun_path, path, strlen(path));
    (void)unlink(path);
    cr_assert_eq(bind(sock, (struct sockaddr *)&at, sizeof at), 0, "bind %s", path);
    (void)setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    start(p, name, args, env, dir, tag, path);
    for (;;) {
        struct pollfd fds[2] = {
            {sock, POLLIN, 0},
            {p->pidfd, POLLIN, 0},
        };
        int64_t left = until - pj_mono_ms();

        if (poll(fds, 2, left > 0 ? (int)left : 0) == 0) {
            PJ_CLEANUP(pj_freep) char *log = program_log(p);

            cr_assert_fail("%s was not ready in time:\n%s", name, log);
        }
        if ((fds[0].revents & POLLIN) && take_notice(p, sock)) {
            (void)unlink(path);
            return true;
        }
        if (fds[1].revents) {
            reap(p);
            (void)unlink(path);
            return false;
        }
    }
}

int program_wait(struct program *p, int deadline_ms)
{
    if (!wait_end(p, deadline_ms)) {
        PJ_CLEANUP(pj_freep) char *log = program_log(p);

        cr_assert_fail("%s has not ended in time:\n%s", p->name, log);
    }
    return p->exit_code;
}

bool program_has_ended(struct program *p)
{
    return wait_end(p, 0);
}

static bool log_has(const struct program *p, const char *text)
{
    PJ_CLEANUP(pj_freep) char *log = program_log(p);

    return strstr(log, text) != NULL;
}

bool program_wait_log(struct program *p, const char *text, int deadline_ms)
{
    PJ_CLEANUP(pj_closep) int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int64_t until = pj_mono_ms() + deadline_ms;
    char events[4096];

    cr_assert(watch >= 0 && inotify_add_watch(watch, p->log_path, IN_MODIFY) >= 0);
    while (!log_has(p, text)) {
        struct pollfd fds[2] = {
            {watch, POLLIN, 0},
            {p->pidfd, POLLIN, 0},
        };
        int64_t left = until - pj_mono_ms();

        if (left <= 0 || p->pid == 0 || poll(fds, 2, (int)left) == 0)
            return false;
        if (fds[1].revents)
            return log_has(p, text);
        (void)!read(watch, events, sizeof events);
    }
    return true;
}

int program_stop(struct program *p, int signal, int deadline_ms)
{
    if (p->pid > 0)
        cr_assert_eq(kill(p->pid, signal), 0);
    return program_wait(p, deadline_ms);
}

char *program_log(const struct program *p)
{
    struct pj_str text;
    struct pj_err err = {0};

    pj_str_init(&text, LOG_MAX);
    if (p->log_path && pj_fs_read(p->log_path, &text, &err) < 0)
        pj_str_puts(&text, err.message);
    return pj_str_take(&text);
}

void program_release(struct program *p)
{
    if (p->pid > 0) {
        (void)kill(p->pid, SIGKILL);
        reap(p);
    }
    free(p->name);
    free(p->log_path);
    free(p->ready);
    memset(p, 0, sizeof *p);
}

static char *memory_text(int fd)
{
    struct pj_str text;
    struct pj_err err = {0};

    pj_str_init(&text, LOG_MAX);
    cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
    cr_assert_eq(pj_fs_read_fd(fd, &text, &err), 0, "%s", err.message);
    return pj_str_take(&text);
}

int program_run(const char *name, const char *const *args, char *const *env, const char *dir,
                const char *input, char **out, char **err)
{
    PJ_CLEANUP(pj_closep) int in_fd = memfd_create("in", MFD_CLOEXEC);
    PJ_CLEANUP(pj_closep) int out_fd = memfd_create("out", MFD_CLOEXEC);
    PJ_CLEANUP(pj_closep) int err_fd = memfd_create("err", MFD_CLOEXEC);
    struct program p = {.pidfd = -1};

    cr_assert(in_fd >= 0 && out_fd >= 0 && err_fd >= 0);
    cr_assert(!input || pj_write_all(in_fd, input, strlen(input)) == 0);
    cr_assert_eq(lseek(in_fd, 0, SEEK_SET), 0);
    p.name = pj_strdup(name);
    spawn(&p, name, args, env, dir, (const int[]){in_fd, out_fd, err_fd}, NULL);
    bool ended = wait_end(&p, 120000);
    *out = memory_text(out_fd);
    *err = memory_text(err_fd);
    cr_assert(ended, "%s has not ended: %s%s", name, *out, *err);
    int code = p.exit_code;
    program_release(&p);
    return code;
}
