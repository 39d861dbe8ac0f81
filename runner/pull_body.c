/* The text of a pull request. What a stranger wrote (task, summary) is quoted and cannot call people or close issues. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/view.h"
#include "runner/coderabbit.h"
#include "runner/patch_parse.h"
#include "runner/pull.h"

#define SUMMARY_MAX ((size_t)12000)
#define TAIL_MAX ((size_t)40000)
#define CHECKS_SHOWN 30
#define INVISIBLE                                                                                  \
    "\xE2\x80\x8B" /* zero width space: the text reads the same, the forge sees no word */

/* close, closes, closed, fix, … (GitHub, "Linking a pull request to an issue"). Its length at the start of `p`, or 0. */
static size_t closing_word(const char *p, size_t n)
{
    static const char *const words[] = {"close", "closes",  "closed",   "fix",     "fixes",
                                        "fixed", "resolve", "resolves", "resolved"};

    for (size_t i = 0; i < PJ_COUNT_OF(words); i++) {
        size_t w = strlen(words[i]);
        if (n > w && strncasecmp(p, words[i], w) == 0 && !isalnum((unsigned char)p[w]))
            return w;
    }
    return 0;
}

/* Does an issue's name follow: "#1", "owner/name#1", "GH-1", an address? */
static bool names_issue(const char *p, size_t n)
{
    size_t i = 0;

    if (i < n && p[i] == ':')
        i++;
    while (i < n && (p[i] == ' ' || p[i] == '\t'))
        i++;
    p += i;
    n -= i;
    if (n > 3 && strncasecmp(p, "gh-", 3) == 0)
        return true;
    if (n > 8 && strncasecmp(p, "http", 4) == 0)
        return true;
    for (i = 0; i < n && !isspace((unsigned char)p[i]); i++) {
        if (p[i] == '#')
            return true;
    }
    return false;
}

/* Append foreign text, made harmless, every line after the first led by `lead`. */
static void put_foreign(struct pj_str *out, struct pj_view text, const char *lead)
{
    for (size_t i = 0; i < text.n; i++) {
        const char *p = text.p + i;
        size_t left = text.n - i;
        bool word_start = i == 0 || !isalnum((unsigned char)p[-1]);
        size_t word = word_start ? closing_word(p, left) : 0;

        if (*p == '\r')
            continue;
        if (*p == '\n') {
            (void)pj_str_putf(out, "\n%s", lead);
        } else if (*p == '@' && left > 1 && (isalnum((unsigned char)p[1]) || p[1] == '-')) {
            (void)pj_str_puts(out, "@" INVISIBLE);
        } else if (left >= 4 && strncmp(p, "<!--", 4) == 0) {
            (void)pj_str_puts(out, "&lt;");
        } else if (word > 0 && names_issue(p + word, left - word)) {
            (void)pj_str_putf(out, "%c" INVISIBLE, *p);
        } else if ((unsigned char)*p >= ' ' || *p == '\t') {
            (void)pj_str_putc(out, *p);
        }
    }
}

static size_t whole_characters(const char *s, size_t n)
{
    while (n > 0 && ((unsigned char)s[n] & 0xC0) == 0x80)
        n--;
    return n;
}

/* A quotation of at most `room` bytes; a cut is marked. */
static void put_quoted(struct pj_str *out, const char *text, size_t room)
{
    static const char mark[] = "\n>\n> *(cut here: longer than a pull request may be)*";
    struct pj_str clean;
    struct pj_str quoted;

    pj_str_init(&clean, 4 * PULL_BODY_MAX);
    pj_str_init(&quoted, 8 * PULL_BODY_MAX);
    (void)pj_utf8_append_clean(&clean, pj_view_of(text));
    struct pj_view v = pj_view_n(pj_str_cstr(&clean), clean.len);
    while (v.n > 0 && isspace((unsigned char)v.p[v.n - 1]))
        v.n--;
    (void)pj_str_puts(&quoted, "> ");
    put_foreign(&quoted, v, "> ");
    if (quoted.len + 1 <= room) {
        (void)pj_str_append(out, quoted.data, quoted.len);
    } else if (room > sizeof(mark) + 16) {
        (void)pj_str_append(out, quoted.data, whole_characters(quoted.data, room - sizeof(mark)));
        (void)pj_str_puts(out, mark);
    }
    (void)pj_str_putc(out, '\n');
    pj_str_release(&clean);
    pj_str_release(&quoted);
}

/* One cell of a table: no bars, no line ends, bounded. */
static void put_cell(struct pj_str *out, const char *text, bool code)
{
    struct pj_str clean;

    pj_str_init(&clean, 300);
    (void)pj_utf8_append_clean(&clean, pj_view_of(text));
    size_t n = clean.full ? whole_characters(clean.data, clean.len - 4) : clean.len;
    (void)pj_str_puts(out, code ? "`" : "");
    for (size_t i = 0; i < n; i++) {
        char c = clean.data[i];
        if (c == '|')
            (void)pj_str_puts(out, "\\|");
        else if ((unsigned char)c < ' ' || c == '`')
            (void)pj_str_putc(out, ' ');
        else
            (void)pj_str_putc(out, c);
    }
    (void)pj_str_puts(out, clean.full ? "…" : "");
    (void)pj_str_puts(out, code ? "`" : "");
    pj_str_release(&clean);
}

static void put_checks(struct pj_str *out, const struct pull_body_spec *spec)
{
    if (spec->check_count == 0) {
        (void)pj_str_puts(out, "\n### Checks\n\nNone were run.\n");
        return;
    }
    (void)pj_str_puts(out, "\n### Checks\n\n| command | before | after |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < spec->check_count && i < CHECKS_SHOWN; i++) {
        const struct pull_check *check = &spec->checks[i];
        (void)pj_str_puts(out, "| ");
        put_cell(out, check->command, true);
        (void)pj_str_puts(out, " | ");
        put_cell(out, check->before != NULL ? check->before : "not run", false);
        (void)pj_str_puts(out, " | ");
        put_cell(out, check->after != NULL ? check->after : "not run", false);
        (void)pj_str_puts(out, " |\n");
    }
    if (spec->check_count > CHECKS_SHOWN)
        (void)pj_str_putf(out, "\n%zu more are in the task's log.\n",
                          spec->check_count - CHECKS_SHOWN);
}

static void put_row(struct pj_str *out, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    (void)pj_str_putf(out, "| %s | ", name);
    put_cell(out, value, false);
    (void)pj_str_puts(out, " |\n");
}

static void put_number(struct pj_str *out, const char *name, int64_t value)
{
    if (value >= 0)
        (void)pj_str_putf(out, "| %s | %lld |\n", name, (long long)value);
}

static void put_list(struct pj_str *out, const char *title, const char *const *list)
{
    if (list == NULL || list[0] == NULL)
        return;
    (void)pj_str_putf(out, "\n**%s:** ", title);
    for (size_t i = 0; list[i] != NULL && i < 20; i++) {
        (void)pj_str_puts(out, i > 0 ? ", " : "");
        put_cell(out, list[i], true);
    }
    (void)pj_str_putc(out, '\n');
}

static void put_run(struct pj_str *out, const struct pull_body_spec *spec)
{
    char text[200];

    (void)pj_str_puts(out, "\n### Execution\n\n| | |\n| --- | --- |\n");
    if (spec->model != NULL) {
        (void)snprintf(text, sizeof(text), "%s%s%s%s", spec->provider != NULL ? spec->provider : "",
                       spec->provider != NULL ? " / " : "", spec->model,
                       spec->is_replay ? " (recorded answers replayed, no model was asked)" : "");
        put_row(out, "model", text);
    }
    put_number(out, "turns", spec->turns);
    if (spec->prompt_tokens >= 0 && spec->completion_tokens >= 0) {
        (void)snprintf(text, sizeof(text), "%lld prompt (%lld cached), %lld completion",
                       (long long)spec->prompt_tokens,
                       (long long)(spec->cached_tokens > 0 ? spec->cached_tokens : 0),
                       (long long)spec->completion_tokens);
        put_row(out, "tokens", text);
    }
    if (spec->cost_microusd >= 0) {
        (void)snprintf(text, sizeof(text), "$%lld.%04lld",
                       (long long)(spec->cost_microusd / 1000000),
                       (long long)(spec->cost_microusd % 1000000 / 100));
        put_row(out, "cost", text);
    }
    if (spec->duration_ms >= 0) {
        (void)snprintf(text, sizeof(text), "%lld.%lld s", (long long)(spec->duration_ms / 1000),
                       (long long)(spec->duration_ms % 1000 / 100));
        put_row(out, "time", text);
    }
    if (spec->base_sha != NULL) {
        (void)snprintf(text, sizeof(text), "%s at %.12s",
                       spec->base_branch != NULL ? spec->base_branch : "", spec->base_sha);
        put_row(out, "base", text);
    }
    put_row(out, "executor", spec->executor);
    put_row(out, "task", spec->task_url != NULL ? spec->task_url : spec->task_id);
}

/* Everything but the task's own text. */
static void put_tail(struct pj_str *out, const struct pull_body_spec *spec)
{
    char change[PATCH_SUMMARY_SIZE];

    patch_summary(spec->files, spec->added, spec->removed, change);
    (void)pj_str_putf(out, "\n### Changes\n\n%s.\n", change);
    if (spec->summary != NULL && spec->summary[0] != '\0') {
        (void)pj_str_puts(out, "\n");
        put_quoted(out, spec->summary, SUMMARY_MAX);
    }
    put_checks(out, spec);
    put_run(out, spec);
    put_list(out, "Limits hit", spec->limits_hit);
    put_list(out, "Hosts refused", spec->hosts_refused);
    if (spec->coderabbit_added)
        (void)pj_str_puts(out, "\n### CodeRabbit\n\nThis pull request also adds `" CODERABBIT_FILE
                               "`, because the repository had none. "
                               "CodeRabbit reads it from the base branch, so it takes effect once "
                               "this is merged; a review of this pull "
                               "request has been asked for. The repository's setting "
                               "`codeRabbit: \"off\"` turns both off.\n");
    if (spec->fixes != NULL && spec->fixes[0] != '\0')
        (void)pj_str_putf(out, "\nFixes %.40s\n", spec->fixes);
    if (spec->co_author != NULL && strpbrk(spec->co_author, "\r\n") == NULL)
        (void)pj_str_putf(out, "\nCo-authored-by: %.200s\n", spec->co_author);
}

void pull_body(const struct pull_body_spec *spec, struct pj_str *out)
{
    struct pj_str tail;

    pj_str_init(out, PULL_BODY_MAX);
    pj_str_init(&tail, TAIL_MAX);
    put_tail(&tail, spec);
    (void)pj_str_puts(out, "### Task\n\n");
    put_quoted(out,
               spec->task_description != NULL && spec->task_description[0] != '\0'
                   ? spec->task_description
                   : spec->task_title,
               PULL_BODY_MAX - out->len - tail.len - 1);
    (void)pj_str_append(out, pj_str_cstr(&tail), tail.len);
    pj_str_release(&tail);
}
