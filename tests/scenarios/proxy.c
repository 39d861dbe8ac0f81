/* The samples of docs/examples in front of the API, by the real nginx and the real Caddy: TLS, a log that comes as it is written, and what
 * the samples promise besides. PJ_HELM_TOOLS: where fetch_tools.sh left the two. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "tests/scenarios/rolling.h"

#define SAMPLE_MAX 65536
/* One that was fetched and not installed has no folders of its own. */
#define NGINX_TEMP(dir)                                                                            \
    "client_body_temp_path " dir "/body;\nproxy_temp_path " dir "/proxy;\n"                        \
    "fastcgi_temp_path " dir "/fastcgi;\nuwsgi_temp_path " dir "/uwsgi;\n"                         \
    "scgi_temp_path " dir "/scgi;\n"

struct front {
    struct scene s;
    struct program proxy;
    unsigned tls, plain; /* its ports */
    char *url;           /* "https://127.0.0.1:PORT" */
    char *cert, *key;    /* files */
};

static const struct model_answer held[] = {
    {.trouble = MODEL_GATE,
     .text = "I write.",
     .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
    SCENE_FINISH,
};

static unsigned free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 &&
              getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

/* The program of that name: installed, or fetched. Skips the test where there is none. */
static char *find_proxy(const char *name)
{
    const char *tools = getenv("PJ_HELM_TOOLS");
    char *at[] = {pj_asprintf("/usr/sbin/%s", name), pj_asprintf("/usr/bin/%s", name),
                  pj_asprintf("%s/%s", tools ? tools : "/nonexistent", name)};
    char *found = NULL;

    for (size_t i = 0; i < PJ_COUNT_OF(at); i++) {
        if (!found && access(at[i], X_OK) == 0)
            found = at[i];
        else
            free(at[i]);
    }
    if (!found)
        cr_skip_test("%s is not installed and could not be fetched", name);
    return found;
}

/* The sample, with `from` replaced by `to` wherever it stands; it must stand there. Takes `text`. */
static char *with(char *text, const char *from, const char *to)
{
    struct pj_str out;
    const char *rest = text, *at;

    cr_assert_not_null(strstr(text, from), "the sample lacks \"%s\"", from);
    pj_str_init(&out, SAMPLE_MAX);
    for (; (at = strstr(rest, from)); rest = at + strlen(from))
        pj_str_putf(&out, "%.*s%s", (int)(at - rest), rest, to);
    pj_str_putf(&out, "%s", rest);
    free(text);
    return pj_str_take(&out);
}

/* The same where `to` is made of a number or a path. */
static char *with_port(char *text, const char *from, const char *format, unsigned port)
{
    PJ_CLEANUP(pj_freep) char *number = pj_asprintf("%u", port);
    PJ_CLEANUP(pj_freep) char *to = with(pj_strdup(format), "PORT", number);

    return with(text, from, to);
}

static char *sample(const char *name)
{
    PJ_CLEANUP(pj_freep)
    char *path = pj_asprintf("%s/docs/examples/%s", getenv("PJ_TEST_SRC"), name);
    struct pj_str text;
    struct pj_err err;

    pj_str_init(&text, SAMPLE_MAX);
    cr_assert_eq(pj_fs_read(path, &text, &err), 0, "%s", err.message);
    return pj_str_take(&text);
}

static void make_certificate(struct front *f)
{
    const char *args[] = {"req",
                          "-x509",
                          "-newkey",
                          "rsa:2048",
                          "-nodes",
                          "-days",
                          "1",
                          "-subj",
                          "/CN=pj",
                          "-addext",
                          "subjectAltName=IP:127.0.0.1",
                          "-keyout",
                          NULL,
                          "-out",
                          NULL,
                          NULL};
    char *out, *err;

    f->cert = pj_asprintf("%s/cert.pem", f->s.w.dir);
    f->key = pj_asprintf("%s/key.pem", f->s.w.dir);
    args[12] = f->key;
    args[14] = f->cert;
    cr_assert_eq(program_run("/usr/bin/openssl", args, f->s.w.env, f->s.w.dir, NULL, &out, &err), 0,
                 "%s", err);
    free(out);
    free(err);
}

/* The API and a runner whose model is held at the gate. */
static void open_front(struct front *f)
{
    memset(f, 0, sizeof *f);
    f->tls = free_port();
    f->plain = free_port();
    f->url = pj_asprintf("https://127.0.0.1:%u", f->tls);
    scene_prepare(&f->s, held, PJ_COUNT_OF(held));
    make_certificate(f);
    world_set(&f->s.w, "PJ_PUBLIC_URL", f->url);
    world_set(&f->s.w, "PJ_TRUSTED_PROXIES", "127.0.0.0/8");
    scene_open(&f->s, ",\"codeRabbit\":\"off\"");
}

static void close_front(struct front *f)
{
    (void)program_stop(&f->proxy, SIGTERM, WORLD_SOON);
    program_release(&f->proxy);
    scene_stop(&f->s);
    free(f->url);
    free(f->cert);
    free(f->key);
}

/* Writes the proxy's file and starts it; takes `text`. */
static void start_proxy(struct front *f, const char *program, const char *const *args,
                        const char *config, char *text, const char *ready)
{
    struct pj_err err;

    cr_assert_eq(pj_fs_write_atomic(config, text, strlen(text), 0600, &err), 0, "%s", err.message);
    free(text);
    program_start(&f->proxy, program, args, f->s.w.env, f->s.w.dir, "proxy");
    bool started = program_wait_log(&f->proxy, ready, WORLD_SOON);
    PJ_CLEANUP(pj_freep) char *log = program_log(&f->proxy);
    cr_assert(started, "%s", log);
}

/* The answer's head, as curl prints it. */
static char *head_of(struct front *f, const char *method, const char *url, const char *body)
{
    const char *args[] = {"-s",
                          "-m",
                          "30",
                          "--cacert",
                          f->cert,
                          "-D",
                          "-",
                          "-o",
                          "/dev/null",
                          "-X",
                          method,
                          "-H",
                          "Content-Type: application/json",
                          url,
                          body ? "-d" : NULL,
                          body,
                          NULL};
    char *out, *err;

    cr_assert_eq(program_run("/usr/bin/curl", args, f->s.w.env, f->s.w.dir, NULL, &out, &err), 0,
                 "%s: %s", url, err);
    free(err);
    return out;
}

static void expect_head(struct front *f, const char *method, const char *path, const char *body,
                        const char *said)
{
    PJ_CLEANUP(pj_freep)
    char *url = path[0] == '/' ? pj_asprintf("%s%s", f->url, path) : pj_strdup(path);
    PJ_CLEANUP(pj_freep) char *head = head_of(f, method, url, body);

    cr_expect_not_null(strstr(head, said), "%s %s: no \"%s\" in %s", method, url, said, head);
}

/* A task is followed through the proxy: the lines before the gate are at the viewer while the model is still silent. */
static void follow_through(struct front *f)
{
    struct world *w = &f->s.w;
    struct program viewer = {0};

    world_set(w, "PJ_URL", f->url);
    world_set(w, "PJ_TOKEN", WORLD_TOKEN);
    world_set(w, "PJ_CA_FILE", f->cert);
    PJ_CLEANUP(pj_freep) char *task = scene_run(&f->s, "Write a file");
    const char *const args[] = {"--json", "logs", "-f", task, NULL};
    program_start(&viewer, "pj", args, w->env, w->dir, "viewer");
    cr_assert(model_server_wait(f->s.model, 1, WORLD_SOON));
    cr_expect(program_wait_log(&viewer, " KiB\"", 10000), "the proxy keeps lines back");
    model_server_release(f->s.model);
    rolling_assert_once(&f->s, task);
    rolling_assert_saw_all(&f->s, &viewer, task);
}

static void look_around(struct front *f)
{
    expect_head(f, "GET", "/livez", NULL, " 200");
    expect_head(f, "GET", "/metrics", NULL, " 404");
    /* The API knows that its visitors come by TLS. */
    expect_head(f, "POST", "/api/v1/session", "{\"token\":\"" WORLD_TOKEN "\"}", "; Secure");
}

Test(proxy, nginx_passes_a_log_on_as_it_is_written)
{
    PJ_CLEANUP(pj_freep) char *program = find_proxy("nginx");
    struct front f;

    open_front(&f);
    PJ_CLEANUP(pj_freep) char *config = pj_asprintf("%s/nginx.conf", f.s.w.dir);
    PJ_CLEANUP(pj_freep) char *plain = pj_asprintf("http://127.0.0.1:%u/", f.plain);
    char *text = with(sample("nginx.conf"), "127.0.0.1:8080", f.s.w.base + strlen("http://"));
    text = with(text, "    listen [::]:80;\n", "");
    text = with(text, "    listen [::]:443 ssl http2;\n", "");
    text = with_port(text, "listen 80;", "listen 127.0.0.1:PORT;", f.plain);
    text = with_port(text, "listen 443 ", "listen 127.0.0.1:PORT ", f.tls);
    text = with(text, "/etc/letsencrypt/live/pj.example.com/fullchain.pem", f.cert);
    text = with(text, "/etc/letsencrypt/live/pj.example.com/privkey.pem", f.key);
    char *whole = pj_asprintf("daemon off;\npid %s/nginx.pid;\nerror_log stderr notice;\n%s"
                              "events {}\nhttp {\naccess_log off;\n" NGINX_TEMP("%s") "%s\n}\n",
                              f.s.w.dir, geteuid() == 0 ? "user root;\n" : "", f.s.w.dir, f.s.w.dir,
                              f.s.w.dir, f.s.w.dir, f.s.w.dir, text);
    free(text);
    const char *const args[] = {"-c", config, "-p", f.s.w.dir, "-e", "stderr", NULL};
    start_proxy(&f, program, args, config, whole, "start worker process");
    look_around(&f);
    expect_head(&f, "GET", plain, NULL, "Location: https://");
    follow_through(&f);
    close_front(&f);
}

Test(proxy, caddy_passes_a_log_on_as_it_is_written)
{
    PJ_CLEANUP(pj_freep) char *program = find_proxy("caddy");
    struct front f;

    open_front(&f);
    PJ_CLEANUP(pj_freep) char *config = pj_asprintf("%s/Caddyfile", f.s.w.dir);
    PJ_CLEANUP(pj_freep)
    char *site = pj_asprintf("\n%s {\n\ttls %s %s\n", f.url, f.cert, f.key);
    char *text = with(sample("Caddyfile"), "127.0.0.1:8080", f.s.w.base + strlen("http://"));
    text = with(text, "\npj.example.com {\n", site);
    char *whole = pj_asprintf("{\n\tadmin off\n\tauto_https disable_redirects\n}\n%s", text);
    free(text);
    const char *const args[] = {"run", "--adapter", "caddyfile", "--config", config, NULL};
    start_proxy(&f, program, args, config, whole, "serving initial configuration");
    look_around(&f);
    follow_through(&f);
    close_front(&f);
}
