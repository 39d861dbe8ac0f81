#include "runner/outbox.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/crypto/random.h"
#include "lib/http/smtp.h"
#include "lib/store/meta.h"
#include "lib/store/outbox.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"
#include "lib/store/users.h"
#include "runner/chore.h"
#include "runner/external.h"
#include "runner/issue.h"
#include "runner/mail.h"
#include "runner/notify.h"
#include "runner/patience.h"
#include "runner/workspace.h"

#define HOLD_MS                                                                                    \
    180000 /* longer than a delivery may take: a mail 30 s, a webhook 20, a comment under a fetched token 150 */
#define LOOK_MS 1000
#define SETTLE_MS                                                                                  \
    25000 /* and the last try takes its time: what is not on record is delivered again when the claim runs out */
#define GIVE_UP_MS ((int64_t)3 * 24 * 3600 * 1000)
#define RETRY_FACTOR 10 /* of PJ_RETRY_BASE: nobody waits for a mail as a job waits for a forge */
#define RETRY_MAX_MS ((int64_t)4 * 3600 * 1000)
#define CACHE_MAX_BYTES ((int64_t)20 << 30)
#define TIDY_EVERY_MS ((int64_t)10 * 60 * 1000)

struct outbox {
    const struct runner_settings *settings;
    struct pj_redis *redis;
    struct pj_http *http;
    struct pj_forges *forges;
    struct pj_meta meta;
    struct patience patience;
    int64_t rest_ms; /* > 0: the receiver of the present record is left alone that long */
};

int64_t outbox_retry_ms(int64_t base_ms, int64_t age_ms, int64_t attempts)
{
    int64_t wait = base_ms * RETRY_FACTOR;
    uint16_t jitter;

    if (age_ms >= GIVE_UP_MS)
        return -1;
    if (age_ms < 0) /* Redis's clock is ahead of ours */
        age_ms = 0;
    for (int64_t i = 1; i < attempts && wait < RETRY_MAX_MS; i++)
        wait *= 2;
    if (wait > RETRY_MAX_MS)
        wait = RETRY_MAX_MS;
    if (wait >
        age_ms +
            base_ms * RETRY_FACTOR) /* among the attempts may be some at which it was left alone */
        wait = age_ms + base_ms * RETRY_FACTOR;
    pj_random_bytes(&jitter, sizeof(jitter));
    return wait - wait / 4 + wait / 4 * jitter / 65535;
}

static int ask(struct outbox *o, struct pj_cmd *cmd, struct redisReply **reply, struct pj_err *err)
{
    int rc = pj_redis_do(o->redis, cmd, reply, err);

    pj_cmd_release(cmd);
    return rc;
}

static int read_task(struct outbox *o, const char *id, struct pj_task *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_cmd cmd = {0};

    pj_task_get_cmd(&cmd, id);
    if (ask(o, &cmd, &reply, err) < 0)
        return -1;
    return pj_task_get_reply(reply, out, err);
}

/* The task's repository; all members absent when it is gone. */
static int read_repo(struct outbox *o, const char *id, struct pj_repo *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_cmd cmd = {0};

    pj_repo_init(out);
    pj_repo_get_cmd(&cmd, id);
    if (ask(o, &cmd, &reply, err) == 0 && pj_repo_reply(reply, out, err) == 0)
        return 0;
    pj_repo_init(out);
    return err->cls == PJ_E_NOT_FOUND ? 0 : -1;
}

/* NULL when the owner is gone. */
static int owner_address(struct outbox *o, const char *user_id, char **address, struct pj_err *err)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_cmd cmd = {0};
    struct pj_user user = {0};

    pj_user_get_cmd(&cmd, user_id);
    if (ask(o, &cmd, &reply, err) < 0 || pj_user_reply(reply, &user, err) < 0)
        return err->cls == PJ_E_NOT_FOUND ? 0 : -1;
    *address = pj_strdup_or_null(user.email);
    pj_user_release(&user);
    return 0;
}

/* Who kept us waiting a moment ago is not tried yet: others wait behind him. */
static int spare(struct outbox *o, const char *name, struct pj_err *err)
{
    o->rest_ms = patience_rest_ms(&o->patience, name, pj_mono_ms());
    if (o->rest_ms == 0)
        return 0;
    (void)pj_fail(
        err, PJ_E_UNAVAILABLE,
        "not tried: it did not take what it was sent, and was slow to say so, a moment ago");
    return pj_err_remedy(err, "It is tried again in %lld s.", (long long)(o->rest_ms / 1000 + 1));
}

static int noted(struct outbox *o, const char *name, int rc, int64_t began_mono)
{
    int64_t now = pj_mono_ms();

    patience_note(&o->patience, name, rc >= 0, now - began_mono, now);
    return rc;
}

static int send_mail(struct outbox *o, const struct pj_outbox *record, const struct pj_task *task,
                     const char *repository, const char *to, struct pj_err *err)
{
    const struct runner_settings *s = o->settings;
    PJ_CLEANUP(pj_freep) char *from = mail_bare_address(s->mail_from);
    const struct mail_facts facts = {
        .template_name = record->template_name,
        .task = task,
        .repository = repository,
        .public_url = s->public_url,
        .message_id = record->id,
        .from = s->mail_from,
        .to = to,
        .date_ms = pj_now_ms(),
    };
    const struct pj_smtp server = {
        .url = s->smtp_url,
        .user = s->smtp_user,
        .password = s->smtp_password,
        .tls_required = strcmp(s->smtp_tls, "required") == 0,
        .ca_file = s->ca_file,
    };
    char name[PATIENCE_NAME_SIZE];
    struct pj_str message;
    int64_t began = pj_mono_ms();
    int rc;

    patience_name(s->smtp_url, name);
    if (spare(o, name, err) < 0)
        return -1;
    rc = mail_compose(&facts, &message, err);
    if (rc == 0)
        rc = noted(o, name,
                   pj_smtp_send(&server, from, to, pj_view_n(message.data, message.len), err),
                   began);
    pj_str_release(&message);
    return rc;
}

/* True when the daemon has gone. */
static bool wait_for_next(int64_t ms)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

    return poll(&p, 1, (int)ms) > 0;
}

static void settle(struct outbox *o, unsigned partition, const struct pj_outbox *record, int rc,
                   const char *to, const struct pj_err *err)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    int64_t retry = outbox_retry_ms(o->settings->retry_base_ms, pj_now_ms() - record->created_ms,
                                    record->attempts),
            until = pj_mono_ms() + SETTLE_MS;
    enum pj_outbox_state state = PJ_OUTBOX_SENT;
    struct pj_cmd cmd = {0};
    struct pj_err trouble;
    int stored;

    if (rc == PJ_NONE)
        state = PJ_OUTBOX_SKIPPED;
    else if (rc < 0)
        state = err->cls == PJ_E_INVALID || retry < 0 ? PJ_OUTBOX_FAILED : PJ_OUTBOX_PENDING;
    if (state == PJ_OUTBOX_PENDING && o->rest_ms > 0)
        retry = o->rest_ms;
    pj_outbox_settle_cmd(&cmd, partition, record->id, record->attempts, state, to,
                         rc < 0 ? err->message : NULL, retry < 0 ? 0 : retry);
    do
        stored = pj_redis_do(o->redis, &cmd, &reply, &trouble);
    while (stored < 0 && trouble.cls == PJ_E_UNAVAILABLE && pj_mono_ms() < until &&
           !wait_for_next(LOOK_MS));
    pj_cmd_release(&cmd);
    if (stored < 0)
        pj_log_err(PJ_LOG_WARN, "outbox_not_settled", &trouble, "record", record->id);
    pj_log(rc < 0 ? PJ_LOG_WARN : PJ_LOG_INFO, "notification", "taskId", record->task_id, "kind",
           record->kind, "template", record->template_name, "state", pj_outbox_state_words[state],
           "detail", rc < 0 ? err->message : NULL, NULL);
}

static int add_webhook(struct outbox *o, unsigned partition, const struct pj_outbox *record,
                       const char *suffix, const char *url, struct pj_err *err)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_cmd cmd = {0};

    if (url == NULL)
        return 0;
    pj_outbox_add_cmd(&cmd, partition, record->id, suffix, "webhook", url);
    return ask(o, &cmd, &reply, err);
}

/* Under the repository's own webhook secret, to its own address. */
static int notify_repository(struct outbox *o, const struct pj_outbox *record,
                             const struct pj_task *task, const struct pj_repo *repo,
                             struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *context = NULL;
    struct notify_way way;
    struct pj_str secret;
    int rc;

    if (repo->notify_url == NULL || repo->webhook_sealed == NULL ||
        strcmp(repo->notify_url, record->to) != 0)
        return PJ_NONE; /* taken away meanwhile */
    if (notify_guard(o->forges, repo->notify_url, &way, err) < 0)
        return -1;
    context = pj_asprintf("repo:%s:webhook", repo->id);
    pj_str_init(&secret, 4096);
    rc = pj_unseal(o->settings->keyring, context, pj_view_of(repo->webhook_sealed), &secret, err);
    if (rc == 0)
        rc = notify_send(o->http, repo->notify_url, &way, pj_str_cstr(&secret), record->id, task,
                         err);
    if (secret.data != NULL)
        pj_wipe(secret.data, secret.len);
    pj_str_release(&secret);
    return rc;
}

static int deliver_webhook(struct outbox *o, const struct pj_outbox *record,
                           const struct pj_task *task, const struct pj_repo *repo,
                           struct pj_err *err)
{
    static const struct notify_way operators = {.plain = true};
    const struct runner_settings *s = o->settings;
    char name[PATIENCE_NAME_SIZE];
    int64_t began = pj_mono_ms();

    if (record->to == NULL)
        return PJ_NONE;
    patience_name(record->to, name);
    if (spare(o, name, err) < 0)
        return -1;
    if (s->notify_url != NULL && strcmp(s->notify_url, record->to) == 0)
        return noted(o, name,
                     notify_send(o->http, s->notify_url, &operators, s->notify_secret, record->id,
                                 task, err),
                     began);
    return noted(o, name, notify_repository(o, record, task, repo, err), began);
}

/* The mail of an end; first, the same end becomes records of their own for the webhooks, each made once. */
static int deliver_mail(struct outbox *o, unsigned partition, const struct pj_outbox *record,
                        const struct pj_task *task, const struct pj_repo *repo, char **to,
                        struct pj_err *err)
{
    if (add_webhook(o, partition, record, "webhook", o->settings->notify_url, err) < 0 ||
        add_webhook(o, partition, record, "repository", repo->notify_url, err) < 0)
        return -1;
    if (owner_address(o, record->owner, to, err) < 0)
        return -1;
    if (o->settings->smtp_url == NULL || *to == NULL)
        return PJ_NONE;
    return send_mail(o, record, task, repo->name, *to, err);
}

static int deliver_comment(struct outbox *o, const struct pj_outbox *record,
                           const struct pj_task *task, struct pj_err *err)
{
    const struct forge_view_spec spec = {
        .settings = o->settings, .redis = o->redis, .forges = o->forges, .issues = true};
    char name[PATIENCE_NAME_SIZE];
    int64_t began = pj_mono_ms();

    patience_name(record->to != NULL ? record->to : "", name);
    if (spare(o, name, err) < 0)
        return -1;
    return noted(o, name, issue_comment(&spec, task, err), began);
}

/* 0 delivered, PJ_NONE nothing to do, -1 with err. */
static int deliver(struct outbox *o, unsigned partition, const struct pj_outbox *record, char **to,
                   struct pj_err *err)
{
    struct pj_repo repo;
    struct pj_task task;
    int rc;

    pj_task_init(&task);
    rc = read_task(o, record->task_id, &task, err);
    if (rc < 0) {
        pj_task_release(&task);
        if (err->cls == PJ_E_NOT_FOUND)
            return PJ_NONE; /* deleted meanwhile */
        return -1;
    }
    rc = read_repo(o, task.repository_id, &repo, err);
    if (rc < 0) {
        pj_task_release(&task);
        return -1;
    }
    if (strcmp(record->kind, "comment") == 0) {
        *to = pj_strdup_or_null(record->to);
        rc = deliver_comment(o, record, &task, err);
    } else if (strcmp(record->kind, "webhook") == 0) {
        *to = pj_strdup_or_null(record->to);
        rc = deliver_webhook(o, record, &task, &repo, err);
    } else {
        rc = deliver_mail(o, partition, record, &task, &repo, to, err);
    }
    pj_repo_release(&repo);
    pj_task_release(&task);
    return rc;
}

/* One at a time: a receiver that keeps us waiting must not make the claim of the next record run out, which another would then deliver
 * too. How many: none or one. */
static int serve(struct outbox *o, unsigned partition, struct pj_err *err)
{
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_freep) char *to = NULL;
    struct pj_outbox record;
    struct pj_cmd cmd = {0};
    struct pj_err why = {0};
    size_t count;
    int done;

    pj_outbox_claim_cmd(&cmd, partition, 1, HOLD_MS);
    if (ask(o, &cmd, &reply, err) < 0 || pj_outbox_claim_reply(reply, &record, 1, &count, err) < 0)
        return -1;
    if (count == 0)
        return 0;
    o->rest_ms = 0;
    done = deliver(o, partition, &record, &to, &why);
    settle(o, partition, &record, done, to, &why);
    pj_outbox_release(&record, 1);
    return 1;
}

/* Mirrors of repositories that were not used lately, or were fetched into too often. */
static void tidy_cache(const void *ctx)
{
    const struct runner_settings *settings = ctx;
    struct pj_err err;

    if (workspace_cache_trim(settings->state_dir, CACHE_MAX_BYTES, &err) < 0)
        pj_log_err(PJ_LOG_WARN, "cache_not_trimmed", &err, NULL, NULL);
    if (workspace_cache_repack(settings->state_dir, &err) < 0)
        pj_log_err(PJ_LOG_WARN, "mirror_not_packed", &err, NULL, NULL);
}

int outbox_main(const struct runner_settings *settings)
{
    const struct pj_redis_options options =
        pj_redis_options_of(&settings->redis, settings->ca_file, "pj-outbox");
    const struct pj_forges_spec forges = {.file = settings->forges,
                                          .github_api_url = settings->github_api_url,
                                          .redact = settings->redact};
    struct outbox o = {.settings = settings, .http = pj_http_new(settings->ca_file)};
    struct chore tidy = {.work = tidy_cache, .ctx = settings, .every_ms = TIDY_EVERY_MS};
    struct external *external = NULL;
    struct pj_err err = {0};
    int rc = 1;

    (void)signal(SIGPIPE, SIG_IGN);
    if (pj_forges_load(&forges, &o.forges, &err) < 0 ||
        pj_redis_new(&options, &o.redis, &err) < 0 ||
        pj_store_open(o.redis, 1, &o.meta, &err) < 0 ||
        (external = external_new(settings, o.redis, o.http, &err)) == NULL) {
        pj_log_err(PJ_LOG_ERROR, "outbox_not_started", &err, NULL, NULL);
        goto out;
    }
    for (;;) {
        int served = 0;

        for (unsigned p = 0; p < o.meta.partitions && !wait_for_next(0); p++) {
            int n = serve(&o, p, &err);

            if (n < 0 && err.cls != PJ_E_UNAVAILABLE)
                pj_log_err(PJ_LOG_ERROR, "outbox_failed", &err, NULL, NULL);
            served += n > 0 ? n : 0;
            if (external_tick(external, p, &err) < 0 && err.cls != PJ_E_UNAVAILABLE)
                pj_log_err(PJ_LOG_ERROR, "watch_failed", &err, NULL, NULL);
        }
        chore_tick(&tidy);
        if (wait_for_next(served > 0 ? 0 : LOOK_MS))
            break;
    }
    rc = 0;
out:
    chore_stop(&tidy);
    external_free(external);
    pj_forges_free(o.forges);
    pj_redis_free(o.redis);
    pj_http_free(o.http);
    return rc;
}
