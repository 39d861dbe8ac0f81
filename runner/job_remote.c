/* job_remote.c - `pj-runner job --remote`: the job process inside a workflow. It claims its task and reports by webhooks signed as
 * Standard Webhooks say (CONTRACT.md section 5); each has an id of its own, so that one sent twice counts once. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/http/client.h"
#include "lib/json/codec.h"
#include "runner/handover.h"
#include "runner/job_remote.h"
#include "runner/notify.h"
#include "runner/retry.h"

#define BODY_MAX ((size_t)1000 * 1024) /* the API takes 1 MiB */
#define PART_MAX ((size_t)660 * 1024)  /* of a patch in one webhook: base64 makes 880 KiB of it */
#define CALL_TIMEOUT_MS 30000

static const struct pj_setting remote_settings[] = {
    {"PJ_CALLBACK_URL", PJ_SET_STR, offsetof(struct remote, callback), NULL, 0, 0, NULL,
     "where to report: input `callback`"},
    {"PJ_TASK_ID", PJ_SET_STR, offsetof(struct remote, task_id), NULL, 0, 0, NULL,
     "the task: input `task_id`"},
    {"PJ_WEBHOOK_SECRET", PJ_SET_SECRET, offsetof(struct remote, secret), NULL, 0, 0, NULL,
     "the repository's webhook secret (whsec_…)"},
};

/* ---- one webhook ---- */

static int judge(const struct pj_http_response *res, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    struct pj_err ignored;
    const char *detail = "";

    if (res->status >= 200 && res->status < 300)
        return 0;
    if (pj_json_parse(pj_view_n(res->body.data, res->body.len), &doc, &ignored) == 0)
        detail = pj_json_str(doc, "detail", "");
    if (res->status == 413)
        return 0; /* all but the logs was applied */
    if (res->status == 409 || res->status == 404) {
        (void)pj_fail(err, PJ_E_CONFLICT, "the task is no longer this workflow's: %s", detail);
        return pj_err_code(err, "stale_lease");
    }
    if (res->status == 401) {
        (void)pj_fail(err, PJ_E_AUTH, "the API does not accept the signature: %s", detail);
        return pj_err_remedy(err,
                             "set the secret PJ_WEBHOOK_SECRET to the repository's webhook secret");
    }
    return pj_fail(err, res->status >= 500 || res->status == 429 ? PJ_E_UNAVAILABLE : PJ_E_PROTOCOL,
                   "the API answered %d: %s", res->status, detail);
}

static int post(struct job *job, struct pj_http *http, const char *id, const json_t *body,
                const struct pj_pump *pump, struct pj_str *answer, struct pj_err *err)
{
    const struct remote *r = job->remote;
    struct pj_str text, signature;
    int64_t now = pj_now_ms() / 1000;
    char stamp[24];
    struct pj_http_header headers[] = {
        {"Content-Type", "application/json"},
        {"webhook-id", id},
        {"webhook-timestamp", pj_i64_str(stamp, now)},
        {"webhook-signature", NULL},
    };
    struct pj_http_request req = {
        .method = "POST",
        .url = r->callback,
        .headers = headers,
        .header_count = PJ_COUNT_OF(headers),
        .allow_plain = true, /* the operator's own address, in the workflow's input */
        .max_body = ANSWER_MAX,
        .timeout_ms = CALL_TIMEOUT_MS,
        .pump = pump,
    };
    struct pj_http_response res;
    int rc;

    pj_str_init(&text, BODY_MAX);
    pj_str_init(&signature, 256);
    rc = pj_json_dump(body, &text);
    if (rc < 0)
        (void)pj_fail(err, PJ_E_LIMIT, "a report of more than %zu bytes", BODY_MAX);
    else
        rc = notify_sign(r->secret, id, now, pj_view_n(text.data, text.len), &signature, err);
    if (rc == 0) {
        headers[3].value = pj_str_cstr(&signature);
        req.body = text.data;
        req.body_len = text.len;
        rc = pj_http_do(http, &req, &res, err);
        if (rc == 0)
            rc = judge(&res, err);
        if (rc == 0 && answer != NULL)
            (void)pj_str_append(answer, res.body.data, res.body.len);
        pj_http_response_release(&res);
    }
    pj_str_release(&text);
    pj_str_release(&signature);
    return rc;
}

int remote_send(struct job *job, const char *name, json_t *body, struct pj_str *answer,
                struct pj_err *err)
{
    struct remote *r = job->remote;
    PJ_CLEANUP(pj_freep)
    char *id = pj_asprintf("%s_%s_%s%lld", r->task_id, r->run, name, (long long)++r->sent);
    /* Before the log exists there is nothing to serve; after an order to stop the pump would end the call. */
    const struct pj_pump *pump = job->log != NULL && job->stop.cls == PJ_E_OK ? &job->pump : NULL;
    struct retry retry = {.base_ms = job->settings->retry_base_ms, .pump = pump};
    int rc;

    (void)json_object_set_new(body, "taskId", json_string(r->task_id));
    if (job->spec.task.attempt > 0)
        (void)json_object_set_new(body, "attempt", json_integer(job->spec.task.attempt));
    do
        rc = post(job, r->http, id, body, pump, answer, err);
    while (rc < 0 && strcmp(err->code, "stale_lease") != 0 && retry_transient(&retry, err) > 0);
    json_decref(body);
    return rc;
}

static json_t *progress(void)
{
    return json_pack("{s:s}", "type", "task.progress");
}

/* ---- the report ---- */

static int stage(struct job *job, enum pj_task_stage value, struct pj_err *err)
{
    json_t *body = progress();

    (void)json_object_set_new(body, "stage", json_string(pj_task_stage_word(value)));
    return remote_send(job, "stage", body, NULL, err);
}

static int note(struct job *job, const struct pj_lease_note *facts, struct pj_err *err)
{
    (void)job;
    (void)
        facts; /* told with the end: the push is repeatable without them, since the commit is deterministic */
    (void)err;
    return 0;
}

/* In parts, and as base64: a patch may be longer than a webhook, and need not be UTF-8. */
static int keep_patch(struct job *job, struct pj_view patch, struct pj_err *err)
{
    for (size_t at = 0; at < patch.n;) {
        size_t n = patch.n - at < PART_MAX ? patch.n - at : PART_MAX;
        struct pj_str text;
        json_t *body = progress();

        pj_str_init(&text, 2 * PART_MAX);
        int rc = pj_base64_encode(&text, patch.p + at, n);
        (void)json_object_set_new(
            body, "patchPart",
            json_pack("{s:I, s:s}", "offset", (json_int_t)at, "base64", pj_str_cstr(&text)));
        pj_str_release(&text);
        if (rc < 0) {
            json_decref(body);
            return pj_fail(err, PJ_E_INTERNAL, "a part of the patch could not be encoded");
        }
        if (remote_send(job, "patch", body, NULL, err) < 0)
            return -1;
        at += n;
    }
    return 0;
}

/* Called from the pump, so it may not serve it; the log keeps the chunk and tries again. */
static int send_log(void *ctx, int64_t first, size_t count, struct pj_view lines,
                    int64_t *resend_from, struct pj_err *err)
{
    struct job *job = ctx;
    PJ_CLEANUP(pj_json_decrefp) json_t *body = progress();
    PJ_CLEANUP(pj_freep)
    char *id =
        pj_asprintf("%s_%s_log%lld", job->remote->task_id, job->remote->run, (long long)first);
    json_t *entries = json_array();
    struct pj_view line;

    (void)count;
    (void)resend_from;
    while (pj_view_cut(&lines, '\n', &line)) {
        json_t *entry = NULL;
        struct pj_err ignored;

        if (line.n > 0 && pj_json_parse(line, &entry, &ignored) == 0)
            (void)json_array_append_new(entries,
                                        json_pack("{s:s, s:s, s:s}", "stream",
                                                  pj_json_str(entry, "stream", "stdout"), "type",
                                                  pj_json_str(entry, "type", "info"), "message",
                                                  pj_json_str(entry, "message", "")));
        json_decref(entry);
    }
    (void)json_object_set_new(body, "logs", entries);
    (void)json_object_set_new(body, "taskId", json_string(job->remote->task_id));
    (void)json_object_set_new(body, "attempt", json_integer(job->spec.task.attempt));
    if (post(job, job->remote->log_http, id, body, NULL, NULL, err) == 0)
        return 0;
    if (strncmp(err->code, "http_", 5) == 0)
        err->cls = PJ_E_UNAVAILABLE;
    return -1;
}

static int usage(struct job *job, const struct pj_usage_call *call, struct pj_err *err)
{
    json_t *body = progress();

    (void)json_object_set_new(body, "usage",
                              json_pack("{s:{s:s, s:s}, s:I, s:I, s:I}", "model", "provider",
                                        call->provider, "name", call->model, "promptTokens",
                                        (json_int_t)call->prompt_tokens, "completionTokens",
                                        (json_int_t)call->completion_tokens, "cachedTokens",
                                        (json_int_t)call->cached_tokens));
    return remote_send(job, "usage", body, NULL, err);
}

static int usage_list(struct job *job, json_t **out, struct pj_err *err)
{
    (void)job;
    (void)err;
    *out = NULL;
    return 0;
}

static int analysis(struct job *job, json_t **out, struct pj_err *err)
{
    (void)err;
    *out = json_incref(job->remote->analysis);
    return 0;
}

static int requester(struct job *job, char **login, char **email, struct pj_err *err)
{
    (void)err;
    *login = pj_strdup_or_null(pj_json_str(job->remote->requester, "githubLogin", NULL));
    *email = pj_strdup_or_null(pj_json_str(job->remote->requester, "email", NULL));
    return 0;
}

static int stored_patch(struct job *job, char **text, size_t *n, struct pj_err *err)
{
    struct remote *r = job->remote;

    if (r->patch.len == 0) {
        (void)pj_fail(err, PJ_E_INVALID, "the API has no patch of this task");
        return pj_err_code(err, "runner_lost");
    }
    *n = r->patch.len;
    *text = pj_str_take(&r->patch);
    return 0;
}

static int outcome(struct job *job, struct pj_err *err)
{
    const struct pj_outcome *o = &job->outcome;
    json_t *body = json_pack("{s:s}", "type",
                             o->status == PJ_TASK_COMPLETED ? "task.completed" : "task.failed");
    const struct {
        const char *name, *value;
    } members[] = {
        {"branchName", o->branch},    {"prUrl", o->pr_url},      {"baseSha", o->base_sha},
        {"commitSha", o->commit_sha}, {"question", o->question},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(members); i++)
        if (members[i].value != NULL && members[i].value[0] != '\0')
            (void)json_object_set_new(body, members[i].name, json_string(members[i].value));
    if (o->status == PJ_TASK_CANCELLED)
        (void)json_object_set_new(
            body, "error",
            json_pack("{s:s, s:s}", "code", "cancelled", "message", "the workflow was cancelled"));
    else if (o->status != PJ_TASK_COMPLETED)
        (void)json_object_set_new(
            body, "error",
            json_pack("{s:s, s:s}", "code", o->error.code != NULL ? o->error.code : "failed",
                      "message", o->error.detail != NULL ? o->error.detail : ""));
    return remote_send(job, "end", body, NULL, err);
}

const struct job_report job_remote_report = {
    .stage = stage,
    .note = note,
    .keep_patch = keep_patch,
    .send_log = send_log,
    .usage = usage,
    .usage_list = usage_list,
    .analysis = analysis,
    .requester = requester,
    .stored_patch = stored_patch,
    .outcome = outcome,
};

/* ---- the process ---- */

static int order_pipe = -1;

/* A workflow that is cancelled sends SIGINT, then SIGTERM. */
static void on_signal(int sig)
{
    int saved = errno;

    (void)sig;
    if (write(order_pipe, "cancel\n", 7) < 0)
        errno = saved;
    errno = saved;
}

static int watch_signals(struct job *job, struct pj_err *err)
{
    struct sigaction act = {.sa_handler = on_signal};
    int pair[2];

    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return pj_fail_errno(err, errno, "pipe for signals");
    job->control_fd = pair[0];
    order_pipe = pair[1];
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigaction(SIGTERM, &act, NULL) < 0 || sigaction(SIGINT, &act, NULL) < 0)
        return pj_fail_errno(err, errno, "signals");
    return 0;
}

static int open_remote(struct job *job, struct pj_err *err)
{
    struct remote *r = job->remote;

    if (pj_settings_load(remote_settings, PJ_COUNT_OF(remote_settings), r, NULL,
                         job->settings->redact, err) < 0)
        return -1;
    if (r->callback == NULL || r->task_id == NULL || r->secret == NULL) {
        (void)pj_fail(err, PJ_E_INVALID, "%s is not set",
                      r->callback == NULL  ? "PJ_CALLBACK_URL"
                      : r->task_id == NULL ? "PJ_TASK_ID"
                                           : "PJ_WEBHOOK_SECRET");
        return pj_err_remedy(
            err, "use the workflow that `pj repo workflow` prints, and set its secrets");
    }
    r->http = pj_http_new(job->settings->ca_file);
    r->log_http = pj_http_new(job->settings->ca_file);
    pj_str_init(&r->patch, PJ_PATCH_MAX + 1);
    pj_id_new(0, r->run);
    return watch_signals(job, err);
}

static void close_remote(struct remote *r)
{
    pj_settings_release(remote_settings, PJ_COUNT_OF(remote_settings), r);
    pj_http_free(r->http);
    pj_http_free(r->log_http);
    json_decref(r->analysis);
    json_decref(r->requester);
    pj_str_release(&r->patch);
    pj_fd_close(&order_pipe);
}

/* "work FILE", "publish FILE", or nothing. */
static int read_words(struct job *job, char *const *words, struct pj_err *err)
{
    bool works = words[0] != NULL && strcmp(words[0], "work") == 0;

    if (words[0] == NULL)
        return 0;
    if ((!works && strcmp(words[0], "publish") != 0) || words[1] == NULL || words[2] != NULL) {
        (void)pj_fail(err, PJ_E_INVALID, "job --remote %.40s: not understood", words[0]);
        return pj_err_remedy(err, "say: pj-runner job --remote [work FILE | publish FILE]");
    }
    job->part = works ? JOB_WORK : JOB_PUBLISH;
    job->remote->handover = words[1];
    return 0;
}

static int attempt(struct job *job)
{
    struct pj_err err;
    int rc;

    job_begin(job);
    if (job->part == JOB_PUBLISH && handover_read(job, job->remote->handover, &err) < 0) {
        pj_log_err(PJ_LOG_ERROR, "handover_refused", &err, "taskId", job->remote->task_id);
        return 1;
    }
    rc = job_attempt(job);
    if (rc != JOB_EXIT_HANDED_OVER)
        return rc;
    if (handover_write(job, job->remote->handover, &err) == 0)
        return 0;
    pj_log_err(PJ_LOG_ERROR, "handover_refused", &err, "taskId", job->remote->task_id);
    return 1;
}

int job_remote_main(const struct runner_settings *settings, char *const *words)
{
    struct remote remote = {0};
    struct job job = {
        .settings = settings,
        .report = &job_remote_report,
        .remote = &remote,
        .control_fd = -1,
        .tree_fd = -1,
        .own_deadline = true,
        .spec = {.runner = pj_strdup("github-actions"), .deliveries = 1, .next_n = 1},
    };
    struct pj_err err = {0};
    int rc = 1;

    if (read_words(&job, words, &err) < 0 || open_remote(&job, &err) < 0) {
        (void)fprintf(stderr, "pj-runner: %s; %s\n", err.message, err.remedy);
        rc = PJ_EXIT_CONFIG;
    } else if (remote_claim(&job, &err) < 0) {
        pj_log_err(PJ_LOG_ERROR, "claim_refused", &err, "taskId", remote.task_id);
    } else {
        rc = attempt(&job);
    }
    pj_fd_close(&job.control_fd);
    job_close(&job);
    close_remote(&remote);
    return rc;
}
