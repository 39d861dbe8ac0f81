/* steps_publish.c - from the collected diff to a pushed branch and a pull request. Each step may be repeated after a crash: the
 * commit is deterministic and on record before the push, the pull request is looked up before it is made. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "runner/coderabbit.h"
#include "runner/issue.h"
#include "runner/job.h"
#include "runner/patch_policy.h"
#include "runner/publish.h"
#include "runner/pull.h"

#define PUSH_TIMEOUT_MS ((int64_t)2 * 60 * 1000)
#define TIPS_MAX ((size_t)32 * PJ_SHA_SIZE - 1)

static bool publishes_kept(const struct job *job)
{
    return job->spec.task.mode != NULL;
}

/* Judged like any stranger's diff; a person who publishes a kept one has seen what the policy complains of. */
static int judge(struct job *job, struct pj_view diff, struct pj_err *err)
{
    PJ_CLEANUP(patch_freep) struct patch *patch = NULL;
    const struct pj_repo_publish *own = &job->spec.repo.publish;
    bool seen = publishes_kept(job);
    const struct patch_policy policy = {
        .allow_workflows = seen || pj_repo_allows(own, "workflows"),
        .allow_owners = seen || pj_repo_allows(own, "owners"),
        .allow_reviews = seen || pj_repo_allows(own, "reviews"),
        .allow_secrets = seen || pj_repo_allows(own, "secrets"),
    };
    char change[PATCH_SUMMARY_SIZE];
    struct patch_findings found;
    int rc = patch_parse(diff, NULL, &patch, err);

    if (rc == PJ_NONE) {
        (void)pj_fail(err, PJ_E_INVALID, "the patch is empty");
        return pj_err_code(err, "no_changes");
    }
    if (rc < 0)
        return -1;
    patch_summary(patch->file_count, patch->added, patch->removed, change);
    job_log_say(job->log, PJ_EVENT_PATCH, "%s", change);
    return patch_policy_check(patch, &policy, &found, err);
}

/* Who asked for the task, unless the repository wants nobody named. */
static int find_co_author(struct job *job, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *login = NULL;
    PJ_CLEANUP(pj_freep) char *email = NULL;
    PJ_CLEANUP(pj_str_release) struct pj_str who;

    if (job->spec.repo.publish.co_author == 0)
        return 0;
    if (job->report->requester(job, &login, &email, err) < 0)
        return -1;
    pj_str_init(&who, 600);
    publish_co_author(login, email, job->address.forge->host, &who);
    if (who.len > 0)
        pj_str_set(&job->co_author, pj_str_cstr(&who));
    return 0;
}

/* All commits that the branch may be at because of us: an earlier delivery may have made, and pushed, another one. Owned by the
 * caller. */
static char *tips_with(const struct pj_task *task, const char *commit)
{
    const char *before = task->tips != NULL ? task->tips : task->commit_sha;
    size_t n = before != NULL ? strlen(before) : 0;

    if (n == 0)
        return pj_strdup(commit);
    if (strstr(before, commit) != NULL)
        return pj_strdup(before);
    if (n > TIPS_MAX)
        before += n - TIPS_MAX; /* whole ids: each has 40 digits and a blank */
    return pj_asprintf("%s %s", before, commit);
}

static int commit(struct job *job, struct pj_err *err)
{
    char branch[PJ_BRANCH_SIZE];
    const struct pj_task *task = &job->spec.task;
    if (find_co_author(job, err) < 0)
        return -1;
    const struct publish_commit_spec spec = {
        .task_id = task->id,
        .title = task->title,
        .author_name = job->spec.repo.publish.author_name,
        .author_email = job->spec.repo.publish.author_email,
        .co_author = job->co_author,
        .date_ms = task->started_ms,
    };
    struct pj_lease_note note = {.commit_sha = job->commit_sha, .branch = branch};

    publish_branch_name(task->id, branch);
    if (job->spec.repo.code_rabbit && job->address.forge->kind == PJ_FORGE_GITHUB &&
        coderabbit_add(job->ws, job->tree_sha, &job->coderabbit_added, err) < 0)
        return -1;
    if (publish_commit(job->ws, &spec, job->tree_sha, job->commit_sha, err) < 0)
        return -1;
    job_log_say(job->log, PJ_EVENT_INFO, "commit %.12s on %s", job->commit_sha, branch);
    PJ_CLEANUP(pj_freep) char *tips = tips_with(task, job->commit_sha);
    note.tips = tips;
    return job->report->note(job, &note, err);
}

int job_apply(struct job *job, struct pj_view diff, const char *expect_tree,
              char tree_sha[PJ_SHA_SIZE], struct pj_err *err)
{
    struct pj_lease_note note = {0};
    struct pj_err trouble;
    bool moved = false;

    if (publish_apply(job->ws, diff, expect_tree, tree_sha, err) == 0)
        return 0;
    if (strcmp(err->code, "patch_conflict") != 0)
        return -1;
    if (job_refresh_base(job, &moved, &trouble) < 0)
        job_log_say(job->log, PJ_EVENT_WARN, "the base branch cannot be looked at again: %s",
                    trouble.message);
    if (!moved)
        return -1;
    note.base_sha = workspace_base_sha(job->ws);
    job_log_say(job->log, PJ_EVENT_PATCH, "%s; %s has moved to %.12s: tried there", err->message,
                workspace_base_branch(job->ws), note.base_sha);
    if (job->report->note(job, &note, err) < 0)
        return -1;
    return publish_apply(job->ws, diff, NULL, tree_sha, err);
}

void job_note_rejects(struct job *job)
{
    const struct patch_rejects *rejects = job->ws != NULL ? publish_rejects(job->ws) : NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *list = json_array();
    struct pj_lease_note note = {.rejects = list};
    struct pj_err err;

    for (size_t i = 0; rejects != NULL && i < rejects->count && i < PATCH_REJECTS_MAX; i++) {
        const struct patch_reject *r = &rejects->item[i];
        json_t *hunk = r->number > 0 ? json_integer((json_int_t)r->number) : json_null();
        (void)json_array_append_new(
            list, json_pack("{s:s, s:o, s:s}", "path", r->path, "hunk", hunk, "reason", r->why));
        if (r->number > 0)
            job_log_say(job->log, PJ_EVENT_PATCH, "rejected: %s, hunk %zu: %s", r->path, r->number,
                        r->why);
        else
            job_log_say(job->log, PJ_EVENT_PATCH, "rejected: %s %s", r->path, r->why);
    }
    if (json_array_size(list) > 0 && job->report->note(job, &note, &err) < 0)
        pj_log_err(PJ_LOG_WARN, "rejects_not_kept", &err, "taskId", job->spec.task.id);
}

int step_apply(struct job *job, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *kept = NULL;
    struct pj_view diff;
    const char *expect = NULL;
    size_t n = 0;

    if (publishes_kept(job) || job->part == JOB_PUBLISH) {
        if (job->report->stored_patch(job, &kept, &n, err) < 0)
            return -1;
        diff = pj_view_n(kept, n);
    } else {
        diff = pj_view_n(job->collected.diff.data, job->collected.diff.len);
        expect = job->collected.tree_sha;
        if (job->report->keep_patch(job, diff, err) < 0)
            return -1;
    }
    if (judge(job, diff, err) < 0)
        return -1;
    if (job->checks_worse && job->spec.repo.on_check_failure != PJ_ON_CHECK_DRAFT_PR) {
        (void)pj_fail(err, PJ_E_INVALID, "%s",
                      job->check_report != NULL ? job->check_report
                                                : "the checks fail with this change");
        return pj_err_code(err, "checks_failed");
    }
    if (job_apply(job, diff, expect, job->tree_sha, err) < 0)
        return -1;
    return job->part == JOB_WORK ? 0 : commit(job, err);
}

int step_push(struct job *job, struct pj_err *err)
{
    int64_t left = job_remaining_ms(job);
    PJ_CLEANUP(pj_freep) char *tips = tips_with(&job->spec.task, job->commit_sha);
    struct publish_push_result result = {0};
    struct publish_push_spec spec = {
        .task_id = job->spec.task.id,
        .commit_sha = job->commit_sha,
        .recorded_tips = tips,
        .url = job->address.url,
        .retry_base_ms = job->settings->retry_base_ms,
        .net =
            {
                .credential = &job->credential,
                .ca_file = job->settings->ca_file,
                .timeout_ms = left < PUSH_TIMEOUT_MS ? left : PUSH_TIMEOUT_MS,
                .pump = &job->pump,
            },
    };

    if (job_credential(job, err) < 0 || publish_push(job->ws, &spec, &result, err) < 0)
        return -1;
    pj_str_set(&job->outcome.branch, result.branch);
    pj_str_set(&job->outcome.commit_sha, job->commit_sha);
    job_log_say(job->log, PJ_EVENT_INFO, "%s %s",
                result.already_there ? "already pushed:" : "pushed", result.branch);
    return 0;
}

static void on_retry(void *ctx, int retry, int64_t wait_ms, const struct pj_err *why)
{
    struct job *job = ctx;

    job_log_say(job->log, PJ_EVENT_WARN, "pull request: %s; retry %d of 3 in %lld ms", why->message,
                retry, (long long)wait_ms);
    pj_log(PJ_LOG_WARN, "pr_retry", "taskId", job->spec.task.id, "retry", PJ_I64(retry), "waitMs",
           PJ_I64(wait_ms), "detail", why->message, NULL);
}

#define HOSTS_MAX 20

/* "a b c" as a NULL-terminated array; owned by the caller (pj_strs_free). */
static char **words(const char *text)
{
    char **out = pj_alloc(HOSTS_MAX + 1, sizeof(*out));
    struct pj_view rest = pj_view_of(text), word;

    for (size_t n = 0; n < HOSTS_MAX && pj_view_cut(&rest, ' ', &word);)
        if (word.n > 0)
            out[n++] = pj_strndup(word.p, word.n);
    return out;
}

#define LIMITS_MAX 4

/* What was reached and did not end the task; the array is the caller's. */
static char **limits_hit(const struct job *job)
{
    char **out = pj_alloc(LIMITS_MAX + 1, sizeof(*out));
    size_t left_out = job->collected.note_count + job->collected.notes_dropped;
    size_t n = 0;

    if (job->checks_worse)
        out[n++] = pj_asprintf("%d rounds of checks", job->check_rounds);
    if (job->diff_rounds > 0)
        out[n++] = pj_asprintf("%d diff%s of the model sent back", job->diff_rounds,
                               job->diff_rounds == 1 ? "" : "s");
    if (left_out > 0)
        out[n++] =
            pj_asprintf("%zu path%s left out of the change", left_out, left_out == 1 ? "" : "s");
    return out;
}

/* "#12" when an issue of this repository asked for the task; owned by the caller. */
static char *issue_of(const struct pj_task *task)
{
    int64_t number = issue_number(task);

    return number > 0 ? pj_asprintf("#%lld", (long long)number) : NULL;
}

static void make_body(struct job *job, struct pj_str *out)
{
    const struct pj_task *task = &job->spec.task;
    struct pull_check checks[JOB_CHECKS_MAX];
    char **refused = words(job->net_refused);
    char **limits = limits_hit(job);
    PJ_CLEANUP(pj_freep) char *fixes = issue_of(task);
    PJ_CLEANUP(pj_freep)
    char *url = job->settings->public_url != NULL
                    ? pj_asprintf("%s/tasks/%s", job->settings->public_url, task->id)
                    : NULL;
    struct pull_body_spec spec = {
        .task_id = task->id,
        .task_title = task->title,
        .task_description = task->description,
        .task_url = url,
        .summary = job->summary,
        .files = job->collected.files,
        .added = job->collected.added,
        .removed = job->collected.removed,
        .checks = checks,
        .check_count = job->check_count,
        .provider = job->used.provider,
        .model = job->used.model,
        .is_replay = job->is_replay,
        .turns = job->used.turns,
        .prompt_tokens = job->used.prompt_tokens,
        .completion_tokens = job->used.completion_tokens,
        .cached_tokens = job->used.cached_tokens,
        .cost_microusd = job->used.cost_microusd,
        .duration_ms = task->started_ms > 0 ? pj_now_ms() - task->started_ms : -1,
        .base_branch = workspace_base_branch(job->ws),
        .base_sha = workspace_base_sha(job->ws),
        .executor = pj_task_executor_words[job->remote != NULL ? PJ_EXECUTOR_GITHUB_ACTIONS
                                                               : PJ_EXECUTOR_SANDBOX],
        .limits_hit = (const char *const *)limits,
        .fixes = fixes,
        .co_author = job->co_author,
        .hosts_refused = refused[0] != NULL ? (const char *const *)refused : NULL,
        .coderabbit_added = job->coderabbit_added,
    };

    for (size_t i = 0; i < job->check_count; i++)
        checks[i] = (struct pull_check){job->checks[i].command, job->checks[i].before,
                                        job->checks[i].after};
    pull_body(&spec, out);
    pj_strs_free(refused);
    pj_strs_free(limits);
}

static int forge_failed(struct job *job, const struct pull_upstream *upstream,
                        const struct pj_err *err)
{
    pj_outcome_upstream(&job->outcome, upstream->status, upstream->message, upstream->request_id);
    pj_log(PJ_LOG_ERROR, "github_error", "taskId", job->spec.task.id, "status",
           PJ_I64(upstream->status), "code", pj_err_code_of(err), "detail", err->message, NULL);
    return -1;
}

static int open_pull(struct job *job, const struct pull_forge *forge, const struct pull_spec *spec,
                     struct pull_result *result, struct pj_err *err)
{
    struct pj_lease_note note = {.pr_state = "open"};

    if (pull_open(forge, spec, result, err) < 0)
        return forge_failed(job, &result->upstream, err);
    pj_str_set(&job->outcome.pr_url, result->url);
    pj_str_set(&job->outcome.pr.url, result->url);
    pj_str_set(&job->outcome.pr.state, "open");
    job->outcome.pr.number = result->number;
    job_log_say(job->log, PJ_EVENT_PR_CREATED, "%s %s",
                result->adopted ? "pull request exists:" : "pull request", result->url);
    note.pr_url = result->url;
    note.pr_number = result->number;
    return job->report->note(job, &note, err);
}

static struct pull_forge forge_of(struct job *job)
{
    return (struct pull_forge){
        .forge = job->address.forge,
        .token = job->credential.token,
        .ca_file = job->settings->ca_file,
        .retry_base_ms = job->settings->retry_base_ms,
        .deadline_ms = job->spec.deadline_mono_ms,
        .pump = &job->pump,
        .on_retry = on_retry,
        .on_retry_ctx = job,
    };
}

int job_ask_pull(struct job *job, struct pj_err *err)
{
    const struct pull_forge forge = forge_of(job);
    const struct pull_spec spec = {.owner = job->address.owner, .name = job->address.name};
    const struct pj_task *task = &job->spec.task;
    struct pull_upstream upstream = {0};
    struct pj_lease_note note = {0};

    if (forge.forge->kind == PJ_FORGE_GIT || task->pr.number <= 0)
        return 0;
    if (pull_state(&forge, &spec, task->pr.number, &note.pr_state, &upstream, err) < 0)
        return forge_failed(job, &upstream, err);
    if (strcmp(note.pr_state, "open") == 0)
        return 0;
    if (job->report->note(job, &note, err) < 0)
        return -1;
    (void)pj_fail(err, PJ_E_CONFLICT,
                  "pull request %lld is %s: a further round has nothing to add to",
                  (long long)task->pr.number, note.pr_state);
    (void)pj_err_remedy(err, "create a new task, or open the pull request again and retry");
    return pj_err_code(err, "pr_failed");
}

int job_ask_forge(struct job *job, struct pj_err *err)
{
    const struct pull_forge forge = forge_of(job);
    char branch[PJ_BRANCH_SIZE];
    const struct pull_spec spec = {
        .owner = job->address.owner, .name = job->address.name, .head = branch};
    struct pull_upstream upstream = {0};

    publish_branch_name(job->spec.task.id, branch);
    if (forge.forge->kind == PJ_FORGE_GIT || pull_preflight(&forge, &spec, &upstream, err) == 0)
        return 0;
    return forge_failed(job, &upstream, err);
}

/* The service at its own address knows github.com alone: another forge's number for a repository would name a stranger's there. */
static bool rabbit_knows(const struct job *job)
{
    const char *host = job->address.forge->host;

    return job->settings->coderabbit_api_key != NULL &&
           (strstr(job->settings->coderabbit_api_url, "//api.coderabbit.ai") == NULL ||
            (host != NULL && strcmp(host, "github.com") == 0));
}

/* By CodeRabbit's API where a key is set, else, or when that fails, by a comment. */
static int ask_coderabbit(struct job *job, const struct pull_forge *forge,
                          const struct pull_spec *spec, int64_t number, struct pj_err *err)
{
    const struct runner_settings *s = job->settings;
    const struct coderabbit_api api = {
        .base_url = s->coderabbit_api_url,
        .key = s->coderabbit_api_key,
        .ca_file = s->ca_file,
        .retry_base_ms = s->retry_base_ms,
        .deadline_ms = job->spec.deadline_mono_ms,
        .pump = &job->pump,
    };
    struct pull_upstream upstream;
    int64_t repository = 0;

    if (rabbit_knows(job)) {
        if (pull_repository_id(forge, spec, &repository, &upstream, err) == 0 &&
            coderabbit_ask(&api, repository, number, err) == 0) {
            job_log_say(job->log, PJ_EVENT_INFO, "CodeRabbit was asked for a review");
            return 0;
        }
        if (job->stop.cls != PJ_E_OK)
            return -1;
        job_log_say(job->log, PJ_EVENT_WARN, "CodeRabbit's API: %s; asking by a comment",
                    err->message);
    }
    return pull_comment(forge, spec, number, CODERABBIT_COMMENT, &upstream, err);
}

/* What the pull request is given beside its text. It is there: what cannot be had is said, and no reason to fail. */
static int decorate(struct job *job, const struct pull_forge *forge, const struct pull_spec *spec,
                    int64_t number, struct pj_err *err)
{
    const struct pj_repo_publish *own = &job->spec.repo.publish;
    struct pull_upstream upstream;
    struct pj_err why;

    if (own->labels != NULL && own->labels[0] != NULL &&
        pull_label(forge, spec, number, own->labels, &upstream, &why) < 0)
        job_log_say(job->log, PJ_EVENT_WARN, "the labels are missing: %s", why.message);
    if (own->reviewers != NULL && own->reviewers[0] != NULL &&
        pull_request_review(forge, spec, number, own->reviewers, &upstream, &why) < 0)
        job_log_say(job->log, PJ_EVENT_WARN, "no review was asked for: %s", why.message);
    if (job->coderabbit_added && ask_coderabbit(job, forge, spec, number, &why) < 0)
        job_log_say(job->log, PJ_EVENT_WARN, "CodeRabbit was not asked: %s", why.message);
    if (job->stop.cls == PJ_E_OK)
        return 0;
    *err = job->stop;
    return -1;
}

int step_pull(struct job *job, struct pj_err *err)
{
    struct pull_forge forge = forge_of(job);
    struct pull_spec spec = {
        .owner = job->address.owner,
        .name = job->address.name,
        .head = job->outcome.branch,
        .base = workspace_base_branch(job->ws),
        .draft = job->checks_worse || job->spec.repo.publish.draft,
    };
    struct pull_result result = {0};
    struct pj_str title, body;
    int rc;

    if (forge.forge->kind == PJ_FORGE_GIT) {
        job_log_say(job->log, PJ_EVENT_INFO, "the remote is plain git: the branch is the result");
        return 0;
    }
    pj_str_init(&title, 1024);
    publish_subject(job->spec.task.title, &title);
    make_body(job, &body);
    spec.title = pj_str_cstr(&title);
    spec.body = pj_str_cstr(&body);
    rc = open_pull(job, &forge, &spec, &result, err);
    if (rc == 0)
        rc = decorate(job, &forge, &spec, result.number, err);
    pull_result_release(&result);
    pj_str_release(&title);
    pj_str_release(&body);
    return rc;
}
