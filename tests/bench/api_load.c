#include "tests/bench/api_load.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/view.h"

#define SAMPLES_MAX ((size_t)1 << 20)
#define READ_SIZE ((size_t)256 * 1024)

void load_die(const char *what, const struct pj_err *err)
{
    fprintf(stderr, "bench_api: %s: %s\n", what, err != NULL ? err->message : strerror(errno));
    exit(1);
}

int load_dial(int port)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (const struct sockaddr *)&sin, sizeof sin) < 0)
        pj_fd_close(&fd);
    return fd;
}

static int64_t first_number(const char *path)
{
    char line[256];
    int64_t n = 0;
    FILE *f = fopen(path, "re");

    if (f == NULL)
        return 0;
    if (fgets(line, sizeof line, f) == NULL ||
        pj_parse_i64(pj_view_n(line, strcspn(line, " \n")), &n) < 0)
        n = 0;
    fclose(f);
    return n;
}

static int64_t own_cpu_ns(pid_t pid)
{
    char path[64];
    int64_t sum = 0;
    const struct dirent *entry;

    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char file[400];
        snprintf(file, sizeof file, "%s/%s/schedstat", path, entry->d_name);
        if (entry->d_name[0] != '.')
            sum += first_number(file);
    }
    if (dir != NULL)
        closedir(dir);
    return sum;
}

int64_t load_cpu_ns(pid_t pid)
{
    char path[64], line[256] = "";
    int64_t sum = own_cpu_ns(pid), child;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *f = fopen(path, "re");
    if (f == NULL || fgets(line, sizeof line, f) == NULL)
        line[0] = '\0';
    if (f != NULL)
        fclose(f);
    struct pj_view rest = pj_view_of(line), word;
    while (rest.p != NULL && pj_view_cut(&rest, ' ', &word))
        if (pj_parse_i64(word, &child) == 0)
            sum += own_cpu_ns((pid_t)child);
    return sum;
}

static int64_t status_kb(pid_t pid, const char *name)
{
    char path[64], line[256];
    int64_t kb = 0;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, name, strlen(name)) == 0) {
            const char *p = line + strlen(name) + strspn(line + strlen(name), ":\t ");
            if (pj_parse_i64(pj_view_n(p, strcspn(p, " ")), &kb) < 0)
                kb = 0;
        }
    if (f != NULL)
        fclose(f);
    return kb;
}

int64_t load_rss_kb(pid_t pid)
{
    return status_kb(pid, "VmRSS");
}

int64_t load_peak_kb(pid_t pid)
{
    return status_kb(pid, "VmHWM");
}

void load_peak_reset(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/clear_refs", pid);
    FILE *f = fopen(path, "we"); /* "5" resets the mark (proc(5)) */
    if (f == NULL || fputs("5", f) < 0 || fclose(f) != 0)
        load_die(path, NULL);
}

int64_t load_stamp(void)
{
    static int64_t began;

    if (began == 0)
        began = pj_mono_us() - 1;
    return pj_mono_us() - began;
}

/* ---- requests ---- */

struct request_conn {
    int fd;
    size_t got;
};

static void send_all(int fd, const char *bytes, size_t n)
{
    if (write(fd, bytes, n) != (ssize_t)n)
        load_die("write", NULL);
}

/* The length of the answer, head and body. */
static size_t answer_length(int fd, const char *request, size_t *body_bytes)
{
    char text[8192] = "";
    size_t got = 0, head = 0;
    int64_t body = 0;

    send_all(fd, request, strlen(request));
    while (head == 0 || got < head + (size_t)body) {
        ssize_t n = read(fd, text + got, sizeof text - 1 - got);
        if (n <= 0)
            load_die("no answer", NULL);
        got += (size_t)n;
        text[got] = '\0';
        const char *end = strstr(text, "\r\n\r\n");
        const char *length = strcasestr(text, "\r\ncontent-length: ");
        if (end == NULL || length == NULL)
            continue;
        head = (size_t)(end - text) + 4;
        length += strlen("\r\ncontent-length: ");
        if (pj_parse_i64(pj_view_n(length, strcspn(length, "\r")), &body) < 0)
            load_die("no length", NULL);
    }
    *body_bytes = (size_t)body;
    return got;
}

void load_requests(int port, pid_t pid, const char *request, int64_t ms, struct load_rate *out)
{
    static char bytes[65536];
    struct request_conn conns[LOAD_CONNECTIONS];
    struct epoll_event events[LOAD_CONNECTIONS];
    int ep = epoll_create1(EPOLL_CLOEXEC);
    size_t n = strlen(request), length = 0;
    int64_t count = 0;

    for (size_t i = 0; i < LOAD_CONNECTIONS; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &conns[i]};
        conns[i] = (struct request_conn){load_dial(port), 0};
        if (conns[i].fd < 0)
            load_die("connect", NULL);
        length = answer_length(conns[i].fd, request, &out->body_bytes);
        epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &e);
    }
    for (size_t i = 0; i < LOAD_CONNECTIONS; i++)
        send_all(conns[i].fd, request, n);
    int64_t began = pj_mono_us(), cpu = load_cpu_ns(pid);
    while (pj_mono_us() - began < ms * 1000) {
        int ready = epoll_wait(ep, events, LOAD_CONNECTIONS, 1000);
        for (int i = 0; i < ready; i++) {
            struct request_conn *c = events[i].data.ptr;
            ssize_t got = read(c->fd, bytes, sizeof bytes);
            if (got <= 0)
                load_die("the server closed a connection", NULL);
            c->got += (size_t)got;
            if (c->got < length)
                continue;
            c->got = 0;
            send_all(c->fd, request, n);
            count++;
        }
    }
    out->per_second = (double)count * 1e6 / (double)(pj_mono_us() - began);
    out->cpu_us = count > 0 ? (double)(load_cpu_ns(pid) - cpu) / 1000.0 / (double)count : 0;
    for (size_t i = 0; i < LOAD_CONNECTIONS; i++)
        close(conns[i].fd);
    close(ep);
}

/* ---- viewers ---- */

struct viewer {
    int fd;
    bool in_stamp, sampled;
    int64_t stamp, lines, bytes;
};

struct viewers {
    struct viewer *all;
    size_t count;
    int ep;
    bool begun;
    int64_t *latency; /* us, of every line that some of the viewers see */
    size_t samples;
};

struct viewers *viewers_open(int port, const char *request, size_t count, bool small)
{
    struct viewers *v = pj_alloc(1, sizeof *v);
    char answer[4096];
    int size = 4096;

    v->all = pj_alloc(count, sizeof *v->all);
    v->count = count;
    v->ep = epoll_create1(EPOLL_CLOEXEC);
    v->latency = pj_alloc(SAMPLES_MAX, sizeof *v->latency);
    for (size_t i = 0; i < count; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &v->all[i]};
        v->all[i] = (struct viewer){.fd = load_dial(port), .sampled = count <= 20 || i % 20 == 0};
        if (v->all[i].fd < 0)
            load_die("connect", NULL);
        if (small && setsockopt(v->all[i].fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) < 0)
            load_die("SO_RCVBUF", NULL);
        send_all(v->all[i].fd, request, strlen(request));
        if (read(v->all[i].fd, answer, sizeof answer) < 12 || strncmp(answer + 9, "200", 3) != 0)
            load_die("no stream", NULL);
        epoll_ctl(v->ep, EPOLL_CTL_ADD, v->all[i].fd, &e);
    }
    return v;
}

void viewers_close(struct viewers *v)
{
    for (size_t i = 0; i < v->count; i++)
        pj_fd_close(&v->all[i].fd);
    close(v->ep);
    free(v->latency);
    free(v->all);
    free(v);
}

/* A stamp may be cut anywhere between two reads. */
static void take_bytes(struct viewers *v, struct viewer *one, const char *p, size_t n)
{
    const char *end = p + n;
    int64_t now = load_stamp();

    while (p < end) {
        if (!one->in_stamp) {
            p = memchr(p, '@', (size_t)(end - p));
            if (p == NULL)
                return;
            p++;
            one->in_stamp = true;
            one->stamp = 0;
        }
        for (; p < end && *p != '@'; p++)
            one->stamp = one->stamp * 10 + (*p - '0');
        if (p == end)
            return;
        p++;
        one->in_stamp = false;
        one->lines++;
        if (v->begun && v->samples < SAMPLES_MAX)
            v->latency[v->samples++] = now - one->stamp;
    }
}

bool viewers_read(struct viewers *v, int wait_ms)
{
    static char bytes[READ_SIZE];
    struct epoll_event e[256];
    int ready = epoll_wait(v->ep, e, 256, wait_ms);

    for (int i = 0; i < ready; i++) {
        struct viewer *one = e[i].data.ptr;
        bool reads = one->sampled || !v->begun;
        ssize_t n = recv(one->fd, bytes, sizeof bytes, MSG_DONTWAIT | (reads ? 0 : MSG_TRUNC));
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n <= 0)
            return false;
        one->bytes += n;
        if (reads)
            take_bytes(v, one, bytes, (size_t)n);
    }
    return true;
}

void viewers_begin(struct viewers *v)
{
    for (size_t i = 0; i < v->count; i++)
        v->all[i].lines = v->all[i].bytes = 0;
    v->samples = 0;
    v->begun = true;
}

bool viewers_have(const struct viewers *v, int64_t lines)
{
    for (size_t i = 0; i < v->count; i++) {
        const struct viewer *one = &v->all[i];
        if (one->sampled || !v->begun ? one->lines != lines : one->bytes != v->all[0].bytes)
            return false;
    }
    return true;
}

static int by_value(const void *a, const void *b)
{
    int64_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

double viewers_percentile(struct viewers *v, int percent)
{
    if (v->samples == 0)
        return 0;
    qsort(v->latency, v->samples, sizeof *v->latency, by_value);
    return (double)v->latency[v->samples * (size_t)percent / 100] / 1000.0;
}
