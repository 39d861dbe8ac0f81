#include "tests/support/forge_git.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"

#define OUTPUT_MAX (64u * 1024 * 1024)
#define ENV_MAX 24

struct cgi_env {
    char *vars[ENV_MAX + 1];
    size_t count;
};

static void env_put(struct cgi_env *env, const char *name, const char *value)
{
    if (value && env->count < ENV_MAX)
        env->vars[env->count++] = pj_asprintf("%s=%s", name, value);
}

static void env_fill(struct cgi_env *env, const char *root, const char *path,
                     const struct stand_in_request *r)
{
    char length[24];

    snprintf(length, sizeof length, "%zu", r->body_len);
    env_put(env, "PATH", "/usr/local/bin:/usr/bin:/bin");
    env_put(env, "HOME", "/nonexistent");
    env_put(env, "GIT_CONFIG_NOSYSTEM", "1");
    env_put(env, "GIT_CONFIG_COUNT", "2");
    env_put(env, "GIT_CONFIG_KEY_0", "safe.directory");
    env_put(env, "GIT_CONFIG_VALUE_0", "*");
    env_put(env, "GIT_CONFIG_KEY_1", "http.receivepack");
    env_put(env, "GIT_CONFIG_VALUE_1", "true");
    env_put(env, "GIT_PROJECT_ROOT", root);
    env_put(env, "GIT_HTTP_EXPORT_ALL", "1");
    env_put(env, "PATH_INFO", path);
    env_put(env, "QUERY_STRING", r->query ? r->query : "");
    env_put(env, "REQUEST_METHOD", r->method);
    env_put(env, "CONTENT_LENGTH", length);
    env_put(env, "CONTENT_TYPE", stand_in_header(r, "content-type"));
    env_put(env, "HTTP_CONTENT_ENCODING", stand_in_header(r, "content-encoding"));
    env_put(env, "GIT_PROTOCOL", stand_in_header(r, "git-protocol"));
    env_put(env, "REMOTE_USER", "test");
    env_put(env, "REMOTE_ADDR", "127.0.0.1");
}

static void env_release(struct cgi_env *env)
{
    for (size_t i = 0; i < env->count; i++)
        free(env->vars[i]);
}

/* The body goes in by a memory file and what comes out is read to its end, so neither side can wait for the other. */
static int run_cgi(struct cgi_env *env, const struct stand_in_request *r, struct pj_str *out)
{
    char git[] = "git", backend[] = "http-backend";
    char *const argv[] = {git, backend, NULL};
    PJ_CLEANUP(pj_closep) int in = memfd_create("cgi", MFD_CLOEXEC);
    int pipe_fds[2];
    posix_spawn_file_actions_t actions;
    struct pj_err err = {0};
    pid_t pid;

    if (in < 0 || pj_write_all(in, r->body, r->body_len) < 0 || lseek(in, 0, SEEK_SET) < 0 ||
        pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], 1);
    int rc = posix_spawnp(&pid, "git", &actions, NULL, argv, env->vars);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    if (rc == 0) {
        rc = pj_fs_read_fd(pipe_fds[0], out, &err);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    close(pipe_fds[0]);
    return rc == 0 ? 0 : -1;
}

/* "Name: value\r\n" lines, an empty line, the body. */
static void forward(const struct pj_str *out, struct stand_in_exchange *x)
{
    const char *p = pj_str_cstr(out), *end = p + out->len;
    char *type = NULL;
    int status = 200;

    while (p < end && *p != '\r' && *p != '\n') {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        const char *colon = memchr(p, ':', (size_t)(end - p));

        if (!eol || !colon || colon > eol)
            break;
        const char *stop = eol > p && eol[-1] == '\r' ? eol - 1 : eol;
        char *name = pj_strndup(p, (size_t)(colon - p));
        const char *v = colon + 1 + (colon[1] == ' ');
        char *value = pj_strndup(v, (size_t)(stop - v));

        if (strcmp(name, "Status") == 0)
            status = (int)strtol(value, NULL, 10);
        else if (strcmp(name, "Content-Type") == 0)
            pj_str_set(&type, value);
        else
            stand_in_add_header(x, name, value);
        free(name);
        free(value);
        p = eol + 1;
    }
    if (p < end && *p == '\r')
        p++;
    if (p < end && *p == '\n')
        p++;
    stand_in_reply(x, status, type, p, (size_t)(end - p));
    free(type);
}

void forge_git_serve(const char *root, const char *path, const struct stand_in_request *r,
                     struct stand_in_exchange *x)
{
    PJ_CLEANUP(pj_str_release) struct pj_str out;
    struct cgi_env env = {.count = 0};

    pj_str_init(&out, OUTPUT_MAX);
    env_fill(&env, root, path, r);
    if (run_cgi(&env, r, &out) < 0)
        stand_in_reply_text(x, 500, "text/plain", "git http-backend did not run\n");
    else
        forward(&out, x);
    env_release(&env);
}
