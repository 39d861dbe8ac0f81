#include "runner/health.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "runner/daemon.h"

#define CLIENT_SECONDS 5
#define ANSWER_MAX 16384

struct client {
    struct health *health; /* NULL: free */
    struct bufferevent *bev;
    bool answered;
};

struct health {
    struct daemon *daemon;
    struct evconnlistener *listener;
    struct client clients[HEALTH_CLIENTS];
};

/* ---- the address ---- */

static int parse(const char *text, struct sockaddr_storage *out, int *len, struct pj_err *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    bool bracket = n >= 2 && text[0] == '[' && colon[-1] == ']';
    PJ_CLEANUP(pj_freep)
    char *host = bracket ? pj_strndup(text + 1, n - 2) : pj_strndup(text, n);
    int64_t port;

    *out = (struct sockaddr_storage){0};
    if (!colon || pj_parse_i64(pj_view_of(colon + 1), &port) < 0 || port < 0 || port > 65535) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_METRICS_LISTEN: '%s' has no port from 0 to 65535",
                      text);
    } else if (!bracket && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *len = sizeof(*v4);
        return 0;
    } else if (bracket && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *len = sizeof(*v6);
        return 0;
    } else {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_METRICS_LISTEN: '%s' is no address", text);
    }
    return pj_err_remedy(err,
                         "set PJ_METRICS_LISTEN to address:port, say 127.0.0.1:9090 or [::]:9090");
}

int health_address_check(const char *text, struct pj_err *err)
{
    struct sockaddr_storage at;
    int len;

    return parse(text, &at, &len, err);
}

/* ---- what is told ---- */

static void put(struct pj_str *out, const char *name, const char *type, const char *help,
                double value)
{
    (void)pj_str_putf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.15g\n", name, help, name, type, name,
                      value);
}

static int64_t busy_slots(const struct daemon *d)
{
    int64_t n = 0;

    for (size_t i = 0; i < d->slot_count; i++)
        n += d->slots[i].state != SLOT_FREE;
    return n;
}

/* Why it is not ready; NULL when it is. */
static const char *not_ready(const struct daemon *d)
{
    if (d->draining || d->leaving)
        return "draining";
    if (!pj_aredis_is_up(d->redis))
        return "Redis is away";
    return d->subscribed ? NULL : "starting";
}

static int64_t resident_bytes(void)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_view rest, total, pages;
    struct pj_err ignored;
    int64_t n = 0;

    pj_str_init(&text, 4096);
    if (pj_fs_read("/proc/self/statm", &text, &ignored) < 0)
        return 0;
    rest = pj_view_of(pj_str_cstr(&text));
    if (!pj_view_cut(&rest, ' ', &total) || !pj_view_cut(&rest, ' ', &pages) ||
        pj_parse_i64(pages, &n) < 0)
        return 0;
    return n * sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
    struct rusage own = {0};

    (void)getrusage(RUSAGE_SELF, &own);
    return (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
           (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
}

static void put_metrics(const struct daemon *d, struct pj_str *out)
{
    (void)pj_str_putf(out,
                      "# HELP pj_build_info What runs here.\n# TYPE pj_build_info gauge\n"
                      "pj_build_info{program=\"pj-runner\",version=\"%s\"} 1\n",
                      PJ_VERSION);
    put(out, "pj_redis_up", "gauge", "1 while the connection to the store stands.",
        pj_aredis_is_up(d->redis));
    put(out, "pj_runner_ready", "gauge", "1 while tasks are taken.", not_ready(d) == NULL);
    put(out, "pj_runner_draining", "gauge", "1 while the last tasks are finished.",
        d->draining || d->leaving);
    put(out, "pj_runner_slots", "gauge", "Tasks at once, at most.", (double)d->slot_count);
    put(out, "pj_runner_slots_busy", "gauge", "Tasks at work now.", (double)busy_slots(d));
    put(out, "pj_runner_attempts_started_total", "counter", "Attempts begun since the start.",
        (double)d->takes.attempts);
    put(out, "process_start_time_seconds", "gauge", "Unix time of the start.",
        (double)d->started_ms / 1000);
    put(out, "process_cpu_seconds_total", "counter", "Processor time of the daemon alone.",
        cpu_seconds());
    put(out, "process_resident_memory_bytes", "gauge", "Memory of the daemon alone.",
        (double)resident_bytes());
}

/* ---- one client ---- */

static void drop(struct client *c)
{
    bufferevent_free(c->bev);
    *c = (struct client){0};
}

static void answer(struct client *c, const char *status, const char *type, const char *body)
{
    struct evbuffer *out = bufferevent_get_output(c->bev);

    c->answered = true;
    (void)evbuffer_add_printf(out,
                              "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                              "Cache-Control: no-store\r\nConnection: close\r\n\r\n%s",
                              status, type, strlen(body), body);
    (void)bufferevent_disable(c->bev, EV_READ);
}

static void say(struct client *c, const char *status, const char *word)
{
    PJ_CLEANUP(pj_freep) char *line = pj_asprintf("%s\n", word);

    answer(c, status, "text/plain; charset=utf-8", line);
}

static void respond(struct client *c, struct pj_view target)
{
    const struct daemon *d = c->health->daemon;
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    const char *why;

    pj_str_init(&text, ANSWER_MAX);
    if (pj_view_is(target, "/livez")) {
        say(c, "200 OK", "ok");
    } else if (pj_view_is(target, "/readyz")) {
        why = not_ready(d);
        say(c, why ? "503 Service Unavailable" : "200 OK", why ? why : "ok");
    } else if (pj_view_is(target, "/metrics")) {
        put_metrics(d, &text);
        answer(c, "200 OK", "text/plain; version=0.0.4; charset=utf-8", pj_str_cstr(&text));
    } else {
        say(c, "404 Not Found", "/livez, /readyz and /metrics are here");
    }
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct client *c = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    char head[HEALTH_HEAD_MAX + 1] = "";
    struct pj_view all, rest, method, target;

    if (c->answered)
        return;
    if (end.pos < 0) {
        if (evbuffer_get_length(in) >= HEALTH_HEAD_MAX)
            say(c, "431 Request Header Fields Too Large", "the head is too large");
        return;
    }
    (void)evbuffer_copyout(in, head, HEALTH_HEAD_MAX);
    all = pj_view_of(head);
    (void)pj_view_cut(&all, '\r', &rest); /* the request line */
    if (!pj_view_cut(&rest, ' ', &method) || !pj_view_cut(&rest, ' ', &target) ||
        !pj_view_starts(rest, "HTTP/1."))
        say(c, "400 Bad Request", "this is no request");
    else if (!pj_view_is(method, "GET"))
        say(c, "405 Method Not Allowed", "GET only");
    else
        respond(c, target);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    struct client *c = arg;

    (void)bev;
    if (c->answered)
        drop(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    (void)what; /* closed, broken, or out of time */
    drop(arg);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int n,
                      void *arg)
{
    static const struct timeval limit = {.tv_sec = CLIENT_SECONDS};
    struct health *h = arg;

    (void)l;
    (void)from;
    (void)n;
    for (size_t i = 0; i < HEALTH_CLIENTS; i++) {
        struct client *c = &h->clients[i];

        if (c->health)
            continue;
        c->bev = bufferevent_socket_new(h->daemon->base, fd, BEV_OPT_CLOSE_ON_FREE);
        if (!c->bev)
            break;
        c->health = h;
        bufferevent_setwatermark(c->bev, EV_READ, 0, HEALTH_HEAD_MAX);
        bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
        (void)bufferevent_set_timeouts(c->bev, &limit, &limit);
        (void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
        return;
    }
    (void)close(fd);
}

/* ---- start and end ---- */

int health_new(struct daemon *d, const char *address, struct health **out, struct pj_err *err)
{
    struct sockaddr_storage at;
    struct health *h;
    int len = 0;

    if (parse(address, &at, &len, err) < 0)
        return -1;
    h = pj_alloc(1, sizeof(*h));
    *h = (struct health){.daemon = d};
    h->listener = evconnlistener_new_bind(
        d->base, on_accept, h, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
        16, (struct sockaddr *)&at, len);
    if (!h->listener) {
        int saved = errno;

        free(h);
        (void)pj_fail_errno(err, saved, "PJ_METRICS_LISTEN: cannot listen on %s", address);
        return pj_err_remedy(err, "free that address, or set PJ_METRICS_LISTEN to another one");
    }
    len = sizeof(at);
    if (getsockname(evconnlistener_get_fd(h->listener), (struct sockaddr *)&at,
                    (socklen_t *)&len) == 0)
        pj_log(PJ_LOG_INFO, "metrics_listening", "port",
               PJ_I64(ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                                     : ((struct sockaddr_in *)&at)->sin_port)),
               NULL);
    *out = h;
    return 0;
}

void health_free(struct health *h)
{
    if (!h)
        return;
    evconnlistener_free(h->listener);
    for (size_t i = 0; i < HEALTH_CLIENTS; i++)
        if (h->clients[i].health)
            drop(&h->clients[i]);
    free(h);
}
