#include "lib/git/net.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <git2/sys/stream.h>
#if __has_include(<git2/sys/errors.h>)
#include <git2/sys/errors.h> /* git_error_set_str() lives there since libgit2 1.8 */
#endif

#include "lib/base/clock.h"
#include "lib/base/mem.h"

/* A peer that says nothing for this long is given up even when the call has no deadline. */
#define SILENCE_MS 120000

static _Thread_local struct pj_git_call *current;

struct sock {
    git_stream parent;
    char *host;
    char *port;
    int fd;
};

void pj_git_call_begin(struct pj_git_call *call, const struct pj_git_net *net)
{
    memset(call, 0, sizeof(*call));
    call->net = net;
    if (net->timeout_ms > 0)
        call->deadline_ms = pj_mono_ms() + net->timeout_ms;
    call->outer = current;
    current = call;
    git_error_clear(); /* what an earlier call left must not be taken for the cause of this one's failure */
}

void pj_git_call_end(struct pj_git_call *call)
{
    current = call->outer;
}

/* Milliseconds until `deadline`, at least 0; `none` when there is no deadline. */
static int64_t left_ms(int64_t deadline, int64_t none)
{
    if (deadline == 0)
        return none;
    int64_t left = deadline - pj_mono_ms();
    return left > 0 ? left : 0;
}

/* Poll `fd` (or nothing: -1) beside the pump for at most max_ms. 1: fd is ready, 0: not yet, -1: ended by pump or deadline. */
static int wait_step(struct pj_git_call *call, int fd, short events, int64_t max_ms)
{
    struct pollfd fds[1 + PJ_PUMP_FDS_MAX] = {
        {.fd = fd, .events = events},
    };
    const struct pj_pump *pump = call->net->pump;
    int timeout = -1;
    size_t n = 0;

    if (pump != NULL)
        n = pump->want(pump->ctx, fds + 1, PJ_PUMP_FDS_MAX, &timeout);
    int64_t wait = left_ms(call->deadline_ms, max_ms);
    if (wait > max_ms)
        wait = max_ms;
    if (timeout < 0 || wait < timeout)
        timeout = (int)wait;
    if (poll(fds, (nfds_t)(n + 1), timeout) < 0 && errno != EINTR) {
        call->failed = true;
        return pj_fail_errno(&call->failure, errno, "poll");
    }
    if (pump != NULL && pump->ready(pump->ctx, fds + 1, n, &call->failure) < 0) {
        call->failed = true;
        return -1;
    }
    if (fd >= 0 && fds[0].revents != 0)
        return 1;
    if (call->deadline_ms != 0 && left_ms(call->deadline_ms, 1) == 0) {
        call->failed = true;
        return pj_fail(&call->failure, PJ_E_TIMEOUT, "no end within %lld ms",
                       (long long)call->net->timeout_ms);
    }
    return 0;
}

int pj_git_call_tick(struct pj_git_call *call)
{
    return wait_step(call, -1, 0, 0) < 0 ? -1 : 0;
}

int pj_git_call_pause(struct pj_git_call *call, int max_ms)
{
    return wait_step(call, -1, 0, max_ms) < 0 ? -1 : 0;
}

static int sock_fail(const struct pj_git_call *call)
{
    git_error_set_str(GIT_ERROR_NET, call->failure.message);
    return -1;
}

static int sock_wait(const struct sock *s, short events)
{
    struct pj_git_call *call = current;
    int64_t silent_until = pj_mono_ms() + SILENCE_MS;

    for (;;) {
        int ready = wait_step(call, s->fd, events, left_ms(silent_until, 0));
        if (ready > 0)
            return 0;
        if (ready < 0)
            return sock_fail(call);
        if (left_ms(silent_until, 0) == 0) {
            call->failed = true;
            (void)pj_fail(&call->failure, PJ_E_TIMEOUT, "%s said nothing for %d seconds", s->host,
                          SILENCE_MS / 1000);
            return sock_fail(call);
        }
    }
}

static int connect_one(struct sock *s, const struct addrinfo *info)
{
    struct pj_git_call *call = current;
    int sys_errno = 0;
    socklen_t n = sizeof(sys_errno);

    s->fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                   info->ai_protocol);
    if (s->fd < 0)
        return errno;
    if (connect(s->fd, info->ai_addr, info->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    if (sock_wait(s, POLLOUT) < 0)
        return call->failed ? -1 : EIO;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &sys_errno, &n) < 0)
        return errno;
    return sys_errno;
}

static int sock_connect(git_stream *stream)
{
    struct sock *s = (struct sock *)stream;
    struct pj_git_call *call = current;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct addrinfo *list = NULL;
    int sys_errno = ECONNREFUSED;
    bool refused = false;

    int gai = getaddrinfo(s->host, s->port, &hints, &list);
    if (gai != 0) {
        call->failed = true;
        (void)pj_fail(&call->failure, PJ_E_UNAVAILABLE, "cannot resolve %s: %s", s->host,
                      gai_strerror(gai));
        (void)pj_err_code(&call->failure, "host_unreachable");
        (void)pj_err_remedy(&call->failure,
                            "check the host name, and the name service of this machine");
        return sock_fail(call);
    }
    for (const struct addrinfo *p = list; p != NULL; p = p->ai_next) {
        if (call->net->allow != NULL &&
            !call->net->allow(call->net->allow_ctx, p->ai_addr, p->ai_addrlen)) {
            refused = true;
            continue;
        }
        sys_errno = connect_one(s, p);
        if (sys_errno <= 0)
            break;
        pj_fd_close(&s->fd);
    }
    freeaddrinfo(list);
    if (s->fd >= 0 && sys_errno == 0)
        return 0;
    if (sys_errno < 0)
        return -1;
    call->failed = true;
    if (refused)
        (void)pj_fail(&call->failure, PJ_E_FORBIDDEN,
                      "%s has an address that may not be reached from here", s->host);
    else
        (void)pj_fail_errno(&call->failure, sys_errno, "connect to %s port %s", s->host, s->port);
    if (!refused)
        call->failure.cls = PJ_E_UNAVAILABLE;
    (void)pj_err_code(&call->failure, "host_unreachable");
    return sock_fail(call);
}

static ssize_t sock_read(git_stream *stream, void *data, size_t n)
{
    struct sock *s = (struct sock *)stream;

    for (;;) {
        ssize_t got = recv(s->fd, data, n, 0);
        if (got >= 0)
            return got;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) {
            current->failed = true;
            (void)pj_fail_errno(&current->failure, errno, "read from %s", s->host);
            current->failure.cls = PJ_E_UNAVAILABLE;
            return sock_fail(current);
        }
        if (sock_wait(s, POLLIN) < 0)
            return -1;
    }
}

static ssize_t sock_write(git_stream *stream, const char *data, size_t n, int flags)
{
    struct sock *s = (struct sock *)stream;

    (void)flags;
    for (;;) {
        ssize_t put = send(s->fd, data, n, MSG_NOSIGNAL);
        if (put >= 0)
            return put;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) {
            current->failed = true;
            (void)pj_fail_errno(&current->failure, errno, "write to %s", s->host);
            current->failure.cls = PJ_E_UNAVAILABLE;
            return sock_fail(current);
        }
        if (sock_wait(s, POLLOUT) < 0)
            return -1;
    }
}

static int sock_close(git_stream *stream)
{
    pj_fd_close(&((struct sock *)stream)->fd);
    return 0;
}

static void sock_free(git_stream *stream)
{
    struct sock *s = (struct sock *)stream;

    pj_fd_close(&s->fd);
    free(s->host);
    free(s->port);
    free(s);
}

static int sock_new(git_stream **out, const char *host, const char *port)
{
    struct sock *s = pj_alloc(1, sizeof(*s));

    s->host = pj_strdup(host);
    s->port = pj_strdup(port);
    s->fd = -1;
    s->parent.version = GIT_STREAM_VERSION;
    s->parent.connect = sock_connect;
    s->parent.read = sock_read;
    s->parent.write = sock_write;
    s->parent.close = sock_close;
    s->parent.free = sock_free;
    *out = &s->parent;
    return 0;
}

int pj_git_net_register(void)
{
    git_stream_registration registration = {.version = GIT_STREAM_VERSION, .init = sock_new};

    return git_stream_register(GIT_STREAM_STANDARD, &registration);
}

static int give_credential(git_credential **out, const char *url, const char *username_from_url,
                           unsigned int allowed, void *payload)
{
    struct pj_git_call *call = payload;
    const struct pj_credential *credential = call->net->credential;

    (void)url;
    (void)username_from_url;
    if (credential == NULL || credential->token == NULL || credential->token[0] == '\0')
        return GIT_PASSTHROUGH;
    if (!(allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT))
        return GIT_PASSTHROUGH;
    /* Asked a second time: the remote refused what it was given. */
    if (call->credential_asked++ > 0) {
        git_error_set_str(GIT_ERROR_HTTP, "the credential was refused");
        return GIT_EAUTH;
    }
    const char *username = credential->username;
    if (username == NULL || username[0] == '\0')
        username = "x-access-token";
    return git_credential_userpass_plaintext_new(out, username, credential->token);
}

static int on_transfer(const git_indexer_progress *stats, void *payload)
{
    (void)stats;
    return pj_git_call_tick(payload) < 0 ? GIT_EUSER : 0;
}

static int on_sideband(const char *text, int n, void *payload)
{
    (void)text;
    (void)n;
    return pj_git_call_tick(payload) < 0 ? GIT_EUSER : 0;
}

static int on_pack(int stage, uint32_t now, uint32_t total, void *payload)
{
    (void)stage;
    (void)now;
    (void)total;
    return pj_git_call_tick(payload) < 0 ? GIT_EUSER : 0;
}

static int on_upload(unsigned int now, unsigned int total, size_t bytes, void *payload)
{
    (void)now;
    (void)total;
    (void)bytes;
    return pj_git_call_tick(payload) < 0 ? GIT_EUSER : 0;
}

void pj_git_call_callbacks(struct pj_git_call *call, git_remote_callbacks *callbacks)
{
    git_remote_init_callbacks(callbacks, GIT_REMOTE_CALLBACKS_VERSION);
    callbacks->credentials = give_credential;
    callbacks->transfer_progress = on_transfer;
    callbacks->sideband_progress = on_sideband;
    callbacks->pack_progress = on_pack;
    callbacks->push_transfer_progress = on_upload;
    callbacks->payload = call;
}

void pj_git_call_options(struct pj_git_call *call, git_remote_connect_options *options)
{
    git_remote_connect_options_init(options, GIT_REMOTE_CONNECT_OPTIONS_VERSION);
    pj_git_call_callbacks(call, &options->callbacks);
    options->proxy_opts.type = GIT_PROXY_AUTO;
    /* A redirect within the host (a renamed repository) is followed; to another host never, the credential stays here. */
    options->follow_redirects = GIT_REMOTE_REDIRECT_NONE;
}
