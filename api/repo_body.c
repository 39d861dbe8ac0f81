#include "api/repo_body.h"

#include <stdlib.h>
#include <string.h>
#include "api/reply.h"
#include "api/text.h"
#include "lib/base/branch.h"
#include "lib/base/mem.h"
#include "lib/task/state.h"

#define AT(member) offsetof(struct repo_body, member)
#define COMMAND_MAX 8192
#define SETUP_TIMEOUT_MAX_MS (3600 * 1000LL)

static const char *const on_off[] = {"off", "on", NULL};

static const struct pj_field credential_fields[] = {
    {"token", PJ_F_STR, offsetof(struct repo_body_credential, token), PJ_FF_REQUIRED, 1, 4096},
    {"username", PJ_F_STR, offsetof(struct repo_body_credential, username), 0, 1, 200},
};

static const struct pj_field trigger_fields[] = {
    {"label", PJ_F_STR, offsetof(struct repo_body_trigger, label), 0, 1, 100},
    {"mention", PJ_F_STR, offsetof(struct repo_body_trigger, mention), 0, 1, 100},
};

#define IN_PUBLISH(member) offsetof(struct pj_repo_publish, member)
static const struct pj_field publish_fields[] = {
    {"allow", PJ_F_STRS, IN_PUBLISH(allow), 0, 0, 4},
    {"authorEmail", PJ_F_STR, IN_PUBLISH(author_email), 0, 3, 200},
    {"authorName", PJ_F_STR, IN_PUBLISH(author_name), 0, 1, 200},
    {"coAuthor", PJ_F_WORD, IN_PUBLISH(co_author), .words = on_off},
    {"draft", PJ_F_BOOL, IN_PUBLISH(draft)},
    {"labels", PJ_F_STRS, IN_PUBLISH(labels), 0, 0, 20},
    {"reviewers", PJ_F_STRS, IN_PUBLISH(reviewers), 0, 0, 15},
};

/* The first row is left out for edits. */
static const struct pj_field fields[] = {
    {"url", PJ_F_STR, AT(url), PJ_FF_REQUIRED, 1, 2000},
    {"agent", PJ_F_STRS, AT(agent), 0, 0, 32, .presence_offset = AT(has_agent)},
    {"agentNetwork", PJ_F_BOOL, AT(agent_network), .presence_offset = AT(has_agent_network)},
    {"checkCommand", PJ_F_STR, AT(check_command), 0, 1, COMMAND_MAX,
     .presence_offset = AT(has_check)},
    {"codeRabbit", PJ_F_WORD, AT(code_rabbit), .words = on_off,
     .presence_offset = AT(has_code_rabbit)},
    {"credential", PJ_F_OBJ, AT(credential), .sub = credential_fields,
     .sub_count = PJ_COUNT_OF(credential_fields), .presence_offset = AT(has_credential)},
    {"defaultBranch", PJ_F_STR, AT(default_branch), 0, 1, 255, .presence_offset = AT(has_branch)},
    {"executor", PJ_F_WORD, AT(executor), .words = pj_task_executor_words,
     .presence_offset = AT(has_executor)},
    {"networkAllow", PJ_F_STRS, AT(network_allow), 0, 0, 64, .presence_offset = AT(has_network)},
    {"notifyUrl", PJ_F_STR, AT(notify_url), 0, 1, 2000, .presence_offset = AT(has_notify)},
    {"onCheckFailure", PJ_F_WORD, AT(on_check_failure), .words = pj_repo_on_check_words,
     .presence_offset = AT(has_on_check)},
    {"publish", PJ_F_OBJ, AT(publish), .sub = publish_fields,
     .sub_count = PJ_COUNT_OF(publish_fields), .presence_offset = AT(has_publish)},
    {"rootfs", PJ_F_STR, AT(rootfs), 0, 1, 64, .presence_offset = AT(has_rootfs)},
    {"setupCommand", PJ_F_STR, AT(setup_command), 0, 1, COMMAND_MAX,
     .presence_offset = AT(has_setup)},
    {"setupTimeoutMs", PJ_F_INT, AT(setup_timeout_ms), PJ_FF_NULL_NEG, 1000, SETUP_TIMEOUT_MAX_MS,
     .presence_offset = AT(has_setup_timeout)},
    {"trigger", PJ_F_OBJ, AT(trigger), .sub = trigger_fields,
     .sub_count = PJ_COUNT_OF(trigger_fields), .presence_offset = AT(has_trigger)},
    {"visibility", PJ_F_WORD, AT(visibility), .words = pj_repo_visibility_words,
     .presence_offset = AT(has_visibility)},
};

/* "name", "name:443": what pj-sandbox's --net-allow takes. */
static bool is_host_port(const char *text)
{
    struct pj_view rest = pj_view_of(text), host;
    int64_t port;

    if (!pj_view_cut(&rest, ':', &host) || host.n == 0 || host.n > 253)
        return false;
    for (size_t i = 0; i < host.n; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", host.p[i]) ==
            NULL)
            return false;
    return rest.p == NULL || rest.n == 0
               ? strchr(text, ':') == NULL
               : pj_parse_i64(rest, &port) == 0 && port > 0 && port < 65536;
}

/* A name under rootfs/, not a path. */
static bool is_plain_name(const char *text)
{
    return text[0] != '.' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               strlen(text);
}

static bool is_word_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* What may stand in "Name <mail>" of a commit. */
static bool is_signature_text(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '<' || *p == '>')
            return false;
    return text[strspn(text, " .,:;\"\\'")] != '\0';
}

static bool is_phrase(const char *text)
{
    return text_is_one_line(text) && !text_is_blank(text);
}

static bool is_reviewer(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

    if (n > 0 && text[n] == '/' && text_is_word(text + n))
        n += 1 + strcspn(text + n + 1, "/");
    return n > 0 && n <= 200 && text[n] == '\0' && text[n - 1] != '/';
}

static int check_publish(struct request *req, const struct pj_repo_publish *p)
{
    for (size_t i = 0; p->allow != NULL && p->allow[i] != NULL; i++)
        if (!is_word_of(p->allow[i], pj_repo_allow_words)) {
            reply_fault(req, "publish.allow",
                        "entry %zu is none of owners, reviews, secrets, workflows", i);
            return -1;
        }
    for (size_t i = 0; p->labels != NULL && p->labels[i] != NULL; i++)
        if (!is_phrase(p->labels[i]) || strlen(p->labels[i]) > 200) {
            reply_fault(req, "publish.labels", "entry %zu is not one line of 1 to 200 bytes", i);
            return -1;
        }
    for (size_t i = 0; p->reviewers != NULL && p->reviewers[i] != NULL; i++)
        if (!is_reviewer(p->reviewers[i])) {
            reply_fault(req, "publish.reviewers", "entry %zu is no login and no organisation/team",
                        i);
            return -1;
        }
    if (p->author_name != NULL && !is_signature_text(p->author_name)) {
        reply_fault(req, "publish.authorName",
                    "has angle brackets, control characters or no letter");
        return -1;
    }
    if (p->author_email != NULL &&
        (!is_signature_text(p->author_email) || strchr(p->author_email, '@') == NULL)) {
        reply_fault(req, "publish.authorEmail", "is no mail address");
        return -1;
    }
    return 0;
}

/* Both become part of a header; a colon ends the user's name there (RFC 7617, section 2). */
static int check_credential(struct request *req, const struct repo_body_credential *c)
{
    if (c->token != NULL && !text_is_one_line(c->token)) {
        reply_fault(req, "credential.token", "has control characters, maybe a line end");
        return -1;
    }
    if (c->username != NULL &&
        (!text_is_one_line(c->username) || strchr(c->username, ':') != NULL)) {
        reply_fault(req, "credential.username", "has a colon or control characters");
        return -1;
    }
    return 0;
}

static int check(struct request *req, const struct repo_body *b)
{
    for (size_t i = 0; b->network_allow != NULL && b->network_allow[i] != NULL; i++)
        if (!is_host_port(b->network_allow[i])) {
            reply_fault(req, "networkAllow", "entry %zu is not host or host:port", i);
            return -1;
        }
    if (b->rootfs != NULL && !is_plain_name(b->rootfs)) {
        reply_fault(req, "rootfs", "is the name of a folder under rootfs/");
        return -1;
    }
    if (b->default_branch != NULL && !pj_branch_name_valid(b->default_branch)) {
        reply_fault(req, "defaultBranch", "is not a name that a branch can have");
        return -1;
    }
    if (b->notify_url != NULL && !text_is_address(b->notify_url)) {
        reply_fault(req, "notifyUrl", "starts with https:// or http://, and has no blanks");
        return -1;
    }
    if (b->agent != NULL && (b->agent[0] == NULL || b->agent[0][0] == '\0')) {
        reply_fault(req, "agent", "has at least a program; null takes it away");
        return -1;
    }
    if ((b->trigger.label != NULL && !is_phrase(b->trigger.label)) ||
        (b->trigger.mention != NULL && !is_phrase(b->trigger.mention))) {
        reply_fault(req, "trigger", "has a word that is blank or more than one line");
        return -1;
    }
    return check_credential(req, &b->credential) < 0 ? -1 : check_publish(req, &b->publish);
}

int repo_body_read(struct request *req, bool edit, struct repo_body *out)
{
    const size_t skip = edit ? 1 : 0;

    if (request_json(req, fields + skip, PJ_COUNT_OF(fields) - skip, out) < 0)
        return -1;
    return check(req, out);
}

void repo_body_release(struct repo_body *body)
{
    if (body->credential.token != NULL)
        pj_wipe(body->credential.token, strlen(body->credential.token));
    pj_json_release(fields, PJ_COUNT_OF(fields), body);
}

static void move_text(bool has, char **from, char **to)
{
    if (!has)
        return;
    free(*to);
    *to = *from;
    *from = NULL;
}

static void move_texts(bool has, char ***from, char ***to)
{
    if (!has)
        return;
    pj_strs_free(*to);
    *to = *from;
    *from = NULL;
}

static void move_word(bool has, int from, int absent, int *to)
{
    if (has)
        *to = from >= 0 ? from : absent;
}

void repo_body_apply(struct repo_body *b, struct pj_repo *repo)
{
    int rabbit = repo->code_rabbit ? 1 : 0;

    move_text(b->has_branch && b->default_branch != NULL, &b->default_branch,
              &repo->default_branch);
    move_text(b->has_rootfs, &b->rootfs, &repo->rootfs);
    move_text(b->has_setup, &b->setup_command, &repo->setup_command);
    move_text(b->has_check, &b->check_command, &repo->check_command);
    move_text(b->has_notify, &b->notify_url, &repo->notify_url);
    move_text(b->has_trigger, &b->trigger.label, &repo->trigger_label);
    move_text(b->has_trigger, &b->trigger.mention, &repo->trigger_mention);
    move_texts(b->has_network, &b->network_allow, &repo->network_allow);
    move_texts(b->has_agent, &b->agent, &repo->agent);
    move_word(b->has_visibility, b->visibility, PJ_REPO_PRIVATE, &repo->visibility);
    move_word(b->has_executor, b->executor, -1, &repo->executor);
    move_word(b->has_on_check, b->on_check_failure, PJ_ON_CHECK_NEEDS_REVIEW,
              &repo->on_check_failure);
    move_word(b->has_code_rabbit, b->code_rabbit, 1, &rabbit);
    repo->code_rabbit = rabbit == 1;
    if (b->has_setup_timeout)
        repo->setup_timeout_ms = b->setup_timeout_ms;
    if (b->has_agent_network)
        repo->agent_network = b->agent_network;
    if (b->has_publish) {
        struct pj_repo_publish old = repo->publish;

        repo->publish = b->publish;
        if (repo->publish.co_author < 0)
            repo->publish.co_author = 1; /* absent */
        b->publish = old;                /* released with the body */
    }
}
