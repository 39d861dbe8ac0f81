/* Wrong settings, an unreachable Redis, a port in use, a missing tool: one clear line that names the setting and the remedy. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/view.h"
#include "tests/scenarios/scene.h"

struct fault {
    const char *program, *name, *value; /* value NULL: unset */
    int exit_code;
    const char *said; /* the line names it */
};

static const struct fault faults[] = {
    {"pj-api", "PJ_LISTEN", "nonsense", 78, "PJ_LISTEN"},
    {"pj-api", "PJ_LOG_LEVEL", "loud", 78, "PJ_LOG_LEVEL"},
    {"pj-api", "PJ_REDIS_URL", "http://x", 78, "PJ_REDIS_URL"},
    {"pj-api", "PJ_REDIS_URL", "unix:///nonexistent/redis.sock", 1, "/nonexistent/redis.sock"},
    {"pj-api", "PJ_SECRET_KEY", NULL, 78, "PJ_SECRET_KEY"},
    {"pj-api", "PJ_SECRET_KEY", "c2hvcnQ=", 78, "PJ_SECRET_KEY"},
    {"pj-runner", "MODEL_PROVIDER", "oracle", 78, "MODEL_PROVIDER"},
    {"pj-runner", "PJ_FORGES", "/nonexistent/forges.json", 78, "PJ_FORGES"},
    {"pj-runner", "PJ_REDIS_URL", "unix:///nonexistent/redis.sock", 1, "/nonexistent/redis.sock"},
    {"pj-runner", "PJ_RUNNER_SLOTS", "many", 78, "PJ_RUNNER_SLOTS"},
    {"pj-runner", "PJ_SECRET_KEY", NULL, 78, "PJ_SECRET_KEY"},
    {"pj-runner", "PJ_TASK_TIMEOUT", "10", 78, "PJ_TASK_TIMEOUT"},
};

/* Lines that tell of a failure: warnings about the host may stand before them. */
static size_t count_lines(const char *text)
{
    struct pj_view rest = pj_view_of(text), line;
    size_t n = 0;

    while (pj_view_cut(&rest, '\n', &line))
        if (line.n > 0 && !memmem(line.p, line.n, "\"level\":\"warn\"", 14) &&
            !memmem(line.p, line.n, "\"level\":\"info\"", 14))
            n++;
    return n;
}

Test(startup, a_mistake_is_one_clear_line)
{
    struct scene s;

    scene_prepare(&s, NULL, 0);
    for (size_t i = 0; i < PJ_COUNT_OF(faults); i++) {
        const struct fault *f = &faults[i];
        char *before = NULL, *out, *err;

        for (size_t k = 0; k < s.w.env_count; k++)
            if (strncmp(s.w.env[k], f->name, strlen(f->name)) == 0 &&
                s.w.env[k][strlen(f->name)] == '=')
                before = pj_strdup(s.w.env[k] + strlen(f->name) + 1);
        world_set(&s.w, f->name, f->value);
        int code = program_run(f->program, NULL, s.w.env, s.w.dir, NULL, &out, &err);
        cr_expect_eq(code, f->exit_code, "%s with %s=%s: exit %d: %s", f->program, f->name,
                     f->value, code, err);
        cr_expect_not_null(strstr(err, f->said), "%s with %s=%s said: %s", f->program, f->name,
                           f->value, err);
        cr_expect_eq(count_lines(err), 1, "%s with %s=%s said: %s", f->program, f->name, f->value,
                     err);
        cr_expect_null(strstr(err, "c2hvcnQ="), "a secret is shown: %s", err);
        cr_expect(f->exit_code != 78 || !strstr(err, "{"),
                  "%s with %s=%s got further than its settings: %s", f->program, f->name, f->value,
                  err);
        world_set(&s.w, f->name, before);
        free(before);
        free(out);
        free(err);
    }
    scene_stop(&s);
}

Test(startup, a_port_in_use_is_one_clear_line)
{
    struct scene s;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char *out, *err;

    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    scene_prepare(&s, NULL, 0);
    char *address = pj_asprintf("127.0.0.1:%u", (unsigned)ntohs(at.sin_port));
    char *port = pj_asprintf("%u", (unsigned)ntohs(at.sin_port));
    world_set(&s.w, "PJ_LISTEN", address);
    int code = program_run("pj-api", NULL, s.w.env, s.w.dir, NULL, &out, &err);
    cr_expect_eq(code, 1, "%s", err);
    cr_expect_not_null(strstr(err, "PJ_LISTEN"), "%s", err);
    cr_expect_eq(count_lines(err), 1, "%s", err);
    free(out);
    free(err);
    const char *const args[] = {"up", "--once", "--port", port, "--data", "up", NULL};
    code = program_run("pj", args, s.w.env, s.w.dir, NULL, &out, &err);
    cr_expect_eq(code, 1, "%s", err);
    cr_expect_not_null(strstr(err, "--port"), "%s", err);
    cr_expect_eq(count_lines(err), 1, "%s", err);
    free(out);
    free(err);
    free(address);
    free(port);
    close(fd);
    scene_stop(&s);
}

Test(startup, a_missing_redis_server_is_one_clear_line)
{
    struct scene s;
    char *out, *err;

    scene_prepare(&s, NULL, 0);
    world_set(&s.w, "PATH", "/nonexistent");
    const char *const args[] = {"up", "--once", "--port", "1", "--data", "up", NULL};
    int code = program_run("pj", args, s.w.env, s.w.dir, NULL, &out, &err);
    cr_expect_eq(code, 1, "%s", err);
    cr_expect_not_null(strstr(err, "apt-get install redis-server"), "%s", err);
    cr_expect_eq(count_lines(err), 1, "%s", err);
    free(out);
    free(err);
    scene_stop(&s);
}
