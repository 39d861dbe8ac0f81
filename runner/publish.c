#include "runner/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "runner/retry.h"
#include "runner/workspace_impl.h"

#define SUBJECT_MAX 250
#define TITLE_MAX ((size_t)64 << 10)

void publish_branch_name(const char *task_id, char out[PJ_BRANCH_SIZE])
{
    (void)snprintf(out, PJ_BRANCH_SIZE, "pj/%s", task_id);
}

int publish_add_file(struct workspace *ws, const char *path, struct pj_view content,
                     char tree_sha[PJ_SHA_SIZE], struct pj_err *err)
{
    PJ_CLEANUP(pj_tree_edit_freep) struct pj_tree_edit *edit = NULL;
    char sha[PJ_SHA_SIZE];

    if (pj_tree_edit_new(ws->repo, tree_sha, &edit, err) < 0 ||
        pj_git_blob_write(ws->repo, content, sha, err) < 0 ||
        pj_tree_edit_put(edit, path, PJ_MODE_FILE, sha, err) < 0)
        return pj_err_wrap(err, "add %s", path);
    return pj_tree_edit_write(edit, tree_sha, err);
}

/* Bytes of `n` that end on a character's boundary. */
static size_t whole_characters(const char *s, size_t n)
{
    while (n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80)
        n--;
    return n;
}

void publish_subject(const char *title, struct pj_str *out)
{
    static const char cut[] = "\xE2\x80\xA6";
    PJ_CLEANUP(pj_str_release) struct pj_str clean;
    PJ_CLEANUP(pj_str_release) struct pj_str line;
    bool blank = false;

    pj_str_init(&clean, TITLE_MAX);
    pj_str_init(&line, TITLE_MAX);
    (void)pj_utf8_append_clean(&clean, pj_view_of(title));
    (void)pj_str_puts(&line, "Pithy Jaunt:");
    blank = true;
    for (const char *p = pj_str_cstr(&clean); *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c <= ' ' || c == 0x7f) {
            blank = true;
            continue;
        }
        if (blank)
            (void)pj_str_putc(&line, ' ');
        blank = false;
        (void)pj_str_putc(&line, *p);
    }
    size_t n = line.len;
    if (n > SUBJECT_MAX)
        n = whole_characters(line.data, SUBJECT_MAX - (sizeof(cut) - 1));
    pj_str_clear(out);
    (void)pj_str_append(out, line.data, n);
    if (n < line.len)
        (void)pj_str_puts(out, cut);
}

void publish_co_author(const char *login, const char *email, const char *forge_host,
                       struct pj_str *out)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+-/=?^_`{|}~";
    size_t name = email != NULL ? strspn(email, allowed) : 0;

    pj_str_clear(out);
    /* docs.github.com, "Setting your commit email address": commits by it are linked to the account. */
    if (login != NULL && login[0] != '\0' && forge_host != NULL &&
        strcmp(forge_host, "github.com") == 0 && login[strspn(login, allowed)] == '\0')
        (void)pj_str_putf(out, "%s <%s@users.noreply.github.com>", login, login);
    else if (name > 0 && email[name] == '@' && email[name + 1] != '\0' &&
             email[name + 1 + strspn(email + name + 1, allowed)] == '\0')
        (void)pj_str_putf(out, "%.*s <%s>", (int)name, email, email);
}

int publish_commit(struct workspace *ws, const struct publish_commit_spec *spec,
                   const char *tree_sha, char commit_sha[PJ_SHA_SIZE], struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str message;

    pj_str_init(&message, 4096);
    publish_subject(spec->title, &message);
    (void)pj_str_putf(&message, "\n\nTask: %s\n", spec->task_id);
    if (spec->co_author != NULL && strpbrk(spec->co_author, "\r\n") == NULL)
        (void)pj_str_putf(&message, "Co-authored-by: %s\n", spec->co_author);
    struct pj_commit_spec commit = {
        .tree = tree_sha,
        .parent = ws->base_sha,
        .name = spec->author_name,
        .email = spec->author_email,
        .date_ms = spec->date_ms,
        .message = pj_str_cstr(&message),
    };
    return pj_git_commit(ws->repo, &commit, commit_sha, err);
}

/* The word of CONTRACT.md section 9 for a push that failed. */
static int code_of_push(const struct publish_push_spec *spec, struct pj_err *err)
{
    if (spec->url[0] == '/' && err->cls == PJ_E_FORBIDDEN)
        return pj_err_code(err, "repository_unavailable");
    if (err->code[0] != '\0' && strcmp(err->code, "repository_not_found") != 0 &&
        strcmp(err->code, "host_unreachable") != 0)
        return -1;
    switch (err->cls) {
    case PJ_E_CONFLICT:
        return pj_err_code(err, "push_conflict");
    case PJ_E_AUTH:
        (void)pj_err_remedy(
            err, "the credential was refused: give the repository one that is valid and may push");
        return pj_err_code(err, "github_auth");
    case PJ_E_FORBIDDEN:
        if (err->remedy[0] == '\0')
            (void)pj_err_remedy(err, "the credential needs the right to write contents (and "
                                     "workflows, where they changed)");
        return pj_err_code(err, "github_permission");
    case PJ_E_NOT_FOUND:
        return pj_err_code(err, "repository_unavailable");
    case PJ_E_RATE:
        return pj_err_code(err, "github_rate_limited");
    case PJ_E_UNAVAILABLE:
    case PJ_E_TIMEOUT:
    case PJ_E_PROTOCOL:
        return pj_err_code(err, "github_service");
    default:
        return -1;
    }
}

int publish_push(struct workspace *ws, const struct publish_push_spec *spec,
                 struct publish_push_result *out, struct pj_err *err)
{
    struct retry retry = {.base_ms = spec->retry_base_ms, .pump = spec->net.pump};
    PJ_CLEANUP(pj_freep)
    char *ours = pj_asprintf("%s %s", ws->further_round ? ws->base_sha : "",
                             spec->recorded_tips != NULL ? spec->recorded_tips : "");
    struct pj_push_spec push = {
        .url = spec->url, .branch = out->branch, .commit = spec->commit_sha, .may_replace = ours};
    enum pj_push_end end = PJ_PUSHED;

    memset(out, 0, sizeof(*out));
    publish_branch_name(spec->task_id, out->branch);
    for (;;) {
        /* A push that was cut after the remote had taken it is found there by the next one. */
        if (pj_git_push(ws->repo, &push, &spec->net, &end, err) == 0)
            break;
        int again = retry_transient(&retry, err);
        if (again < 0)
            return -1;
        if (again == 0)
            return code_of_push(spec, err);
    }
    out->already_there = end == PJ_PUSH_WAS_THERE;
    return 0;
}
