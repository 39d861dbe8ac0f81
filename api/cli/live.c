#include "api/cli/live.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "api/cli/table.h"
#include "lib/base/cleanup.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"

#define FRAME_MS 120
#define WIDTH_MIN 20

static bool is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return strstr(value, "UTF-8") || strstr(value, "utf8");
    }
    return false;
}

static const char *spinner(unsigned frame)
{
    static const char *const dots[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
    static const char *const plain[] = {"|", "/", "-", "\\"};

    return is_utf8() ? dots[frame % PJ_COUNT_OF(dots)] : plain[frame % PJ_COUNT_OF(plain)];
}

static int columns(void)
{
    struct winsize size = {0};

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= WIDTH_MIN)
        return size.ws_col;
    return 80;
}

static void draw(struct live *l)
{
    int64_t seconds = (pj_mono_ms() - l->started_ms) / 1000;
    PJ_CLEANUP(pj_freep)
    char *all = pj_asprintf("%s %lld:%02lld%s%s", l->stage[0] ? l->stage : "connecting",
                            (long long)(seconds / 60), (long long)(seconds % 60),
                            l->text[0] ? "  " : "", l->text);
    PJ_CLEANUP(pj_freep) char *line = table_cell(all, columns() - 3);

    (void)fprintf(stderr, "\r\033[K%s%s%s ", l->colour ? "\033[36m" : "", spinner(l->frame++),
                  l->colour ? "\033[0m" : "");
    table_put_text(stderr, line, false);
    (void)fflush(stderr);
    l->drawn = true;
}

void live_clear(struct live *l)
{
    if (!l->drawn)
        return;
    (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    l->drawn = false;
    l->next_ms = 0;
}

void live_stage(struct live *l, const char *stage)
{
    (void)snprintf(l->stage, sizeof l->stage, "%s", stage);
    l->text[0] = '\0';
}

void live_say(struct live *l, const char *message)
{
    size_t n = strnlen(message, sizeof l->text - 1);

    while (n > 0 && ((unsigned char)message[n] & 0xc0) == 0x80)
        n--; /* no half of a character */
    memcpy(l->text, message, n);
    l->text[n] = '\0';
}

/* ---- the pump ---- */

static size_t want(void *ctx, struct pollfd *fds, size_t cap, int *timeout_ms)
{
    struct live *l = ctx;
    size_t n = l->inner ? l->inner->want(l->inner->ctx, fds, cap, timeout_ms) : 0;

    l->inner_count = n;
    if (l->signal_fd >= 0 && n < cap)
        fds[n++] = (struct pollfd){.fd = l->signal_fd, .events = POLLIN};
    if (l->shown) {
        int64_t left = l->next_ms - pj_mono_ms();
        int ms = left < 0 ? 0 : (int)left;

        if (*timeout_ms < 0 || ms < *timeout_ms)
            *timeout_ms = ms;
    }
    return n;
}

static int ready(void *ctx, const struct pollfd *fds, size_t n, struct pj_err *err)
{
    struct live *l = ctx;

    if (l->inner && l->inner->ready(l->inner->ctx, fds, l->inner_count, err) < 0)
        return -1;
    if (n > l->inner_count && (fds[l->inner_count].revents & POLLIN)) {
        struct signalfd_siginfo taken;

        (void)!read(l->signal_fd, &taken, sizeof taken);
        live_clear(l);
        (void)pj_fail(err, PJ_E_CANCELLED, "detached from task %s, which goes on", l->task);
        return pj_err_remedy(err, "`pj logs -f %s` shows it again, `pj task cancel %s` ends it",
                             l->task, l->task);
    }
    if (l->shown && pj_mono_ms() >= l->next_ms) {
        l->next_ms = pj_mono_ms() + FRAME_MS;
        draw(l);
    }
    return 0;
}

/* ---- start and stop ---- */

static int watch_signals(struct live *l, struct pj_err *err)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return pj_fail_errno(err, errno, "sigprocmask");
    l->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return l->signal_fd < 0 ? pj_fail_errno(err, errno, "signalfd") : 0;
}

int live_start(struct live *l, const struct cli *cli, struct client *client, const char *task,
               struct pj_err *err)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");

    *l = (struct live){.client = client, .task = task, .signal_fd = -1, .started_ms = pj_mono_ms()};
    l->pump = (struct pj_pump){.ctx = l, .want = want, .ready = ready};
    l->inner = client_pump(client);
    l->shown = !cli->json && isatty(STDERR_FILENO) == 1 && !(term && strcmp(term, "dumb") == 0);
    l->colour = !(no_colour && *no_colour);
    if (!l->inner && watch_signals(l, err) < 0)
        return -1;
    client_set_pump(client, &l->pump);
    return 0;
}

void live_stop(struct live *l)
{
    sigset_t set;

    live_clear(l);
    client_set_pump(l->client, l->inner);
    if (l->signal_fd < 0)
        return;
    pj_fd_close(&l->signal_fd);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}
