/* The folder of `pj up`: what is made once and reused, and the environment that the children get. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "api/cli/cmd.h"
#include "api/cli/up.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/crypto/random.h"
#include "lib/embed/embed.h"
#include "lib/json/codec.h"
#include "lib/store/users.h"

#define KEY_BYTES 32

extern char **environ;
extern const struct pj_embedded cli_sample_files[];

static char *absolute(const char *dir, struct pj_err *err)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_DATA_HOME");

    if (!dir && xdg && xdg[0] == '/')
        return pj_asprintf("%s/pithyjaunt", xdg);
    if (!dir)
        return pj_asprintf("%s/.local/share/pithyjaunt", home && *home ? home : "/root");
    if (dir[0] == '/')
        return pj_strdup(dir);
    PJ_CLEANUP(pj_freep) char *cwd = getcwd(NULL, 0);
    if (!cwd) {
        (void)pj_fail_errno(err, errno, "current folder");
        return NULL;
    }
    return pj_asprintf("%s/%s", cwd, dir);
}

static int make_dirs(const struct up_state *s, struct pj_err *err)
{
    static const char *const names[] = {"log", "redis", "sample", "state"};

    if (pj_fs_mkdirs(s->dir, 0700, err) < 0) {
        (void)pj_err_wrap(err, "--data");
        err->cls = PJ_E_INVALID;
        return pj_err_remedy(err, "name a folder that you may write with --data DIR");
    }
    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", s->dir, names[i]);

        if (pj_fs_mkdirs(path, 0700, err) < 0)
            return -1;
    }
    return 0;
}

static int take_lock(struct up_state *s, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/lock", s->dir);

    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return pj_fail_errno(err, errno, "%s", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    (void)pj_fail(err, PJ_E_UNAVAILABLE, "another `pj up` is running with %s", s->dir);
    return pj_err_remedy(err, "stop it, or use another folder with --data DIR");
}

/* Content of dir/name, made by `make` (and written 0600) when the file does not exist. */
static int secret_file(const struct up_state *s, const char *name, char *(*make)(void), char **out,
                       struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", s->dir, name);

    if (pj_fs_exists(path))
        return cmd_read_file(path, true, out, err);
    PJ_CLEANUP(cmd_secret_freep) char *text = make();
    PJ_CLEANUP(cmd_secret_freep) char *line = pj_asprintf("%s\n", text);
    if (pj_fs_write_atomic(path, line, strlen(line), 0600, err) < 0)
        return -1;
    *out = pj_strdup(text);
    return 0;
}

static char *make_token(void)
{
    char text[PJ_TOKEN_TEXT_SIZE];

    pj_token_make(PJ_TOKEN_PERSONAL, text);
    return pj_strdup(text);
}

static char *make_key(void)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char key[KEY_BYTES + 1] = {
        0}; /* one more, so that whole groups of three can be read */
    char *text = pj_alloc(KEY_BYTES * 2, 1), *p = text;

    pj_random_bytes(key, KEY_BYTES);
    for (size_t i = 0; i < KEY_BYTES; i += 3) {
        unsigned v = (unsigned)key[i] << 16 | (unsigned)key[i + 1] << 8 |
                     (i + 2 < KEY_BYTES ? (unsigned)key[i + 2] : 0u);

        *p++ = digits[v >> 18];
        *p++ = digits[v >> 12 & 63];
        *p++ = digits[v >> 6 & 63];
        *p++ = i + 2 < KEY_BYTES ? digits[v & 63] : '=';
    }
    pj_wipe(key, sizeof key);
    return text;
}

/* ---- the children's environment ---- */

static void env_set(struct up_state *s, const char *name, const char *value)
{
    size_t n = strlen(name), i = 0;

    while (i < s->env_count && !(strncmp(s->env[i], name, n) == 0 && s->env[i][n] == '='))
        i++;
    if (i == s->env_count) {
        if (s->env_count == UP_ENV_MAX)
            return;
        s->env_count++;
    }
    free(s->env[i]);
    s->env[i] = pj_asprintf("%s=%s", name, value);
}

static void env_default(struct up_state *s, const char *name, const char *value)
{
    if (!getenv(name))
        env_set(s, name, value);
}

/* The user's forges and, beside them, the folder of samples. */
static int write_forges(struct up_state *s, struct pj_err *err)
{
    const char *given = getenv("PJ_FORGES");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/forges.json", s->dir);
    PJ_CLEANUP(pj_freep) char *root = pj_asprintf("%s/sample", s->dir);
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    if (given && *given) {
        PJ_CLEANUP(pj_freep) char *text = NULL;

        if (cmd_read_file(given, false, &text, err) < 0 ||
            pj_json_parse(pj_view_of(text), &doc, err) < 0) {
            (void)pj_err_code(err, "settings");
            return pj_err_wrap(err, "PJ_FORGES");
        }
        if (!json_is_array(doc)) {
            (void)pj_fail(err, PJ_E_INVALID, "PJ_FORGES: %s holds no array", given);
            return pj_err_code(err, "settings");
        }
    } else {
        doc = json_pack("[{s:s, s:s}]", "host", "github.com", "kind", "github");
    }
    json_array_append_new(doc, json_pack("{s:s, s:s}", "kind", "git", "root", root));
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
    env_set(s, "PJ_FORGES", path);
    return pj_fs_write_atomic(path, text, strlen(text), 0600, err);
}

static const struct pj_embedded *sample_file(const char *name)
{
    const struct pj_embedded *f = cli_sample_files;

    while (f->name && strcmp(f->name, name) != 0)
        f++;
    return f;
}

static bool given(const char *name)
{
    PJ_CLEANUP(pj_freep) char *file = pj_asprintf("%s_FILE", name);
    const char *value = getenv(name), *path = getenv(file);

    return (value && *value) || (path && *path);
}

/* A provider when one is configured; else the recorded answers that come with the program. */
static int choose_model(struct up_state *s, struct pj_err *err)
{
    const struct pj_embedded *replay = sample_file("replay.json");
    const char *provider = getenv("MODEL_PROVIDER");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/replay.json", s->dir);

    if (provider && *provider) {
        s->model = pj_strdup(provider);
        return 0;
    }
    if (given("OPENAI_API_KEY") || given("ANTHROPIC_API_KEY") || getenv("PJ_CONFIG")) {
        s->model = pj_strdup(given("OPENAI_API_KEY") ? "openai" : "anthropic");
        return 0;
    }
    s->replay = true;
    s->model = pj_strdup("replay");
    env_set(s, "MODEL_PROVIDER", "replay");
    env_set(s, "PJ_REPLAY_FILE", path);
    return pj_fs_write_atomic(path, replay->data, replay->size, 0600, err);
}

static int make_env(struct up_state *s, const char *key, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *redis = pj_asprintf("unix://%s", s->redis_socket);
    PJ_CLEANUP(pj_freep) char *listen = pj_asprintf("127.0.0.1:%d", s->port);
    PJ_CLEANUP(pj_freep) char *state = pj_asprintf("%s/state", s->dir);

    for (char **e = environ; *e && s->env_count < UP_ENV_MAX; e++)
        if (strncmp(*e, "NOTIFY_SOCKET=", 14) != 0)
            s->env[s->env_count++] = pj_strdup(*e);
    env_set(s, "PJ_REDIS_URL", redis);
    env_set(s, "PJ_LISTEN", listen);
    env_set(s, "PJ_SECRET_KEY", key);
    env_set(s, "PJ_BOOTSTRAP_TOKEN", s->token);
    env_set(s, "PJ_STATE_DIR", state);
    env_default(s, "PJ_ADMIN_EMAIL", "admin@localhost");
    env_default(s, "PJ_PUBLIC_URL", s->url);
    return write_forges(s, err) < 0 ? -1 : choose_model(s, err);
}

/* A Unix socket's path is short (unix(7)). */
static int place_socket(struct up_state *s, struct pj_err *err)
{
    struct sockaddr_un limit;

    s->redis_socket = pj_asprintf("%s/redis.sock", s->dir);
    if (strlen(s->redis_socket) < sizeof limit.sun_path)
        return 0;
    (void)pj_fail(err, PJ_E_INVALID, "--data: %s is too long for a Unix socket (%zu bytes at most)",
                  s->redis_socket, sizeof limit.sun_path - 1);
    return pj_err_remedy(err, "use a shorter folder with --data DIR");
}

int up_state_open(struct up_state *s, const char *dir, int port, struct pj_err *err)
{
    PJ_CLEANUP(cmd_secret_freep) char *key = NULL;
    const char *given_key = getenv("PJ_SECRET_KEY");

    *s = (struct up_state){.port = port, .lock_fd = -1};
    s->dir = absolute(dir, err);
    if (!s->dir || make_dirs(s, err) < 0 || take_lock(s, err) < 0 || place_socket(s, err) < 0)
        return -1;
    s->url = pj_asprintf("http://127.0.0.1:%d", port);
    if (secret_file(s, "token", make_token, &s->token, err) < 0)
        return -1;
    if (given_key && *given_key)
        key = pj_strdup(given_key);
    else if (secret_file(s, "secret-key", make_key, &key, err) < 0)
        return -1;
    return make_env(s, key, err);
}

void up_state_close(struct up_state *s)
{
    for (size_t i = 0; i < s->env_count; i++)
        cmd_secret_freep(&s->env[i]);
    cmd_secret_freep(&s->token);
    free(s->url);
    free(s->redis_socket);
    free(s->model);
    free(s->dir);
    pj_fd_close(&s->lock_fd);
}
