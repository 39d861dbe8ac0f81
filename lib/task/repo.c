#include "lib/task/repo.h"

#include <stdlib.h>
#include <string.h>
#include "lib/task/state.h"

const char *const pj_repo_status_words[] = {"connected", "invalid", NULL};
const char *const pj_repo_visibility_words[] = {"private", "shared", NULL};
const char *const pj_repo_on_check_words[] = {"needs_review", "draft_pr", NULL};
const char *const pj_repo_credential_words[] = {"repository", "app", "forge", "env", NULL};

const char *const pj_repo_allow_words[] = {"owners", "reviews", "secrets", "workflows", NULL};
static const char *const off_on[] = {"off", "on", NULL};

#define IN_PUBLISH(member) offsetof(struct pj_repo_publish, member)
static const struct pj_field publish_fields[] = {
    {"draft", PJ_F_BOOL, IN_PUBLISH(draft)},
    {"labels", PJ_F_STRS, IN_PUBLISH(labels)},
    {"reviewers", PJ_F_STRS, IN_PUBLISH(reviewers)},
    {"authorName", PJ_F_STR, IN_PUBLISH(author_name)},
    {"authorEmail", PJ_F_STR, IN_PUBLISH(author_email)},
    {"coAuthor", PJ_F_WORD, IN_PUBLISH(co_author), .words = off_on},
    {"allow", PJ_F_STRS, IN_PUBLISH(allow)},
};

#define AT(member) offsetof(struct pj_repo, member)
/* Clients see the first SHOWN as they are; the others in a form of their own, or never. */
#define SHOWN 22
static const struct pj_field repo_fields[] = {
    {"id", PJ_F_STR, AT(id)},
    {"owner", PJ_F_STR, AT(owner)},
    {"url", PJ_F_STR, AT(url)},
    {"name", PJ_F_STR, AT(name)},
    {"defaultBranch", PJ_F_STR, AT(default_branch)},
    {"status", PJ_F_WORD, AT(status), .words = pj_repo_status_words},
    {"statusCause", PJ_F_STR, AT(status_cause)},
    {"visibility", PJ_F_WORD, AT(visibility), .words = pj_repo_visibility_words},
    {"executor", PJ_F_WORD, AT(executor), .words = pj_task_executor_words},
    {"rootfs", PJ_F_STR, AT(rootfs)},
    {"setupCommand", PJ_F_STR, AT(setup_command)},
    {"setupTimeoutMs", PJ_F_INT, AT(setup_timeout_ms), PJ_FF_NULL_NEG},
    {"checkCommand", PJ_F_STR, AT(check_command)},
    {"onCheckFailure", PJ_F_WORD, AT(on_check_failure), .words = pj_repo_on_check_words},
    {"networkAllow", PJ_F_STRS, AT(network_allow)},
    {"agentNetwork", PJ_F_BOOL, AT(agent_network)},
    {"agent", PJ_F_STRS, AT(agent)},
    {"notifyUrl", PJ_F_STR, AT(notify_url)},
    {"publish", PJ_F_OBJ, AT(publish), .sub = publish_fields,
     .sub_count = PJ_COUNT_OF(publish_fields)},
    {"createdAt", PJ_F_TIME, AT(created_ms)},
    {"updatedAt", PJ_F_TIME, AT(updated_ms)},
    {"verifiedAt", PJ_F_TIME, AT(verified_ms)},
    {"codeRabbit", PJ_F_BOOL, AT(code_rabbit)},
    {"triggerLabel", PJ_F_STR, AT(trigger_label)},
    {"triggerMention", PJ_F_STR, AT(trigger_mention)},
    {"credentialSource", PJ_F_WORD, AT(credential_source), .words = pj_repo_credential_words},
    {"credentialUsername", PJ_F_STR, AT(credential_username)},
    {"credentialSealed", PJ_F_STR, AT(credential_sealed)},
    {"webhookSealed", PJ_F_STR, AT(webhook_sealed)},
    {"webhookOldSealed", PJ_F_STR, AT(webhook_old_sealed)},
    {"webhookOldUntilMs", PJ_F_INT, AT(webhook_old_until_ms)},
};

void pj_repo_init(struct pj_repo *repo)
{
    *repo = (struct pj_repo){.executor = -1,
                             .setup_timeout_ms = -1,
                             .code_rabbit = true,
                             .publish = {.co_author = 1},
                             .credential_source = -1};
}

bool pj_repo_allows(const struct pj_repo_publish *publish, const char *word)
{
    for (size_t i = 0; publish->allow != NULL && publish->allow[i] != NULL; i++)
        if (strcmp(publish->allow[i], word) == 0)
            return true;
    return false;
}

void pj_repo_release(struct pj_repo *repo)
{
    pj_json_release(repo_fields, PJ_COUNT_OF(repo_fields), repo);
    pj_repo_init(repo);
}

void pj_repo_free(struct pj_repo *repo)
{
    if (!repo)
        return;
    pj_repo_release(repo);
    free(repo);
}

void pj_repo_freep(struct pj_repo **repo)
{
    pj_repo_free(*repo);
    *repo = NULL;
}

json_t *pj_repo_json(const struct pj_repo *repo)
{
    json_t *doc = pj_json_encode(repo_fields, SHOWN, repo);
    json_t *credential = json_object(), *trigger = json_null();

    (void)json_object_set_new(credential, "set", json_boolean(repo->credential_source >= 0));
    (void)json_object_set_new(credential, "source",
                              repo->credential_source < 0
                                  ? json_null()
                                  : json_string(pj_repo_credential_words[repo->credential_source]));
    (void)json_object_set_new(doc, "credential", credential);
    if (repo->trigger_label || repo->trigger_mention) {
        trigger = json_object();
        (void)json_object_set_new(
            trigger, "label", repo->trigger_label ? json_string(repo->trigger_label) : json_null());
        (void)json_object_set_new(trigger, "mention",
                                  repo->trigger_mention ? json_string(repo->trigger_mention)
                                                        : json_null());
    }
    (void)json_object_set_new(doc, "trigger", trigger);
    (void)json_object_set_new(doc, "codeRabbit", json_string(repo->code_rabbit ? "on" : "off"));
    return doc;
}

json_t *pj_repo_wire(const struct pj_repo *repo)
{
    return pj_json_encode(repo_fields, PJ_COUNT_OF(repo_fields), repo);
}

int pj_repo_from_wire(const json_t *doc, struct pj_repo *out, struct pj_err *err)
{
    struct pj_repo repo;

    pj_repo_init(&repo);
    if (pj_json_decode(doc, repo_fields, PJ_COUNT_OF(repo_fields), &repo, NULL, err) < 0) {
        pj_repo_release(&repo);
        return pj_err_wrap(err, "repository");
    }
    if (repo.publish.co_author < 0)
        repo.publish.co_author = 1; /* absent */
    *out = repo;
    return 0;
}
