/* tool_run.c - run: a command in a process group of its own, with a time limit; its lines go to the log as they come, and the
 * model gets the head and the tail. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "lib/json/codec.h"
#include "runner/agent/tools.h"
#include "runner/agent/tree.h"

#define HEAD_MAX ((size_t)5 << 10)
#define TAIL_MAX ((size_t)5 << 10)
#define LINE_BYTES_MAX ((size_t)16 << 10)
#define LOGGED_MAX ((size_t)8 << 20)
#define LINES_A_FRAME 500
#define TIMEOUT_DEFAULT_S 120
#define TIMEOUT_MAX_S 600
#define AFTERLIFE_MS 1000 /* for output of processes that left the group */

struct stream {
    int fd;
    const char *name;
    struct pj_str line;
};

struct running {
    struct agent *a;
    pid_t pid;
    int pidfd;
    struct stream stream[2];
    struct pj_str head, tail;
    size_t total, logged;
    bool timed_out, ended, log_full;
    int status;
    int64_t deadline_ms;
};

static void remember(struct running *r, const char *bytes, size_t n)
{
    size_t room = HEAD_MAX - r->head.len, first = n < room ? n : room;

    r->total += n;
    (void)pj_str_append(&r->head, bytes, first);
    bytes += first;
    n -= first;
    if (n > TAIL_MAX) {
        bytes += n - TAIL_MAX;
        n = TAIL_MAX;
    }
    if (r->tail.len + n > TAIL_MAX)
        pj_str_shift(&r->tail, r->tail.len + n - TAIL_MAX);
    (void)pj_str_append(&r->tail, bytes, n);
}

static void push_line(struct stream *s, json_t *lines)
{
    struct pj_str clean;

    if (s->line.len > 0 && s->line.data[s->line.len - 1] == '\r')
        s->line.data[--s->line.len] = '\0';
    pj_str_init(&clean, s->line.len * 3 + 1);
    (void)pj_utf8_append_clean(&clean, pj_view_n(pj_str_cstr(&s->line), s->line.len));
    json_array_append_new(lines, json_stringn(pj_str_cstr(&clean), clean.len));
    pj_str_release(&clean);
    pj_str_clear(&s->line);
}

/* Lines to the log; with `last` also one without its newline. */
static void log_output(struct running *r, struct stream *s, const char *bytes, size_t n, bool last)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *lines = json_array();

    if (r->log_full)
        return;
    r->logged += n;
    if (r->logged > LOGGED_MAX) {
        r->log_full = true;
        agent_log(r->a, "warn", "the command prints more than 8 MiB; the rest is not logged", NULL);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n')
            (void)pj_str_putc(&s->line, bytes[i]);
        if (bytes[i] == '\n' || s->line.len >= LINE_BYTES_MAX)
            push_line(s, lines);
        if (json_array_size(lines) >= LINES_A_FRAME) {
            agent_log_lines(r->a, s->name, lines);
            json_array_clear(lines);
        }
    }
    if (last && s->line.len > 0)
        push_line(s, lines);
    agent_log_lines(r->a, s->name, lines);
}

static void read_stream(struct running *r, struct stream *s)
{
    char bytes[16384];
    ssize_t n = read(s->fd, bytes, sizeof bytes);

    if (n > 0) {
        remember(r, bytes, (size_t)n);
        log_output(r, s, bytes, (size_t)n, false);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        pj_fd_close(&s->fd);
        log_output(r, s, NULL, 0, true);
    }
}

static int start(struct running *r, const char *command, const char *cwd, struct pj_err *err)
{
    const char *shell = access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh";
    PJ_CLEANUP(pj_freep) char *text = pj_strdup(command);
    PJ_CLEANUP(pj_freep) char *sh = pj_strdup(shell);
    char flag[] = "-c";
    char *argv[] = {sh, flag, text, NULL};
    int out[2], errs[2];
    extern char **environ;

    if (pipe2(out, O_CLOEXEC) < 0)
        return pj_fail_errno(err, errno, "pipe");
    if (pipe2(errs, O_CLOEXEC) < 0) {
        close(out[0]);
        close(out[1]);
        return pj_fail_errno(err, errno, "pipe");
    }
    struct pj_spawn_fd fds[] = {
        {out[1], 1},
        {errs[1], 2},
    };
    struct pj_spawn spec = {.path = sh,
                            .argv = argv,
                            .envp = environ,
                            .cwd = cwd,
                            .fds = fds,
                            .fd_count = 2,
                            .death_signal = SIGKILL,
                            .new_session = true};
    int rc = pj_spawn(&spec, &r->pid, &r->pidfd, err);

    close(out[1]);
    close(errs[1]);
    if (rc < 0) {
        close(out[0]);
        close(errs[0]);
        return -1;
    }
    (void)fcntl(out[0], F_SETFL, O_NONBLOCK);
    (void)fcntl(errs[0], F_SETFL, O_NONBLOCK);
    r->stream[0].fd = out[0];
    r->stream[1].fd = errs[0];
    return 0;
}

static void reap(struct running *r)
{
    (void)kill(-r->pid,
               SIGKILL); /* the rest of its group, while the leader's number is still ours */
    while (waitpid(r->pid, &r->status, 0) < 0 && errno == EINTR)
        ;
    r->ended = true;
    r->deadline_ms = pj_mono_ms() + AFTERLIFE_MS;
}

static void drive(struct running *r)
{
    while (!r->ended || r->stream[0].fd >= 0 || r->stream[1].fd >= 0) {
        struct pollfd fds[3] = {
            {r->stream[0].fd, POLLIN, 0},
            {r->stream[1].fd, POLLIN, 0},
            {r->ended ? -1 : r->pidfd, POLLIN, 0},
        };
        int64_t left = r->deadline_ms - pj_mono_ms();

        if (left <= 0) {
            if (r->ended)
                return;
            r->timed_out = true;
            reap(r);
            continue;
        }
        if (poll(fds, 3, (int)left) < 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (fds[i].revents)
                read_stream(r, &r->stream[i]);
        if (fds[2].revents)
            reap(r);
    }
}

static void put_result(const struct running *r, int64_t timeout_s, int64_t ms, struct pj_str *out)
{
    if (r->timed_out)
        (void)pj_str_putf(out, "killed after %lld s (time limit)", (long long)timeout_s);
    else if (WIFSIGNALED(r->status))
        (void)pj_str_putf(out, "killed by signal %d (%s)", WTERMSIG(r->status),
                          strsignal(WTERMSIG(r->status)));
    else
        (void)pj_str_putf(out, "exit code %d", WEXITSTATUS(r->status));
    (void)pj_str_putf(out, ", %lld.%lld s\n", (long long)ms / 1000, (long long)ms % 1000 / 100);
    if (r->total == 0)
        (void)pj_str_puts(out, "(no output)");
    (void)pj_utf8_append_clean(out, pj_view_n(pj_str_cstr(&r->head), r->head.len));
    if (r->total > r->head.len + r->tail.len)
        (void)pj_str_putf(out, "\n… [%zu bytes left out] …\n",
                          r->total - r->head.len - r->tail.len);
    (void)pj_utf8_append_clean(out, pj_view_n(pj_str_cstr(&r->tail), r->tail.len));
}

int tool_run(struct agent *a, const json_t *args, struct pj_str *out)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;
    PJ_CLEANUP(pj_freep) char *cwd = NULL;
    PJ_CLEANUP(pj_freep) char *line = NULL;
    struct running r = {
        .a = a,
        .pidfd = -1,
        .stream = {{.fd = -1, .name = "stdout"}, {.fd = -1, .name = "stderr"}},
    };
    const char *command = pj_json_str(args, "command", "");
    int64_t timeout_s = pj_json_i64(args, "timeout_s", TIMEOUT_DEFAULT_S), started = pj_mono_ms();
    struct pj_err err;

    if (tool_path_arg(a, args, "cwd", &path, out) != 0)
        return PJ_NONE;
    if (!*command)
        return tool_refuse(out, "the command is empty");
    if (timeout_s < 1 || timeout_s > TIMEOUT_MAX_S)
        return tool_refuse(out, "timeout_s is 1 to %d", TIMEOUT_MAX_S);
    cwd = pj_asprintf("%s/%s", a->workspace, path);
    line = pj_asprintf("$ %.2000s", command);
    agent_log(a, "info", line, NULL);
    r.deadline_ms = started + timeout_s * 1000;
    if (start(&r, command, cwd, &err) < 0)
        return tool_refuse_err(out, &err);
    pj_str_init(&r.head, HEAD_MAX);
    pj_str_init(&r.tail, TAIL_MAX);
    for (int i = 0; i < 2; i++)
        pj_str_init(&r.stream[i].line, LINE_BYTES_MAX);
    drive(&r);
    put_result(&r, timeout_s, pj_mono_ms() - started, out);
    for (int i = 0; i < 2; i++) {
        pj_fd_close(&r.stream[i].fd);
        pj_str_release(&r.stream[i].line);
    }
    pj_fd_close(&r.pidfd);
    pj_str_release(&r.head);
    pj_str_release(&r.tail);
    return 0;
}
