#include "api/cli/host.h"

#include <errno.h>
#include <fcntl.h>
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
    char *redis_url, *redis_password;
};

static const struct pj_setting table[] = {
    {"PJ_REDIS_PASSWORD", PJ_SET_SECRET, offsetof(struct host_settings, redis_password), NULL, 0, 0,
     NULL,                                                                                                 "password for Redis"},
    {"PJ_REDIS_URL",      PJ_SET_STR,    offsetof(struct host_settings, redis_url),
     "redis://127.0.0.1:6379/0",                                                               0, 0, NULL, "address of Redis"  },
};

int host_redis(struct pj_redis **out, struct pj_err *err)
{
    struct host_settings s = {0};

    if (pj_settings_load(table, PJ_COUNT_OF(table), &s, NULL, NULL, err) < 0)
        return -1;
    const struct pj_redis_options options = {
        .url = s.redis_url, .password = s.redis_password, .name = "pj", .retry_ms = 1};
    int rc = pj_redis_new(&options, out, err);
    if (rc == 0 && pj_redis_connect(*out, err) < 0) {
        pj_redis_free(*out);
        *out = NULL;
        rc = -1;
    }
    pj_settings_release(table, PJ_COUNT_OF(table), &s);
    return rc;
}

int host_run(const char *program, const char *argument, struct pj_str *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = NULL;
    PJ_CLEANUP(pj_freep) char *word = pj_strdup(argument);
    int ends[2], status = 0;
    pid_t pid;

    if (pj_find_program(program, &path, err) < 0)
        return -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return pj_fail_errno(err, errno, "pipe");
    char *const argv[] = {path, word, NULL};
    const struct pj_spawn_fd fds[] = {
        {ends[1], 1},
        {ends[1], 2}
    };
    const struct pj_spawn spec = {
        .path = path, .argv = argv, .envp = environ, .fds = fds, .fd_count = PJ_COUNT_OF(fds)};
    int rc = pj_spawn(&spec, &pid, NULL, err);
    (void)close(ends[1]);
    if (rc == 0) {
        struct pj_err ignored = {0};

        if (pj_fs_read_fd(ends[0], out, &ignored) < 0 && !out->full)
            pj_str_clear(out);
        (void)close(
            ends[0]); /* more than fits is cut: the program then ends by SIGPIPE or goes on unheard */
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    (void)close(ends[0]);
    return pj_err_wrap(err, "%s", program);
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
