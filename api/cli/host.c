#include "api/cli/host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "lib/base/settings.h"

extern char **environ;

struct host_settings {
    struct pj_redis_settings redis;
    char *ca_file;
};

#define AT(field) offsetof(struct host_settings, field)

static const struct pj_setting table[] = {
    {"PJ_CA_FILE", PJ_SET_STR, AT(ca_file), NULL, 0, 0, NULL, "certificates to trust"},
    {"PJ_REDIS_CA_FILE", PJ_SET_STR, AT(redis.ca_file), NULL, 0, 0, NULL, "the same, for Redis"},
    {"PJ_REDIS_CERT_FILE", PJ_SET_STR, AT(redis.cert_file), NULL, 0, 0, NULL, "to show to Redis"},
    {"PJ_REDIS_KEY_FILE", PJ_SET_STR, AT(redis.key_file), NULL, 0, 0, NULL, "its key"},
    {"PJ_REDIS_PASSWORD", PJ_SET_SECRET, AT(redis.password), NULL, 0, 0, NULL,
     "password for Redis"},
    {"PJ_REDIS_SENTINEL_PASSWORD", PJ_SET_SECRET, AT(redis.sentinel_password), NULL, 0, 0, NULL,
     "for its sentinels"},
    {"PJ_REDIS_SENTINEL_USER", PJ_SET_STR, AT(redis.sentinel_user), NULL, 0, 0, NULL,
     "user at the sentinels"},
    {"PJ_REDIS_URL", PJ_SET_STR, AT(redis.url), "redis://127.0.0.1:6379/0", 0, 0, NULL,
     "address of Redis"},
};

int host_redis_at(const struct pj_redis_settings *settings, const char *ca_file,
                  struct pj_redis **out, struct pj_err *err)
{
    struct pj_redis_options options = pj_redis_options_of(settings, ca_file, "pj");
    int rc;

    options.retry_ms = 1;
    (void)signal(SIGPIPE,
                 SIG_IGN); /* TLS writes as to a pipe; a server that hangs up is an error to tell */
    rc = pj_redis_new(&options, out, err);
    if (rc == 0 && pj_redis_connect(*out, err) < 0) {
        pj_redis_free(*out);
        *out = NULL;
        rc = -1;
    }
    return rc;
}

int host_redis(struct pj_redis **out, struct pj_err *err)
{
    struct host_settings s = {0};

    if (pj_settings_load(table, PJ_COUNT_OF(table), &s, NULL, NULL, err) < 0)
        return -1;
    int rc = host_redis_at(&s.redis, s.ca_file, out, err);
    pj_settings_release(table, PJ_COUNT_OF(table), &s);
    return rc;
}

/* Our environment with PJ_CONFIG set; the array and its last string are the caller's. */
static char **with_config(const char *config, char **setting)
{
    size_t n = 0, k = 0;

    while (environ[n])
        n++;
    char **out = pj_alloc(n + 2, sizeof *out);
    for (size_t i = 0; i < n; i++)
        if (!config || strncmp(environ[i], "PJ_CONFIG=", 10) != 0)
            out[k++] = environ[i];
    *setting = config ? pj_asprintf("PJ_CONFIG=%s", config) : NULL;
    out[k] = *setting;
    return out;
}

static int wait_for(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int host_run(const char *program, const char *argument, const char *config, struct pj_str *out,
             struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;
    PJ_CLEANUP(pj_freep) char *word = pj_strdup(argument);
    PJ_CLEANUP(pj_freep) char *setting = NULL;
    int ends[2];
    pid_t pid;

    if (pj_find_program(program, &path, err) < 0)
        return -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return pj_fail_errno(err, errno, "pipe");
    char *const argv[] = {path, word, NULL};
    char **envp = with_config(config, &setting);
    const struct pj_spawn_fd fds[] = {{ends[1], 1}, {ends[1], 2}};
    const struct pj_spawn spec = {
        .path = path, .argv = argv, .envp = envp, .fds = fds, .fd_count = PJ_COUNT_OF(fds)};
    int rc = pj_spawn(&spec, &pid, NULL, err);
    free(envp);
    (void)close(ends[1]);
    if (rc == 0) {
        struct pj_err ignored = {0};

        if (pj_fs_read_fd(ends[0], out, &ignored) < 0 && !out->full)
            pj_str_clear(out);
    }
    /* More than fits is cut: the program then ends by SIGPIPE or goes on unheard. */
    (void)close(ends[0]);
    return rc == 0 ? wait_for(pid) : pj_err_wrap(err, "%s", program);
}

void host_become(const char *program, int argc, char **argv, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;

    if (pj_find_program(program, &path, err) < 0)
        return;
    char **words = pj_alloc((size_t)argc + 2, sizeof *words);
    words[0] = path;
    memcpy(words + 1, argv, (size_t)argc * sizeof *words);
    (void)execv(path, words);
    (void)pj_fail_errno(err, errno, "%s", path);
    free(words);
}
