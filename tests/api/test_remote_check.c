/* Remotes are asked by a program of its own (pj-remote): what it holds is secret, what happens to it stays with it, how many run is
 * bounded, and pj-api does not carry its libraries. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "api/helpers.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/json/codec.h"
#include "tests/api/raw.h"
#include "tests/api/writer.h"

#define CREDENTIAL "ghp_0123456789abcdefghijklmnop"
#define SOON 30000

/* A host that takes connections and never says a word. */
struct scene {
    struct world w;
    int listener, port;
};

static void scene_start(struct scene *s)
{
    struct sockaddr_in sin = {.sin_family = AF_INET};
    socklen_t len = sizeof sin;

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(s->listener, (const struct sockaddr *)&sin, sizeof sin), 0);
    cr_assert_eq(listen(s->listener, 100), 0);
    cr_assert_eq(getsockname(s->listener, (struct sockaddr *)&sin, &len), 0);
    s->port = ntohs(sin.sin_port);
    world_start(&s->w);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/silent.json", s->w.dir);
    FILE *f = fopen(path, "we");
    cr_assert_not_null(f);
    fprintf(f,
            "[{\"kind\":\"git\",\"host\":\"127.0.0.1:%d\",\"insecure\":true},"
            "{\"kind\":\"git\",\"root\":\"%s\"}]",
            s->port, s->w.remotes);
    cr_assert_eq(fclose(f), 0);
    world_set(&s->w, "PJ_FORGES", path);
    world_api_start(&s->w);
}

static void scene_stop(struct scene *s)
{
    close(s->listener);
    world_stop(&s->w);
}

static int begin(const struct scene *s, const char *method, const char *path, const char *body)
{
    PJ_CLEANUP(pj_freep)
    char *request = pj_asprintf("%s /api/v1%s HTTP/1.1\r\nHost: a\r\nAuthorization: "
                                "Bearer " WORLD_TOKEN "\r\nContent-Type: application/json\r\n"
                                "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                                method, path, strlen(body), body);
    int fd = raw_connect(s->w.base);

    raw_send(fd, request, strlen(request));
    return fd;
}

/* Ask for a connection to the silent host; the answer comes later. */
static int ask(const struct scene *s)
{
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"url\":\"http://127.0.0.1:%d/a/b\",\"credential\":{\"token\":"
                             "\"" CREDENTIAL "\"}}",
                             s->port);

    return begin(s, "POST", "/repositories", body);
}

/* pj-remote has reached the silent host. */
static int reached(const struct scene *s)
{
    struct pollfd p = {s->listener, POLLIN, 0};

    cr_assert_eq(poll(&p, 1, SOON), 1, "nobody came");
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    cr_assert_geq(fd, 0);
    return fd;
}

static char *proc_file(pid_t pid, const char *name)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%d/%s", pid, name);
    struct pj_str text;
    char bytes[4096];
    size_t n;

    pj_str_init(&text, 4 << 20);
    FILE *f = fopen(path, "re");
    cr_assert_not_null(f, "%s", path);
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0)
        pj_str_append(&text, bytes, n);
    fclose(f);
    for (size_t i = 0; i < text.len; i++) /* arguments and variables end with NUL */
        text.data[i] = text.data[i] == '\0' ? '\n' : text.data[i];
    return pj_str_take(&text);
}

static size_t children(pid_t pid, pid_t *out, size_t max)
{
    PJ_CLEANUP(pj_freep) char *name = pj_asprintf("task/%d/children", pid);
    PJ_CLEANUP(pj_freep) char *list = proc_file(pid, name);
    struct pj_view rest = pj_view_of(list), word;
    size_t n = 0;

    while (rest.p != NULL && pj_view_cut(&rest, ' ', &word)) {
        int64_t child;
        if (n < max && pj_parse_i64(word, &child) == 0)
            out[n++] = (pid_t)child;
    }
    return n;
}

Test(remote_check, a_credential_is_in_no_argument_and_no_variable)
{
    struct scene s;
    pid_t pid[4];

    scene_start(&s);
    int client = ask(&s), server = reached(&s);
    cr_assert_eq(children(s.w.api.pid, pid, PJ_COUNT_OF(pid)), 1);
    PJ_CLEANUP(pj_freep) char *arguments = proc_file(pid[0], "cmdline");
    PJ_CLEANUP(pj_freep) char *variables = proc_file(pid[0], "environ");
    cr_expect_not_null(strstr(arguments, "pj-remote"), "%s", arguments);
    cr_expect_null(strstr(arguments, CREDENTIAL));
    cr_expect_null(strstr(variables, CREDENTIAL));
    cr_expect_null(strstr(variables, "PJ_"), "no setting of pj-api: %s", variables);
    json_decref(world_call(&s.w, "GET", "/me", NULL, 200)); /* meanwhile others are served */
    close(server);
    PJ_CLEANUP(pj_freep) char *answer = raw_read(client, SOON, &(int){0});
    cr_expect_eq(raw_status(answer), 422, "%s", answer);
    close(client);
    scene_stop(&s);
}

Test(remote_check, one_that_dies_is_a_422_with_its_cause)
{
    struct scene s;
    pid_t pid[4];

    scene_start(&s);
    int client = ask(&s), server = reached(&s);
    cr_assert_eq(children(s.w.api.pid, pid, PJ_COUNT_OF(pid)), 1);
    cr_assert_eq(kill(pid[0], SIGSEGV), 0);
    PJ_CLEANUP(pj_freep) char *answer = raw_read(client, SOON, &(int){0});
    cr_expect_eq(raw_status(answer), 422, "%s", answer);
    cr_expect_not_null(strstr(answer, "repository_unreachable"));
    cr_expect_not_null(strstr(answer, "pj-remote ended without an answer"), "%s", answer);
    cr_expect_eq(children(s.w.api.pid, pid, PJ_COUNT_OF(pid)), 0);
    close(client);
    close(server);
    scene_stop(&s);
}

Test(remote_check, few_run_few_wait_and_all_end_with_the_server)
{
    enum { ALL = HELPERS_RUNNING_MAX + HELPERS_WAITING_MAX };
    struct scene s;
    int client[ALL], server[HELPERS_RUNNING_MAX];
    pid_t pid[ALL];

    scene_start(&s);
    for (size_t i = 0; i < HELPERS_RUNNING_MAX; i++) {
        client[i] = ask(&s);
        server[i] = reached(&s);
    }
    for (size_t i = HELPERS_RUNNING_MAX; i < ALL; i++)
        client[i] = ask(&s);
    PJ_CLEANUP(pj_freep) char *refused = NULL;
    for (int tries = 0; raw_status(refused != NULL ? refused : "") != 503 && tries < 100; tries++) {
        int fd = ask(&s); /* those before may still be on their way to the queue */
        free(refused);
        refused = raw_read(fd, 2000, &(int){0});
        close(fd);
    }
    cr_expect_eq(raw_status(refused), 503, "%s", refused);
    cr_expect_not_null(strstr(refused, "Retry-After: "));
    cr_expect_eq(children(s.w.api.pid, pid, ALL), HELPERS_RUNNING_MAX);
    cr_assert_eq(kill(s.w.api.pid, SIGTERM), 0);
    cr_expect(program_wait_log(&s.w.api, "\"draining\"", SOON));
    cr_expect_eq(program_stop(&s.w.api, SIGTERM, SOON), 0, "asked twice");
    for (size_t i = 0; i < HELPERS_RUNNING_MAX; i++) {
        char byte;
        cr_expect_neq(kill(pid[i], 0), 0, "%d is still there", pid[i]);
        while (read(server[i], &byte, 1) > 0) /* what it asked */
            ;
        close(server[i]);
    }
    for (size_t i = 0; i < ALL; i++)
        close(client[i]);
    scene_stop(&s);
}

/* It takes seconds to ask a remote: what others change meanwhile stays changed. */
Test(remote_check, an_edit_that_waits_for_a_remote_takes_nothing_back)
{
    static const char *const waits[] = {"PATCH", "POST"};
    struct scene s;
    int busy[HELPERS_RUNNING_MAX], server[HELPERS_RUNNING_MAX];

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *id = writer_repository(&s.w, "one");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s", id);
    PJ_CLEANUP(pj_freep) char *verify = pj_asprintf("/repositories/%s/verify", id);
    for (size_t k = 0; k < PJ_COUNT_OF(waits); k++) {
        for (size_t i = 0; i < HELPERS_RUNNING_MAX; i++) { /* nobody else has a turn */
            busy[i] = ask(&s);
            server[i] = reached(&s);
        }
        int client = k == 0 ? begin(&s, "PATCH", path, "{\"defaultBranch\":\"main\"}")
                            : begin(&s, "POST", verify, "{}");
        for (int i = 0; i < 20;
             i++) /* Redis answers in order: it was read before the last of these */
            json_decref(world_call(&s.w, "GET", "/me", NULL, 200));
        PJ_CLEANUP(pj_freep) char *body = pj_asprintf("{\"checkCommand\":\"make test%zu\"}", k);
        PJ_CLEANUP(pj_freep) char *command = pj_asprintf("make test%zu", k);
        json_decref(world_call(&s.w, "PATCH", path, body, 200));
        for (size_t i = 0; i < HELPERS_RUNNING_MAX; i++)
            close(server[i]);
        PJ_CLEANUP(pj_freep) char *answer = raw_read(client, SOON, &(int){0});
        cr_expect_eq(raw_status(answer), 200, "%s", answer);
        json_t *repo = world_call(&s.w, "GET", path, NULL, 200);
        cr_expect_str_eq(pj_json_str(repo, "checkCommand", ""), command, "%s", waits[k]);
        cr_expect_str_eq(pj_json_str(repo, "status", ""), "connected");
        json_decref(repo);
        close(client);
        for (size_t i = 0; i < HELPERS_RUNNING_MAX; i++) {
            free(raw_read(busy[i], SOON, &(int){0}));
            close(busy[i]);
        }
    }
    scene_stop(&s);
}

Test(remote_check, the_server_itself_links_none_of_it)
{
    static const char *const foreign[] = {"libcurl", "libgit2", "libgnutls", "libssh2"};
    struct scene s;

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *maps = proc_file(s.w.api.pid, "maps");
    cr_expect_not_null(strstr(maps, "libcrypto"));
    for (size_t i = 0; i < PJ_COUNT_OF(foreign); i++)
        cr_expect_null(strstr(maps, foreign[i]), "%s", foreign[i]);
    scene_stop(&s);
}
