/* Secrets of the installation are found nowhere but in the settings of the programs: not in logs, Redis, the box, argv, work trees,
 * commits or answers, after good runs and bad ones. The stand-in model even says the key back. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/store/conn.h"
#include "tests/scenarios/scene.h"

#define CANARY_CODERABBIT "cr-canary-7f3a91d2c4"
#define CANARY_SMTP "smtp-canary-2be85c01aa"
#define CANARY_NOTIFY "Y2FuYXJ5IG9mIHRoZSBub3RpZmljYXRpb25zIQ=="
#define CANARY_GITHUB_HOOK "hook-canary-98d04e6b31"

#define CANARY_REDIS "redis-canary-5d1c7e90ab"

static char app_key_line[80]; /* one line of the App's private key, in base64 */

static const char *const secrets[] = {
    MODEL_SERVER_KEY,
    FORGE_TOKEN,
    WORLD_TOKEN,
    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" /* PJ_SECRET_KEY of the world */,
    CANARY_CODERABBIT,
    CANARY_SMTP,
    CANARY_NOTIFY,
    CANARY_GITHUB_HOOK,
    CANARY_REDIS,
    app_key_line};

static const char *found_in(const void *bytes, size_t n)
{
    for (size_t i = 0; i < PJ_COUNT_OF(secrets); i++)
        if (memmem(bytes, n, secrets[i], strlen(secrets[i])))
            return secrets[i];
    return NULL;
}

static int look_at(const char *path, const struct stat *st, int type, struct FTW *where)
{
    int fd;
    void *bytes;

    if (strcmp(path + where->base, "forges.json") == 0) /* a settings file, like the environment */
        return 0;
    if (type != FTW_F || st->st_size == 0 ||
        (fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) < 0)
        return 0;
    bytes = mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return 0;
    const char *secret = found_in(bytes, (size_t)st->st_size);
    cr_expect_null(secret, "%s holds %s", path, secret);
    munmap(bytes, (size_t)st->st_size);
    return 0;
}

static void look_at_files(const char *dir)
{
    cr_assert_eq(nftw(dir, look_at, 32, FTW_PHYS), 0);
}

static void look_at_text(const char *what, const char *text)
{
    const char *secret = text ? found_in(text, strlen(text)) : NULL;

    cr_expect_null(secret, "%s holds %s", what, secret);
}

/* Everything git has, unpacked. */
static void look_at_commits(const char *remote)
{
    char *log =
        gitfix_run(remote, NULL, "log", "-p", "--all", "--format=fuller", (const char *)NULL);

    look_at_text("a commit", log);
    free(log);
}

static void tell_redis(struct pj_redis *redis, const char *user, const char *rule)
{
    struct redisReply *reply =
        test_redis_words(redis, "ACL", "SETUSER", user, rule, "~*", "&*", "+@all", NULL);
    struct pj_err err;

    cr_assert_eq(pj_reply_error(reply, &err), 0, "%s", err.message);
    pj_reply_freep(&reply);
}

/* A Redis that only lets in who knows the password; the test keeps its connection. */
static struct pj_redis *lock_redis(struct world *w)
{
    struct pj_redis *redis = test_redis_connect(&w->redis);
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("unix://canary:@%s", w->redis.socket);

    tell_redis(redis, "canary", "on");
    tell_redis(redis, "canary", ">" CANARY_REDIS);
    tell_redis(redis, "default", "off");
    world_set(w, "PJ_REDIS_URL", url);
    world_set(w, "PJ_REDIS_PASSWORD", CANARY_REDIS);
    return redis;
}

static void look_at_redis(struct world *w, struct pj_redis *redis)
{
    struct redisReply *reply =
        test_redis_words(redis, "CONFIG", "SET", "rdbcompression", "no", NULL);

    pj_reply_freep(&reply);
    reply = test_redis_words(redis, "SAVE", NULL);
    pj_reply_freep(&reply);
    look_at_files(w->redis.dir);
    tell_redis(redis, "default", "on");
    pj_redis_free(redis);
}

/* A key of the GitHub App, made for this run. */
static char *app_key(void)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;

    cr_assert_eq(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    size_t n = (size_t)BIO_get_mem_data(bio, &data);
    char *text = pj_strndup(data, n);
    BIO_free(bio);
    EVP_PKEY_free(key);
    const char *third = strchr(strchr(text, '\n') + 1, '\n') + 1;
    (void)snprintf(app_key_line, sizeof app_key_line, "%.*s", 64, third);
    cr_assert_eq(strcspn(app_key_line, "\n-"), 64);
    return text;
}

static void look_at_api(struct world *w, const char *task)
{
    static const char *const paths[] = {"",       "/logs",  "/logs?download=1",
                                        "/patch", "/usage", "/trajectory"};

    for (size_t i = 0; i < PJ_COUNT_OF(paths); i++) {
        char *path = pj_asprintf("/api/v1/tasks/%s%s", task, paths[i]);
        struct http_answer a;

        http_call(w->base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
        look_at_text(path, a.body);
        http_answer_release(&a);
        free(path);
    }
}

static void look_at_proc_file(const char *pid, const char *name)
{
    char path[300];
    struct pj_str text;
    struct pj_err err;

    (void)snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    pj_str_init(&text, 1 << 20);
    if (pj_fs_read(path, &text, &err) == 0) {
        const char *secret = found_in(pj_str_cstr(&text), text.len);
        cr_expect_null(secret, "%s holds %s", path, secret);
    }
    pj_str_release(&text);
}

/* The memory of a process, as far as it may be read. */
static void look_at_memory(const char *pid)
{
    char path[300], line[600];
    unsigned long from, to;
    size_t pages = 0;

    (void)snprintf(path, sizeof path, "/proc/%s/maps", pid);
    FILE *maps = fopen(path, "re");
    (void)snprintf(path, sizeof path, "/proc/%s/mem", pid);
    int mem = open(path, O_RDONLY | O_CLOEXEC);
    while (maps && mem >= 0 && fgets(line, sizeof line, maps)) {
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[1] != 'w' ||
            to - from > (64UL << 20))
            continue;
        char *bytes = pj_alloc(to - from, 1);
        ssize_t n = pread(mem, bytes, to - from, (off_t)from);
        const char *secret = n > 0 ? found_in(bytes, (size_t)n) : NULL;
        cr_expect_null(secret, "the memory of the agent holds %s", secret);
        pages += n > 0 ? (size_t)n / 4096 : 0;
        free(bytes);
    }
    if (maps)
        (void)fclose(maps);
    if (mem >= 0)
        close(mem);
    cr_expect(pages > 0 || geteuid() != 0, "nothing of the agent's memory could be read");
}

static pid_t parent_of(pid_t pid)
{
    char path[64], line[200];
    pid_t parent = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "PPid:", 5) == 0)
            parent = (pid_t)strtol(line + 5, NULL, 10);
    if (f)
        (void)fclose(f);
    return parent;
}

/* Other tests run on the same machine, with the same secrets: only what descends from this one counts. */
static bool is_ours(pid_t pid)
{
    while (pid > 1 && pid != getpid())
        pid = parent_of(pid);
    return pid == getpid();
}

/* The program that a process runs. */
static bool runs(const char *pid, const char *program)
{
    char path[300], exe[512];

    (void)snprintf(path, sizeof path, "/proc/%s/exe", pid);
    ssize_t n = readlink(path, exe, sizeof exe - 1);
    if (n <= 0)
        return false;
    exe[n] = '\0';
    const char *base = strrchr(exe, '/');
    return strcmp(base ? base + 1 : exe, program) == 0;
}

/* No core file, and no handler of one: only a limit of 1 keeps the kernel from both. */
static void look_at_core_limit(const char *pid)
{
    struct rlimit core = {0};

    cr_assert_eq(prlimit((pid_t)strtol(pid, NULL, 10), RLIMIT_CORE, NULL, &core), 0);
    cr_expect_leq(core.rlim_max, 1, "process %s may leave a core file", pid);
}

static void look_at_processes(void)
{
    DIR *proc = opendir("/proc");
    struct dirent *e;
    size_t agents = 0, keepers = 0;

    while ((e = readdir(proc))) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

        if (pid <= 1 || pid == getpid() || !is_ours(pid))
            continue;
        look_at_proc_file(e->d_name, "cmdline");
        if (runs(e->d_name, "pj-runner") || runs(e->d_name, "pj-api")) {
            keepers++;
            look_at_core_limit(e->d_name);
        }
        if (!runs(e->d_name, "pj-agent"))
            continue;
        agents++;
        look_at_proc_file(e->d_name, "environ");
        look_at_memory(e->d_name);
    }
    closedir(proc);
    cr_expect_geq(keepers, 3, "pj-api, the daemon and its job");
    cr_expect_gt(agents, 0, "the agent was looked at while it ran");
}

Test(canary, secrets_are_found_nowhere_after_good_and_bad_runs)
{
    /* clang-format off */
    static const struct model_answer answers[] = {
        {.text = "My key is " MODEL_SERVER_KEY ".", .calls = {{"run", "{\"command\":\"env; echo " MODEL_SERVER_KEY "\"}"}}},
        {.trouble = MODEL_GATE, .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
        SCENE_FINISH,
        {.status = 401, .body = "{\"error\":{\"message\":\"Incorrect API key provided: " MODEL_SERVER_KEY "\"}}",
         .headers = {"X-Request-Id: " MODEL_SERVER_KEY}},
    };
    /* clang-format on */
    PJ_CLEANUP(pj_freep) char *key = app_key();
    struct scene s;

    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    struct pj_redis *redis = lock_redis(&s.w);
    world_set(&s.w, "GITHUB_APP_ID", "4711");
    world_set(&s.w, "GITHUB_APP_PRIVATE_KEY", key);
    world_set(&s.w, "CODERABBIT_API_KEY", CANARY_CODERABBIT);
    world_set(&s.w, "GITHUB_WEBHOOK_SECRET", CANARY_GITHUB_HOOK);
    world_set(&s.w, "PJ_NOTIFY_URL", "http://127.0.0.1:1/hook");
    world_set(&s.w, "PJ_NOTIFY_SECRET", "whsec_" CANARY_NOTIFY);
    world_set(&s.w, "PJ_SMTP_URL", "smtp://127.0.0.1:1");
    world_set(&s.w, "PJ_SMTP_USER", "canary");
    world_set(&s.w, "PJ_SMTP_PASSWORD", CANARY_SMTP);
    world_set(&s.w, "PJ_MAIL_FROM", "pj@example.com");
    scene_open_forge(&s, ",\"codeRabbit\":\"off\"");
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s", s.repo);
    PJ_CLEANUP(pj_json_decrefp) json_t *repo = world_call(&s.w, "GET", path, NULL, 200);
    cr_expect_str_eq(pj_json_str(json_object_get(repo, "credential"), "source", ""), "app");
    char *good = scene_run(&s, "Write a file");
    cr_assert(model_server_wait(s.model, 2, WORLD_SOON));
    look_at_processes();
    model_server_release(s.model);
    json_decref(world_wait_status(&s.w, good, "completed"));
    char *bad = scene_run(&s, "Fail");
    json_t *doc = world_wait_status(&s.w, bad, "failed");
    cr_expect_str_eq(scene_error_code(doc), "llm_auth");
    json_decref(doc);
    look_at_api(&s.w, good);
    look_at_api(&s.w, bad);
    look_at_commits(s.remote);
    look_at_redis(&s.w, redis);
    look_at_files(s.w.dir);
    free(good);
    free(bad);
    scene_stop(&s);
}
