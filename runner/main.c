/* main.c - pj-runner: the daemon; and, as `pj-runner job` and `pj-runner outbox`, processes that it starts. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "lib/forge/hosts.h"
#include "lib/model/prices.h"
#include "lib/model/replay.h"
#include "lib/store/conn.h"
#include "runner/control_group.h"
#include "runner/daemon.h"
#include "runner/job.h"
#include "runner/outbox.h"
#include "runner/workspace.h"

/* A predecessor that was killed is still clearing up: its keepers hold the lock until nothing of it runs. */
#define LOCK_WAIT_MS 15000

static int config_fault(const struct pj_err *err)
{
    (void)fprintf(stderr, "pj-runner: %s%s%s\n", err->message, err->remedy[0] != '\0' ? "; " : "",
                  err->remedy);
    return PJ_EXIT_CONFIG;
}

/* What can be judged of the files and addresses that settings name, without reaching anything. */
static int check_named(const struct runner_settings *s, struct pj_err *err)
{
    const struct pj_redis_options redis = pj_redis_options_of(&s->redis, s->ca_file, NULL);
    const struct pj_forges_spec forges_spec = {
        .file = s->forges, .github_api_url = s->github_api_url, .redact = s->redact};
    PJ_CLEANUP(pj_prices_freep) struct pj_prices *prices = NULL;
    PJ_CLEANUP(pj_forges_freep) struct pj_forges *forges = NULL;

    if (pj_redis_check(&redis, err) < 0)
        return -1;
    if (pj_prices_load(s->prices, &prices, err) < 0 ||
        pj_forges_load(&forges_spec, &forges, err) < 0)
        return -1;
    if (s->ca_file != NULL && access(s->ca_file, R_OK) != 0) {
        (void)pj_fail(err, PJ_E_INVALID, "PJ_CA_FILE: cannot read %s: %s", s->ca_file,
                      strerror(errno));
        return pj_err_remedy(err,
                             "name a readable PEM file, or unset it for the system's certificates");
    }
    if (s->replay_file != NULL) {
        PJ_CLEANUP(pj_replay_freep) struct pj_replay *replay = NULL;

        if (pj_replay_load(s->replay_file, &replay, err) < 0)
            return -1;
    }
    if (s->sandbox_rootfs != NULL) {
        PJ_CLEANUP(pj_freep)
        char *path = pj_asprintf("%s/rootfs/%s", s->state_dir, s->sandbox_rootfs);

        if (strchr(s->sandbox_rootfs, '/') != NULL || !pj_fs_exists(path)) {
            (void)pj_fail(err, PJ_E_INVALID, "PJ_SANDBOX_ROOTFS: there is no %s", path);
            return pj_err_remedy(
                err, "put a root file system there, or unset it to use the host's /usr");
        }
    }
    return 0;
}

/* One runner a state folder. The lock's descriptor is inherited by spawner and keepers. */
static int lock_state(const struct runner_settings *s, int *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *work = pj_asprintf("%s/work", s->state_dir);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/runner.lock", s->state_dir);
    PJ_CLEANUP(pj_closep) int fd = -1;
    int64_t until = pj_mono_ms() + LOCK_WAIT_MS;

    if (pj_fs_mkdirs(work, 0700, err) < 0) {
        (void)pj_err_wrap(err, "PJ_STATE_DIR");
        return pj_err_remedy(err, "make %s writable for this user, or set PJ_STATE_DIR",
                             s->state_dir);
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return pj_fail_errno(err, errno, "PJ_STATE_DIR: %s", path);
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return pj_fail_errno(err, errno, "lock on %s", path);
        if (pj_mono_ms() > until) {
            (void)pj_fail(err, PJ_E_CONFLICT, "PJ_STATE_DIR: another pj-runner uses %s",
                          s->state_dir);
            return pj_err_remedy(err, "give each runner of a host its own PJ_STATE_DIR");
        }
        (void)poll(NULL, 0, 50);
    }
    *out = fd;
    fd = -1;
    return 0;
}

static bool nothing_lives(void *ctx, const char *task_id)
{
    (void)ctx;
    (void)task_id;
    return false;
}

/* Our own arguments and a verb: such a process sees the settings as we do. */
static char **argv_with(const struct pj_settings_args *args, char *verb)
{
    char **argv = pj_alloc((size_t)args->rest + 2, sizeof(*argv));

    for (int i = 0; i < args->rest; i++)
        argv[i] = args->argv[i];
    argv[args->rest] = verb;
    return argv;
}

static int run_daemon(const struct runner_settings *settings, const struct pj_settings_args *args)
{
    static char job[] = "job", outbox[] = "outbox";
    char **job_argv = argv_with(args, job);
    char **outbox_argv = argv_with(args, outbox);
    struct spawner spawner = {0};
    struct pj_err err = {0};
    int lock = -1;
    int rc = 1, swept;

    (void)control_group_step_aside();
    if (lock_state(settings, &lock, &err) < 0 ||
        spawner_start(job_argv, lock, &spawner, &err) < 0) {
        pj_log_err(PJ_LOG_ERROR, "start_failed", &err, NULL, NULL);
        goto out;
    }
    swept = workspace_sweep(settings->state_dir, nothing_lives, NULL, &err);
    if (swept < 0)
        pj_log_err(PJ_LOG_WARN, "sweep_failed", &err, NULL, NULL);
    else if (swept > 0)
        pj_log(PJ_LOG_WARN, "leftovers_removed", "folders", PJ_I64(swept), NULL);
    rc = daemon_run(settings, &spawner, outbox_argv);
out:
    pj_fd_close(&lock);
    free(job_argv);
    free(outbox_argv);
    return rc;
}

struct verb {
    const char *word;
    int (*run)(const struct runner_settings *settings);
};

static const struct verb verbs[] = {
    {"job", job_main},       /* one attempt of one task, started by a keeper */
    {"outbox", outbox_main}, /* mails and notifications */
};

static const struct verb *find_verb(const char *word)
{
    for (size_t i = 0; word != NULL && i < PJ_COUNT_OF(verbs); i++)
        if (strcmp(verbs[i].word, word) == 0)
            return &verbs[i];
    return NULL;
}

static int run(const struct runner_settings *settings, const struct pj_settings_args *args)
{
    const char *word = args->rest < args->argc ? args->argv[args->rest] : NULL;
    const struct verb *verb = find_verb(word);
    struct pj_err err = {0};

    if (args->help) {
        runner_settings_help(stdout, args->help_all);
        return 0;
    }
    if (args->version) {
        (void)printf("pj-runner %s\n", PJ_VERSION);
        return 0;
    }
    if (runner_settings_remote(args))
        return job_remote_main(settings, args->argv + args->rest + 2);
    if (verb != NULL)
        return verb->run(settings);
    if (word != NULL) {
        (void)pj_fail(&err, PJ_E_INVALID, "unexpected argument %.80s", word);
        return config_fault(&err);
    }
    if (check_named(settings, &err) < 0)
        return config_fault(&err);
    if (args->check) {
        (void)printf("pj-runner: the configuration is in order\n");
        return 0;
    }
    return run_daemon(settings, args);
}

int main(int argc, char **argv)
{
    struct pj_settings_args args = {.argc = argc, .argv = argv, .stop_at_word = true};
    struct runner_settings settings = {0};
    struct pj_err err = {0};
    int rc;

    pj_forbid_core_files();
    if (runner_settings_load(&settings, &args, &err) < 0)
        return config_fault(&err);
    rc = run(&settings, &args);
    runner_settings_release(&settings);
    return rc;
}
