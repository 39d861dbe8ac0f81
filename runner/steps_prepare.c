/* steps_prepare.c - the clean clone at a pinned commit, and whether there is anything to work on. */
#include <string.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "runner/job.h"

#define CLONE_TIMEOUT_MS ((int64_t)5 * 60 * 1000)
#define EXPIRES_SOON_MS ((int64_t)5 * 60 * 1000)
#define PROBE_MS 10000
#define BLOCKS_A_FILE                                                                              \
    8192 /* what a file takes beside its content: the last block, its share of folders */
#define ENTRIES_A_FILE 2 /* itself and its share of folders */
/* An ordinary user's overlay cannot rename a folder of the layer beneath: worth it only where copying takes long. */
#define SHARE_FROM_UNPRIVILEGED 5000

static void note_remedy(struct pj_err *err)
{
    if (err->remedy[0] == '\0')
        (void)pj_err_remedy(err, "check the repository's address, its branch and the credential's "
                                 "permissions, then verify it");
}

/* A pull request that is open is continued: its branch is where the tree starts. */
static bool continues_pull(const struct pj_task *task)
{
    return task->attempt > 1 && task->pr.url != NULL && task->pr.state != NULL &&
           strcmp(task->pr.state, "open") == 0;
}

/* A workflow's machine is thrown away after one task: what it wrote out would serve nobody else. */
static int64_t share_from(const struct job *job)
{
    if (job->remote != NULL)
        return 0;
    return geteuid() == 0 ? 1 : SHARE_FROM_UNPRIVILEGED;
}

/* Can a box have a layer over the shared files, here and on this file system? Else they are copied. */
static int try_layer(struct job *job, const struct pj_git_net *net, struct pj_err *err)
{
    static const char *const argv[] = {"/bin/true", NULL};
    const struct job_command probe = {
        .argv = argv, .timeout_ms = PROBE_MS, .quiet = true, .more = true};
    struct box_result result = {0};

    if (workspace_shared(job->ws) == NULL)
        return 0;
    int rc = job_run(job, &probe, &result, err);
    box_result_release(&result);
    pj_fd_close(&job->tree_fd);
    if (rc == 0)
        return 0;
    if (job->stop.cls != PJ_E_OK)
        return -1;
    job_log_say(job->log, PJ_EVENT_INFO,
                "the files are copied, since no layer can be laid over shared ones: %s; %s",
                err->message, err->remedy);
    return workspace_unshare(job->ws, net, err);
}

static void workspace_spec_of(struct job *job, struct workspace_spec *out)
{
    const struct pj_task *task = &job->spec.task;
    int64_t left = job_remaining_ms(job);

    *out = (struct workspace_spec){
        .state_dir = job->settings->state_dir,
        .task_id = task->id,
        .repository_id = job->spec.repo.id,
        .url = job->address.url,
        .base_branch =
            task->base_branch != NULL ? task->base_branch : job->spec.repo.default_branch,
        /* Only a further delivery of the same attempt, or its second part, works on the commit that the first one pinned. */
        .pinned_sha = job->spec.deliveries > 1 || job->part == JOB_PUBLISH ? task->base_sha : NULL,
        .start_at_task_branch = continues_pull(task),
        .share_from_files = share_from(job),
        .retry_base_ms = job->settings->retry_base_ms,
        .net =
            {
                .credential = &job->credential,
                .ca_file = job->settings->ca_file,
                .timeout_ms = left < CLONE_TIMEOUT_MS ? left : CLONE_TIMEOUT_MS,
                .pump = &job->pump,
            },
    };
}

static int open_workspace(struct job *job, struct pj_err *err)
{
    struct workspace_spec spec;

    workspace_spec_of(job, &spec);
    job_log_say(job->log, PJ_EVENT_INFO, "fetching %s", job->address.url);
    if (workspace_open(&spec, &job->ws, err) < 0) {
        note_remedy(err);
        return -1;
    }
    return try_layer(job, &spec.net, err);
}

int job_refresh_base(struct job *job, bool *moved, struct pj_err *err)
{
    struct workspace_spec spec;

    workspace_spec_of(job, &spec);
    return workspace_refresh(job->ws, &spec, moved, err);
}

int job_credential(struct job *job, struct pj_err *err)
{
    const struct runner_settings *s = job->settings;
    const struct credential_spec spec = {
        .address = &job->address,
        .given =
            {
                .repository_token = job->repo_token,
                .repository_username = job->spec.repo.credential_username,
                .env_token = s->github_token,
            },
        .app = {.id = s->github_app_id,
                .private_key = s->github_app_private_key,
                .actions =
                    job->remote == NULL && job->spec.task.executor == PJ_EXECUTOR_GITHUB_ACTIONS},
        .ca_file = s->ca_file,
        .retry_base_ms = s->retry_base_ms,
        .pump = &job->pump,
        .redact = s->redact,
    };
    bool have = job->owned.token != NULL;
    struct credential fresh = {0};

    if (have &&
        (job->owned.expires_ms == 0 || job->owned.expires_ms > pj_now_ms() + EXPIRES_SOON_MS))
        return 0;
    if (credential_get(&spec, &fresh, err) < 0)
        return -1;
    credential_release(&job->owned);
    job->owned = fresh;
    job->credential = (struct pj_credential){.token = fresh.token, .username = fresh.username};
    return 0;
}

/* The repository, or the settings, name a root file system that this runner may lack. */
static int find_rootfs(const struct job *job, struct pj_err *err)
{
    const char *name = job->rootfs != NULL ? strrchr(job->rootfs, '/') + 1 : NULL;
    PJ_CLEANUP(pj_freep) char *shell = NULL;

    if (name == NULL)
        return 0;
    shell = pj_asprintf("%s/bin", job->rootfs);
    if (pj_fs_exists(shell))
        return 0;
    (void)pj_fail(err, PJ_E_UNAVAILABLE, "runner %s has no root file system \"%s\"",
                  job->settings->name, name);
    (void)pj_err_remedy(err,
                        "make it on the runner from a container image: pj-rootfs %s IMAGE "
                        "(docs/operators.md), or take \"rootfs\" off the repository",
                        name);
    return pj_err_code(err, "sandbox_unavailable");
}

/* Will this part of the task run an agent? A kept patch is published without one. */
static bool makes_box(const struct job *job)
{
    return job->spec.task.mode == NULL && job->part != JOB_PUBLISH;
}

int step_prepare(struct job *job, struct pj_err *err)
{
    struct pj_lease_note note = {0};

    if (pj_find_program("pj-sandbox", &job->sandbox_program, err) < 0 ||
        pj_find_program("pj-agent", &job->agent_program, err) < 0)
        return pj_err_code(err, "sandbox_unavailable");
    if (find_rootfs(job, err) < 0)
        return -1;
    if (makes_box(job))
        job_ahead(job); /* while the repository is fetched */
    if (job_credential(job, err) < 0 ||
        (continues_pull(&job->spec.task) && job_ask_pull(job, err) < 0) ||
        open_workspace(job, err) < 0)
        return -1;
    note.base_sha = workspace_base_sha(job->ws);
    job_log_say(job->log, PJ_EVENT_INFO, "working on %s at %.12s", workspace_base_branch(job->ws),
                note.base_sha);
    if (job->report->note(job, &note, err) < 0)
        return -1;
    /* The part that works has a token that may only read, and needs no more. */
    return job->part == JOB_WORK ? 0 : job_ask_forge(job, err);
}

int step_analyze(struct job *job, struct pj_err *err)
{
    struct workspace_survey s;

    if (workspace_survey(job->ws, &s, err) < 0) {
        note_remedy(err);
        return pj_err_code(err, "repository_analysis");
    }
    job->tree_has[DISK_BYTES] = s.bytes + s.files * BLOCKS_A_FILE;
    job->tree_has[DISK_FILES] = s.files * ENTRIES_A_FILE;
    if (s.files == 0) {
        (void)pj_fail(err, PJ_E_INVALID, "branch %s of %s holds no file",
                      workspace_base_branch(job->ws), job->address.url);
        (void)pj_err_code(err, "repository_analysis");
        return pj_err_remedy(err, "push a first commit with files, or name another base branch");
    }
    job_log_say(job->log, PJ_EVENT_INFO, "%lld files, %lld KiB", (long long)s.files,
                (long long)(s.bytes / 1024));
    return 0;
}
