/* bench_gateway - what the gateway costs between an agent and a model: a turn through it, alternating with a direct call to the
 * same server in the same minute; and the memory of its process after an answer of 10 MB has streamed through.
 *
 * Three processes: the server, the gateway, and this one, which plays the agent. Prints a table, and with --json FILE appends one
 * JSON object a row. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"
#include "lib/wire/frame.h"
#include "runner/gateway/gateway.h"
#include "tests/support/stand_in.h"

#define ROUNDS 500
#define KEY "bench-key-0123456789"
#define PIECE 65536

static char home[64], url[100];
static const char *json_file;

static void die(const char *what, const struct pj_err *err)
{
    (void)fprintf(stderr, "bench_gateway: %s: %s\n", what, err ? err->message : strerror(errno));
    exit(1);
}

/* ---- the server ---- */

static void answer(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    static char piece[PIECE + 200];

    (void)ctx;
    stand_in_stream_begin(x, 200, "text/event-stream");
    if (strstr(r->body, "as much as you can")) {
        (void)snprintf(piece, sizeof piece,
                       "data: {\"choices\":[{\"delta\":{\"content\":\"%0*d\"}}]}\n\n", PIECE, 7);
        for (int i = 0; i < 160; i++)
            stand_in_stream_piece(x, piece);
    }
    stand_in_stream_piece(
        x, "data: {\"choices\":[{\"delta\":{\"content\":\"ok\"},\"finish_reason\":\"stop\"}]}\n\n"
           "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":90,\"completion_tokens\":1}}\n\n"
           "data: [DONE]\n\n");
    stand_in_stream_end(x);
}

/* A child that runs `main` and has said on its pipe that it is ready; dies with us. */
static pid_t child(int (*run)(int ready), char *said, size_t size)
{
    int ends[2];
    ssize_t n;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        die("fork", NULL);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        _exit(run(ends[1]));
    }
    close(ends[1]);
    n = read(ends[0], said, size - 1);
    said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    if (n <= 0)
        die("a child did not start", NULL);
    return pid;
}

static int run_server(int ready)
{
    struct stand_in *server = stand_in_start(0, answer, NULL);

    (void)dprintf(ready, "%s/v1", stand_in_url(server));
    for (;;)
        (void)pause();
    return 0;
}

/* ---- the gateway ---- */

static int run_gateway(int ready)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/socket", home);
    struct pj_prices *prices = NULL;
    struct pj_redact *redact = pj_redact_new();
    struct gateway *gw = NULL;
    struct gateway_result result;
    struct pj_err err;

    pj_redact_add(redact, KEY);
    if (pj_prices_load(NULL, &prices, &err) < 0)
        die("prices", &err);
    struct gateway_config config = {
        .socket_path = path,
        .primary = {.provider = "openai", .model = "m", .base_url = url, .api_key = KEY},
        .prices = prices,
        .limits = {.cost_microusd = -1},
        .redact = redact,
        .task = {.id = "x", .title = "t", .description = "d"}};
    if (gateway_open(&config, &gw, &err) < 0)
        die("gateway", &err);
    (void)!freopen("/dev/null", "w", stderr); /* its operator's log */
    (void)dprintf(ready, "ready");
    return gateway_serve(gw, NULL, &result, &err) < 0 ? 1 : 0;
}

/* ---- the agent ---- */

static void connect_link(struct pj_link *link)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(to.sun_path, sizeof to.sun_path, "%s/socket", home);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) < 0)
        die("connect", NULL);
    pj_link_init(link, fd);
}

/* One turn; microseconds. */
static double turn(struct pj_link *link, const char *frame)
{
    int64_t start = pj_mono_us();
    struct pj_view reply;
    struct pj_err err;

    if (pj_link_send(link, pj_view_of(frame), 60000, NULL, &err) < 0 ||
        pj_link_recv(link, &reply, 60000, NULL, &err) != 0)
        die("a turn", &err);
    return (double)(pj_mono_us() - start);
}

static double direct(struct pj_http *http, const char *body)
{
    PJ_CLEANUP(pj_freep) char *to = pj_asprintf("%s/chat/completions", url);
    struct pj_http_header headers[] = {{"Content-Type", "application/json"}};
    struct pj_http_request req = {.url = to,
                                  .headers = headers,
                                  .header_count = 1,
                                  .body = body,
                                  .body_len = strlen(body),
                                  .allow_plain = true};
    struct pj_http_response res;
    struct pj_err err;
    int64_t start = pj_mono_us();

    if (pj_http_do(http, &req, &res, &err) < 0 || res.status != 200)
        die("a direct call", &err);
    pj_http_response_release(&res);
    return (double)(pj_mono_us() - start);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void row(const char *name, const char *unit, double median, double p95)
{
    (void)printf("%-44s %10.3f %10.3f %s\n", name, median, p95, unit);
    FILE *out = json_file ? fopen(json_file, "ae") : NULL;
    if (!out)
        return;
    (void)fprintf(
        out,
        "{\"bench\":\"gateway\",\"name\":\"%s\",\"unit\":\"%s\",\"median\":%.3f,\"p95\":%.3f}\n",
        name, unit, median, p95);
    (void)fclose(out);
}

static double peak_mb(pid_t pid)
{
    char path[64], line[200];
    long kb = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    if (f)
        (void)fclose(f);
    return (double)kb / 1024;
}

/* A history as it is some turns into a task: about 60 KiB. */
static json_t *history(const char *question)
{
    json_t *messages = json_array();
    char text[4000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 15; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "t%d", i);
        json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "user", "text", text));
        json_array_append_new(messages, json_pack("{s:s, s:s, s:s, s:[]}", "role", "assistant",
                                                  "turn", id, "text", "go on", "calls"));
    }
    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "user", "text", question));
    return messages;
}

static void measure(struct pj_link *link)
{
    struct pj_http *http = pj_http_new(NULL);
    json_t *frame = json_pack("{s:s, s:s, s:o, s:[]}", "type", "turn", "system",
                              "You are measured.", "messages", history("well?"), "tools");
    json_t *body =
        json_pack("{s:s, s:b, s:o}", "model", "m", "stream", 1, "messages", history("well?"));
    char *frame_text = pj_json_text(frame), *body_text = pj_json_text(body);
    static double through[ROUNDS], straight[ROUNDS], over[ROUNDS];

    for (int i = 0; i < 20; i++) {
        (void)turn(link, frame_text);
        (void)direct(http, body_text);
    }
    for (int i = 0; i < ROUNDS; i++) {
        straight[i] = direct(http, body_text) / 1000;
        through[i] = turn(link, frame_text) / 1000;
        over[i] = through[i] - straight[i];
    }
    qsort(straight, ROUNDS, sizeof *straight, by_value);
    qsort(through, ROUNDS, sizeof *through, by_value);
    qsort(over, ROUNDS, sizeof *over, by_value);
    row("direct call, 60 KiB of history", "ms", straight[ROUNDS / 2], straight[ROUNDS * 95 / 100]);
    row("the same through the gateway", "ms", through[ROUNDS / 2], through[ROUNDS * 95 / 100]);
    row("gateway's own share", "ms", over[ROUNDS / 2], over[ROUNDS * 95 / 100]);
    free(frame_text);
    free(body_text);
    json_decref(frame);
    json_decref(body);
    pj_http_free(http);
}

int main(int argc, char **argv)
{
    char said[100];
    struct pj_link link;
    struct pj_err err;
    pid_t server, gateway;

    if (argc == 3 && strcmp(argv[1], "--json") == 0)
        json_file = argv[2];
    (void)snprintf(home, sizeof home, "/tmp/pj-bench-XXXXXX");
    if (!mkdtemp(home))
        die("mkdtemp", NULL);
    server = child(run_server, url, sizeof url);
    gateway = child(run_gateway, said, sizeof said);
    connect_link(&link);
    (void)printf("%-44s %10s %10s\n", "gateway", "median", "p95");
    measure(&link);
    double before = peak_mb(gateway);
    json_t *frame = json_pack("{s:s, s:s, s:o, s:[]}", "type", "turn", "system", "s", "messages",
                              history("Say as much as you can."), "tools");
    char *text = pj_json_text(frame);
    double ms = turn(&link, text) / 1000;
    row("an answer of 10 MB", "ms", ms, ms);
    row("peak of the gateway's process before it", "MB", before, before);
    row("and after it", "MB", peak_mb(gateway), peak_mb(gateway));
    free(text);
    json_decref(frame);
    pj_link_release(&link);
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    (void)waitpid(gateway, NULL, 0);
    return pj_fs_remove_tree(home, &err) < 0;
}
