#include "lib/store/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/view.h"
#include "lib/embed/embed.h"
#include "lib/store/sha1.h"

extern const struct pj_embedded pj_lua_files[];

#define SCRIPTS_MAX 96
#define TEXT_MAX (256 * 1024)

/* Scripts that must not be sent twice when an answer got lost: the second would be refused or count again. All others answer
 * a repetition like the first time. Sorted. */
static const char *const once_only[] = {
    "audit_add",    "idem_begin",   "lease_release", "lease_take",   "log_note",     "outbox_claim",
    "repo_delete",  "task_create",  "task_delete",   "task_execute", "task_publish", "task_requeue",
    "token_create", "token_revoke", "user_delete",   "user_put",     NULL,
};

/* Words that scripts answer with, and what they mean to a caller. Sorted. */
static const struct pj_refusal refusals[] = {
    {"email_exists", PJ_E_CONFLICT, "another user has this e-mail address", NULL},
    {"github_login_exists", PJ_E_CONFLICT, "another user has this GitHub login", NULL},
    {"last_admin", PJ_E_CONFLICT, "this is the last administrator",
     "Make another user an administrator first."},
    {"last_admin_token", PJ_E_CONFLICT, "without this token nobody could administer any more",
     "Make another token of an administrator first, with the scopes `*` or `admin:write`."},
    {"log_full", PJ_E_LIMIT, "the task's log has grown too long, nothing was stored", NULL},
    {"logs_expired", PJ_E_NOT_FOUND, "the logs of this task are older than the retention period",
     NULL},
    {"changed", PJ_E_CONFLICT, "it was changed meanwhile",
     "Read it again, then repeat the change."},
    {"hole", PJ_E_CONFLICT, "a part before this one is missing, or there are too many", NULL},
    {"no_analysis", PJ_E_NOT_FOUND, "the repository has no analysis", NULL},
    {"no_patch", PJ_E_NOT_FOUND, "the task has no patch", NULL},
    {"no_patch_kept", PJ_E_CONFLICT, "the task has no patch to publish", NULL},
    {"not_cancellable", PJ_E_CONFLICT, "the task has ended", NULL},
    {"not_found", PJ_E_NOT_FOUND, "not found", NULL},
    {"not_publishable", PJ_E_CONFLICT,
     "only a task that needs review can be published; its status is", NULL},
    {"not_queued", PJ_E_CONFLICT, "the task is not queued; its status is", NULL},
    {"not_retryable", PJ_E_CONFLICT, "the task cannot be retried; its status is", NULL},
    {"not_running", PJ_E_CONFLICT, "the task is not running; its status is", NULL},
    {"not_waiting_for_answer", PJ_E_CONFLICT, "the task has no open question; its status is", NULL},
    {"repository_exists", PJ_E_CONFLICT, "this repository is connected already", NULL},
    {"stale_attempt", PJ_E_CONFLICT, "another attempt is the current one", NULL},
    {"stale_lease", PJ_E_CONFLICT, "the task is no longer held under this lease", NULL},
    {"still_running", PJ_E_CONFLICT, "the task is running", "Cancel it first."},
    {"token_expired", PJ_E_AUTH, "the token has expired", "Make a new one."},
    {"unauthenticated", PJ_E_AUTH, "the token is not known", NULL},
    {"users_exist", PJ_E_CONFLICT, "there are users already", NULL},
};

const struct pj_refusal *pj_refusal_find(struct pj_view word)
{
    for (size_t i = 0; i < PJ_COUNT_OF(refusals); i++) {
        if (pj_view_is(word, refusals[i].word))
            return &refusals[i];
    }
    return NULL;
}

static const struct pj_embedded *file_named(const char *name)
{
    for (const struct pj_embedded *f = pj_lua_files; f->name; f++) {
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

static bool is_repeatable(const char *name)
{
    for (const char *const *p = once_only; *p; p++) {
        if (strcmp(*p, name) == 0)
            return false;
    }
    return true;
}

/* Comments and indentation stay here: Redis keeps the text of each script, and reports lines of it. */
static void append_code(struct pj_str *out, struct pj_view text)
{
    struct pj_view line;

    while (pj_view_cut(&text, '\n', &line)) {
        line = pj_view_trim(line);
        if (line.n == 0 || pj_view_starts(line, "--"))
            continue;
        (void)pj_str_append(out, line.p, line.n);
        (void)pj_str_putc(out, '\n');
    }
}

static void append_file(struct pj_str *out, struct pj_view name)
{
    char file[64];
    const struct pj_embedded *f;

    (void)snprintf(file, sizeof(file), "%.*s", (int)name.n, name.p);
    f = file_named(file);
    if (!f)
        abort(); /* a script includes what is not there */
    append_code(out, pj_view_n((const char *)f->data, f->size));
}

/* "#! line", prelude, the parts named by "-- include <file>" lines, the script. */
static void build(struct pj_script *script, const struct pj_embedded *file)
{
    struct pj_view rest = pj_view_n((const char *)file->data, file->size), line;
    struct pj_str text;

    pj_str_init(&text, TEXT_MAX);
    if (pj_view_starts(rest, "#!") && pj_view_cut(&rest, '\n', &line)) {
        (void)pj_str_append(&text, line.p, line.n);
        (void)pj_str_putc(&text, '\n');
    }
    append_file(&text, pj_view_of("prelude.lua"));
    while (pj_view_cut(&rest, '\n', &line)) {
        if (pj_view_starts(line, "-- include "))
            append_file(&text, pj_view_n(line.p + 11, line.n - 11));
        else
            append_code(&text, line);
    }
    script->text_len = text.len;
    script->text = pj_str_take(&text);
    pj_sha1_hex(script->text, script->text_len, script->sha1);
}

/* "task_get.1.lua": name and number of keys. */
static bool name_of(const char *file, char *name, size_t size, int *keys)
{
    struct pj_view rest = pj_view_of(file), head, digits;
    int64_t n;

    if (!pj_view_cut(&rest, '.', &head) || !pj_view_cut(&rest, '.', &digits) ||
        pj_parse_i64(digits, &n) < 0 || head.n >= size)
        return false;
    (void)snprintf(name, size, "%.*s", (int)head.n, head.p);
    *keys = (int)n;
    return true;
}

/* A name in the table that no script has would let one be sent twice. */
static void check_table(void)
{
    char found[64];
    int keys;

    for (const char *const *p = once_only; *p; p++) {
        const struct pj_embedded *f = pj_lua_files;

        while (f->name &&
               (!name_of(f->name, found, sizeof(found), &keys) || strcmp(found, *p) != 0))
            f++;
        if (!f->name) {
            (void)fprintf(stderr, "no Redis script named %s\n", *p);
            abort();
        }
    }
}

const struct pj_script *pj_script_find(const char *name)
{
    /* Built once and kept for the process's life: constant in effect. */
    static struct pj_script scripts[SCRIPTS_MAX];
    static size_t count;
    char found[64];
    int keys;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(scripts[i].name, name) == 0)
            return &scripts[i];
    }
    if (count == 0)
        check_table();
    for (const struct pj_embedded *f = pj_lua_files; f->name; f++) {
        if (!name_of(f->name, found, sizeof(found), &keys) || strcmp(found, name) != 0 ||
            count == SCRIPTS_MAX)
            continue;
        scripts[count] = (struct pj_script){
            .name = pj_strdup(name), .keys = keys, .repeatable = is_repeatable(name)};
        build(&scripts[count], f);
        return &scripts[count++];
    }
    (void)fprintf(stderr, "no Redis script named %s\n", name);
    abort();
}
