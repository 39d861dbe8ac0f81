#include "runner/box.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "lib/json/codec.h"

#define ARGS_MAX 128
#define RESULT_MAX ((size_t)256 * 1024)
#define RESULT_FD 3
#define TREE_FD 4
#define TREE_WAIT_MS 5000
#define READS_A_TURN 4 /* so that one noisy box cannot keep the pump from its other duties */

struct args {
    const char *v[ARGS_MAX];
    char *owned[ARGS_MAX];
    size_t n, owned_n;
    bool full;
};

static void put(struct args *a, const char *text)
{
    if (a->n + 1 >= ARGS_MAX) {
        a->full = true;
        return;
    }
    a->v[a->n++] = text;
}

static void put_owned(struct args *a, char *text)
{
    put(a, text);
    if (a->full)
        free(text);
    else
        a->owned[a->owned_n++] = text;
}

static void args_release(struct args *a)
{
    for (size_t i = 0; i < a->owned_n; i++)
        free(a->owned[i]);
}

static void build_args(const struct box_spec *spec, struct args *a)
{
    put(a, "pj-sandbox");
    put(a, "--workspace");
    put(a, spec->workspace);
    if (spec->workspace_base != NULL) {
        put(a, "--workspace-base");
        put(a, spec->workspace_base);
        put(a, "--tree-fd");
        put_owned(a, pj_asprintf("%d", TREE_FD));
    }
    if (spec->rootfs != NULL) {
        put(a, "--rootfs");
        put(a, spec->rootfs);
    }
    if (spec->gateway_socket != NULL) {
        put(a, "--gateway");
        put_owned(a, pj_asprintf("%s:%d", spec->gateway_socket, spec->gateway_port));
    }
    for (size_t i = 0; i < spec->bind_count; i++) {
        put(a, "--ro-bind");
        put_owned(a, pj_asprintf("%s:%s", spec->binds[i].src, spec->binds[i].dst));
    }
    for (size_t i = 0; spec->env != NULL && spec->env[i] != NULL; i++) {
        put(a, "--env");
        put(a, spec->env[i]);
    }
    for (size_t i = 0; spec->net_allow != NULL && spec->net_allow[i] != NULL; i++) {
        put(a, "--net-allow");
        put(a, spec->net_allow[i]);
    }
    put(a, "--timeout");
    put_owned(a, pj_asprintf("%lldms", (long long)spec->timeout_ms));
    if (spec->output_limit > 0) {
        put(a, "--output-limit");
        put_owned(a, pj_asprintf("%lld", (long long)spec->output_limit));
    }
    if (spec->memory_bytes > 0) {
        put(a, "--memory");
        put_owned(a, pj_asprintf("%lld", (long long)spec->memory_bytes));
    }
    if (spec->pids > 0) {
        put(a, "--pids");
        put_owned(a, pj_asprintf("%lld", (long long)spec->pids));
    }
    put(a, "--result-fd");
    put_owned(a, pj_asprintf("%d", RESULT_FD));
    put(a, "--");
    for (size_t i = 0; spec->argv[i] != NULL; i++)
        put(a, spec->argv[i]);
}

static int nonblocking_pipe(int pair[2], struct pj_err *err)
{
    if (pipe2(pair, O_CLOEXEC) < 0)
        return pj_fail_errno(err, errno, "pipe for the box");
    if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
        return pj_fail_errno(err, errno, "pipe for the box");
    return 0;
}

/* `ends`: of output, errors, result, and the tree's socket (-1: none). */
static int spawn(const struct box_spec *spec, struct args *a, struct box *box, const int ends[4],
                 struct pj_err *err)
{
    const struct pj_spawn_fd fds[] = {
        {ends[0], STDOUT_FILENO},
        {ends[1], STDERR_FILENO},
        {ends[2], RESULT_FD},
        {ends[3], TREE_FD},
    };
    char *argv[ARGS_MAX];
    struct pj_spawn s = {
        .path = spec->program,
        .argv = argv,
        .fds = fds,
        .fd_count = PJ_COUNT_OF(fds) - (ends[3] < 0 ? 1 : 0),
        .death_signal = SIGKILL,
        .new_session = true,
    };

    memcpy(argv, a->v, (a->n + 1) * sizeof(argv[0]));
    if (a->full)
        return pj_fail(err, PJ_E_LIMIT, "too many arguments for the box");
    if (pj_spawn(&s, &box->pid, &box->pidfd, err) < 0) {
        (void)pj_err_code(err, "sandbox_unavailable");
        return pj_err_wrap(err, "start of %s", spec->program);
    }
    return 0;
}

/* Without the program's name; descriptors come with an order, not by number. */
static void words_of(const struct args *a, const char *words[ARGS_MAX])
{
    bool options = true;
    size_t n = 0;

    for (size_t i = 1; i < a->n; i++) {
        options = options && strcmp(a->v[i], "--") != 0;
        if (options && (strcmp(a->v[i], "--result-fd") == 0 || strcmp(a->v[i], "--tree-fd") == 0))
            i++;
        else
            words[n++] = a->v[i];
    }
    words[n] = NULL;
}

/* False when there is none that stands by, or it cannot be used. */
static bool order_ahead(const struct box_spec *spec, const struct args *a, struct box *box,
                        const int ends[4])
{
    const int fds[AHEAD_FDS] = {
        [AHEAD_OUT] = ends[0],
        [AHEAD_ERR] = ends[1],
        [AHEAD_RESULT] = ends[2],
        [AHEAD_TREE] = ends[3],
    };
    const char *words[ARGS_MAX];
    struct pj_err err = {0};

    if (a->full || spec->ahead == NULL || spec->ahead->pid == 0)
        return false;
    words_of(a, words);
    if (box_ahead_order(spec->ahead, words, fds, &box->pid, &box->pidfd, &err) < 0) {
        pj_log_err(PJ_LOG_WARN, "box_ahead_lost", &err, NULL, NULL);
        return false;
    }
    pj_log(PJ_LOG_DEBUG, "box_ordered", NULL);
    return true;
}

static int tree_socket(const struct box_spec *spec, int pair[2], struct pj_err *err)
{
    if (spec->workspace_base != NULL &&
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return pj_fail_errno(err, errno, "socket for the box's tree");
    return 0;
}

int box_start(const struct box_spec *spec, struct box *box, struct pj_err *err)
{
    int out[2] = {-1, -1}, errp[2] = {-1, -1}, res[2] = {-1, -1}, tree[2] = {-1, -1};
    struct args args = {0};
    int rc = -1;

    *box = (struct box){.pidfd = -1,
                        .out = -1,
                        .err = -1,
                        .result_fd = -1,
                        .tree_socket = -1,
                        .tree = -1,
                        .output = spec->output,
                        .ctx = spec->ctx};
    pj_str_init(&box->result_text, RESULT_MAX);
    build_args(spec, &args);
    if (nonblocking_pipe(out, err) == 0 && nonblocking_pipe(errp, err) == 0 &&
        nonblocking_pipe(res, err) == 0 && tree_socket(spec, tree, err) == 0) {
        const int ends[4] = {out[1], errp[1], res[1], tree[1]};

        rc = order_ahead(spec, &args, box, ends) ? 0 : spawn(spec, &args, box, ends, err);
    }
    args_release(&args);
    pj_fd_close(&out[1]);
    pj_fd_close(&errp[1]);
    pj_fd_close(&res[1]);
    pj_fd_close(&tree[1]);
    box->tree_socket = tree[0];
    box->out = out[0];
    box->err = errp[0];
    box->result_fd = res[0];
    if (rc < 0)
        box_release(box);
    return rc;
}

size_t box_want(const struct box *box, struct pollfd *fds)
{
    size_t n = 0;

    if (box->out >= 0 && !box->paused)
        fds[n++] = (struct pollfd){.fd = box->out, .events = POLLIN};
    if (box->err >= 0 && !box->paused)
        fds[n++] = (struct pollfd){.fd = box->err, .events = POLLIN};
    if (box->result_fd >= 0)
        fds[n++] = (struct pollfd){.fd = box->result_fd, .events = POLLIN};
    if (box->tree_socket >= 0)
        fds[n++] = (struct pollfd){.fd = box->tree_socket, .events = POLLIN};
    if (box->pid != 0)
        fds[n++] = (struct pollfd){.fd = box->pidfd, .events = POLLIN};
    return n;
}

/* One message with one descriptor (sandbox/channel.h); what else it says is pj-sandbox's own affair. */
static void read_tree(struct box *box)
{
    char text[16];
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {.iov_base = text, .iov_len = sizeof(text)};
    struct msghdr msg = {.msg_iov = &part,
                         .msg_iovlen = 1,
                         .msg_control = control,
                         .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(box->tree_socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&box->tree, CMSG_DATA(c), sizeof(int));
    pj_fd_close(&box->tree_socket);
}

int box_tree_take(struct box *box, int *fd, struct pj_err *err)
{
    struct pollfd p = {.fd = box->tree_socket, .events = POLLIN};

    if (box->tree_socket >= 0 && poll(&p, 1, TREE_WAIT_MS) > 0)
        read_tree(box);
    if (box->tree < 0) {
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "the sandbox gave no work tree out");
        return pj_err_code(err, "sandbox_unavailable");
    }
    *fd = box->tree;
    box->tree = -1;
    return 0;
}

static void read_output(struct box *box, int *fd, bool error)
{
    char buf[16384];

    for (int i = 0; i < READS_A_TURN; i++) {
        ssize_t n = read(*fd, buf, sizeof(buf));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            pj_fd_close(fd);
            box->output(box->ctx, error, pj_view_n(NULL, 0));
            return;
        }
        box->output(box->ctx, error, pj_view_n(buf, (size_t)n));
    }
}

static void read_result(struct box *box)
{
    char buf[4096];
    ssize_t n = read(box->result_fd, buf, sizeof(buf));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        pj_fd_close(&box->result_fd);
    else
        (void)pj_str_append(&box->result_text, buf, (size_t)n);
}

static void reap(struct box *box)
{
    int st;
    pid_t pid = waitpid(box->pid, &st, WNOHANG);

    if (pid == box->pid) {
        box->wait_status = st;
        box->pid = 0;
        pj_fd_close(&box->pidfd);
    }
}

void box_ready(struct box *box, const struct pollfd *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i].revents == 0 || fds[i].fd < 0)
            continue;
        if (fds[i].fd == box->out)
            read_output(box, &box->out, false);
        else if (fds[i].fd == box->err)
            read_output(box, &box->err, true);
        else if (fds[i].fd == box->result_fd)
            read_result(box);
        else if (fds[i].fd == box->tree_socket)
            read_tree(box);
        else if (fds[i].fd == box->pidfd)
            reap(box);
    }
}

bool box_is_over(const struct box *box)
{
    return box->pid == 0 && box->out < 0 && box->err < 0 && box->result_fd < 0;
}

void box_stop(struct box *box)
{
    if (box->pid == 0)
        return;
    /* Two different ones: the same signal sent twice may arrive as one. */
    (void)pidfd_send_signal(box->pidfd, SIGTERM, NULL, 0);
    (void)pidfd_send_signal(box->pidfd, SIGINT, NULL, 0);
}

void box_kill(struct box *box)
{
    if (box->pid != 0)
        (void)pidfd_send_signal(box->pidfd, SIGKILL, NULL, 0);
}

void box_release(struct box *box)
{
    if (box->pid != 0) {
        box_kill(box);
        while (waitpid(box->pid, &box->wait_status, 0) < 0 && errno == EINTR)
            ;
        box->pid = 0;
    }
    if (box->result_text.max == 0)
        return; /* never started */
    pj_fd_close(&box->pidfd);
    pj_fd_close(&box->out);
    pj_fd_close(&box->err);
    pj_fd_close(&box->result_fd);
    pj_fd_close(&box->tree_socket);
    pj_fd_close(&box->tree);
    pj_str_release(&box->result_text);
}

/* ["a","b"] -> "a b" */
static char *joined(const json_t *array)
{
    struct pj_str out;
    char *text;

    pj_str_init(&out, 8192);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *word = json_string_value(json_array_get(array, i));

        if (word != NULL)
            (void)pj_str_putf(&out, "%s%s", out.len > 0 ? " " : "", word);
    }
    text = pj_str_take(&out);
    pj_str_release(&out);
    return text;
}

int box_result_get(const struct box *box, struct box_result *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    const json_t *error;
    int st = box->wait_status;

    *out = (struct box_result){.exit_code = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st)};
    memcpy(out->stopped, box->stopped, sizeof(out->stopped));
    if (WIFSIGNALED(st))
        return pj_fail(err, PJ_E_UNAVAILABLE, "the sandbox was killed by signal %d", WTERMSIG(st));
    if (pj_json_parse(pj_view_n(box->result_text.data, box->result_text.len), &doc, err) < 0) {
        (void)pj_err_code(err, "sandbox_unavailable");
        return pj_err_wrap(err, "result of the sandbox (exit %d)", out->exit_code);
    }
    out->signal = (int)pj_json_i64(doc, "signal", 0);
    out->timed_out = pj_json_bool(doc, "timedOut", false);
    out->oom_killed = pj_json_bool(doc, "oomKilled", false);
    out->policy_kill = pj_json_bool(doc, "policyKill", false);
    out->output_truncated = pj_json_bool(doc, "outputTruncated", false);
    out->wall_ms = pj_json_i64(doc, "wallMs", 0);
    out->cpu_ms = pj_json_i64(doc, "cpuMs", 0);
    out->max_rss_bytes = pj_json_i64(doc, "maxRssBytes", 0);
    out->isolation = joined(json_object_get(doc, "isolation"));
    out->net_refused = joined(json_object_get(doc, "netRefused"));
    error = json_object_get(doc, "error");
    if (json_is_object(error)) {
        out->error_step = pj_strdup(pj_json_str(error, "step", "unknown"));
        out->error_errno = (int)pj_json_i64(error, "errno", 0);
        out->error_remedy = pj_strdup(pj_json_str(error, "remedy", ""));
    }
    return 0;
}

void box_result_release(struct box_result *result)
{
    free(result->isolation);
    free(result->net_refused);
    free(result->error_step);
    free(result->error_remedy);
    *result = (struct box_result){0};
}
