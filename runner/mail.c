#include "runner/mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "lib/crypto/hmac.h"
#include "lib/embed/embed.h"
#include "lib/json/codec.h"

extern const struct pj_embedded runner_mail_files[];

#define VALUE_MAX ((size_t)16 * 1024)
#define BOUNDARY "=_pj_alternative_7f3a"
#define WORD_BYTES 45 /* of an encoded word, so that it stays below 75 characters (RFC 2047) */
#define LINE_CHARS 76

struct hole {
    const char *name;
    char *value; /* owned; NULL: nothing to show */
};

enum { HOLE_COUNT = 15 };

/* ---- what there is to say ---- */

static char *checks_text(const json_t *checks)
{
    struct pj_str out;
    char *text;
    size_t i;
    const json_t *c;

    if (json_array_size(checks) == 0)
        return NULL;
    pj_str_init(&out, VALUE_MAX);
    json_array_foreach(checks, i, c)
    {
        const char *before = pj_json_str(c, "before", NULL);

        (void)pj_str_putf(&out, "%s%s: %s", i > 0 ? "; " : "", pj_json_str(c, "command", ""),
                          pj_json_str(c, "after", "not run"));
        if (before != NULL)
            (void)pj_str_putf(&out, " (before: %s)", before);
    }
    text = pj_str_take(&out);
    pj_str_release(&out);
    return text;
}

static char *usage_text(const struct pj_task *task)
{
    char cost[32];

    if (task->usage.total_tokens <= 0)
        return NULL;
    if (task->usage.cost_microusd < 0)
        return pj_asprintf("%lld tokens", (long long)task->usage.total_tokens);
    return pj_asprintf("%lld tokens, $%s", (long long)task->usage.total_tokens,
                       pj_money_text(task->usage.cost_microusd, cost));
}

/* What of a patch did not apply: "src/a.c, hunk 2: why; src/b.c: why". */
static char *rejects_text(const json_t *rejects)
{
    struct pj_str out;
    char *text;
    size_t i;
    const json_t *r;

    if (json_array_size(rejects) == 0)
        return NULL;
    pj_str_init(&out, VALUE_MAX);
    json_array_foreach(rejects, i, r)
    {
        (void)pj_str_putf(&out, "%s%s", i > 0 ? "; " : "", pj_json_str(r, "path", ""));
        if (pj_json_i64(r, "hunk", 0) > 0)
            (void)pj_str_putf(&out, ", hunk %lld", (long long)pj_json_i64(r, "hunk", 0));
        (void)pj_str_putf(&out, ": %s", pj_json_str(r, "reason", ""));
    }
    text = pj_str_take(&out);
    pj_str_release(&out);
    return text;
}

static char *upstream_text(const struct pj_task *task)
{
    const struct pj_task_upstream *u = &task->error.upstream;

    if (u->message == NULL)
        return NULL;
    return u->status > 0 ? pj_asprintf("%s (status %lld)", u->message, (long long)u->status)
                         : pj_strdup(u->message);
}

static void fill(const struct mail_facts *facts, struct hole holes[HOLE_COUNT])
{
    const struct pj_task *t = facts->task;
    const struct hole all[HOLE_COUNT] = {
        {"branch", pj_strdup_or_null(t->branch)},
        {"checks", checks_text(t->checks)},
        {"commit", pj_strdup_or_null(t->commit_sha)},
        {"error_detail", pj_strdup_or_null(t->error.detail)},
        {"error_remedy", pj_strdup_or_null(t->error.remedy)},
        {"error_title", pj_strdup_or_null(t->error.title)},
        {"pr_url", pj_strdup_or_null(t->pr_url)},
        {"question", pj_strdup_or_null(t->question)},
        {"rejects", rejects_text(t->rejects)},
        {"repository", pj_strdup_or_null(facts->repository)},
        {"task_id", pj_strdup_or_null(t->id)},
        {"task_url",
         facts->public_url != NULL ? pj_asprintf("%s/tasks/%s", facts->public_url, t->id) : NULL},
        {"title", pj_strdup_or_null(t->title)},
        {"upstream", upstream_text(t)},
        {"usage", usage_text(t)},
    };

    memcpy(holes, all, sizeof(all));
}

static const char *value_of(const struct hole *holes, struct pj_view name)
{
    for (size_t i = 0; i < HOLE_COUNT; i++)
        if (pj_view_is(name, holes[i].name))
            return holes[i].value;
    return NULL;
}

/* ---- templates ---- */

static void put_html(struct pj_str *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            (void)pj_str_puts(out, "&lt;");
            break;
        case '>':
            (void)pj_str_puts(out, "&gt;");
            break;
        case '&':
            (void)pj_str_puts(out, "&amp;");
            break;
        case '"':
            (void)pj_str_puts(out, "&quot;");
            break;
        case '\n':
            (void)pj_str_puts(out, "<br>\n");
            break;
        default:
            (void)pj_str_putc(out, *text);
        }
    }
}

static void put_value(struct pj_str *out, struct pj_view name, const char *value, bool html)
{
    bool link = name.n > 4 && memcmp(name.p + name.n - 4, "_url", 4) == 0;

    if (!html) {
        (void)pj_str_puts(out, value);
        return;
    }
    if (link && strncmp(value, "http", 4) == 0) {
        (void)pj_str_puts(out, "<a href=\"");
        put_html(out, value);
        (void)pj_str_puts(out, "\">");
    }
    put_html(out, value);
    if (link && strncmp(value, "http", 4) == 0)
        (void)pj_str_puts(out, "</a>");
}

/* One line with its holes filled; -1 when one of them has nothing to show. */
static int fill_line(struct pj_view line, const struct hole *holes, bool html, struct pj_str *out)
{
    while (line.n > 0) {
        const char *open = memmem(line.p, line.n, "{{", 2);
        size_t before = open == NULL ? line.n : (size_t)(open - line.p);
        const char *close = open == NULL ? NULL : memmem(open, line.n - before, "}}", 2);
        struct pj_view name;
        const char *value;

        (void)pj_str_append(out, line.p, before);
        if (close == NULL)
            return 0;
        name = pj_view_n(open + 2, (size_t)(close - open) - 2);
        value = value_of(holes, name);
        if (value == NULL || value[0] == '\0')
            return -1;
        put_value(out, name, value, html);
        line = pj_view_n(close + 2, line.n - (size_t)(close + 2 - line.p));
    }
    return 0;
}

static void fill_body(struct pj_view body, const struct hole *holes, bool html, struct pj_str *out)
{
    struct pj_view line;
    struct pj_str one;

    pj_str_init(&one, MAIL_MAX);
    if (html)
        (void)pj_str_puts(
            out, "<!doctype html>\n<html><body style=\"font-family:sans-serif;max-width:40em\">\n");
    while (pj_view_cut(&body, '\n', &line)) {
        pj_str_clear(&one);
        if (fill_line(line, holes, html, &one) < 0)
            continue;
        if (html && one.len > 0)
            (void)pj_str_putf(out, "<p>%s</p>\n", pj_str_cstr(&one));
        else if (!html)
            (void)pj_str_putf(out, "%s\n", pj_str_cstr(&one));
    }
    if (html)
        (void)pj_str_puts(out, "</body></html>\n");
    pj_str_release(&one);
}

/* ---- the message ---- */

static void put_base64_lines(struct pj_str *out, const struct pj_str *text)
{
    struct pj_str code;

    pj_str_init(&code, MAIL_MAX * 2);
    (void)pj_base64_encode(&code, pj_str_cstr(text), text->len);
    for (size_t at = 0; at < code.len; at += LINE_CHARS) {
        size_t n = code.len - at < LINE_CHARS ? code.len - at : LINE_CHARS;

        (void)pj_str_append(out, code.data + at, n);
        (void)pj_str_puts(out, "\r\n");
    }
    pj_str_release(&code);
}

static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            return false;
    return true;
}

/* Cut before the character that would pass `max` bytes. */
static size_t whole_characters(const char *text, size_t n, size_t max)
{
    if (n <= max)
        return n;
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

/* Header text, as encoded words where it is not plain ASCII: no byte of it can end the header. */
static void put_header(struct pj_str *out, const char *name, const char *text)
{
    size_t n = strlen(text);

    (void)pj_str_putf(out, "%s:", name);
    if (is_plain(text) && n < 200) {
        (void)pj_str_putf(out, " %s\r\n", text);
        return;
    }
    for (size_t at = 0; at < n;) {
        size_t take = whole_characters(text + at, n - at, WORD_BYTES);

        (void)pj_str_puts(out, at > 0 ? "\r\n =?UTF-8?B?" : " =?UTF-8?B?");
        (void)pj_base64_encode(out, text + at, take);
        (void)pj_str_puts(out, "?=");
        at += take;
    }
    (void)pj_str_puts(out, "\r\n");
}

static void put_date(struct pj_str *out, int64_t ms)
{
    static const char days[] = "SunMonTueWedThuFriSat",
                      months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    (void)gmtime_r(&seconds, &tm);
    (void)pj_str_putf(out, "Date: %.3s, %d %.3s %d %02d:%02d:%02d +0000\r\n",
                      days + (ptrdiff_t)tm.tm_wday * 3, tm.tm_mday,
                      months + (ptrdiff_t)tm.tm_mon * 3, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                      tm.tm_sec);
}

char *mail_bare_address(const char *text)
{
    const char *open = strrchr(text, '<');
    const char *close = open == NULL ? NULL : strchr(open, '>');

    return close == NULL ? pj_strdup(text) : pj_strndup(open + 1, (size_t)(close - open) - 1);
}

static void put_part(struct pj_str *out, const char *type, const struct pj_str *text)
{
    (void)pj_str_putf(
        out, "--%s\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        BOUNDARY, type);
    put_base64_lines(out, text);
}

static void put_headers(const struct mail_facts *facts, const char *subject, struct pj_str *out)
{
    PJ_CLEANUP(pj_freep) char *from = mail_bare_address(facts->from);
    const char *domain = strchr(from, '@');

    put_header(out, "From", facts->from);
    put_header(out, "To", facts->to);
    put_header(out, "Subject", subject);
    put_date(out, facts->date_ms);
    (void)pj_str_putf(out, "Message-ID: <%s@%s>\r\n", facts->message_id,
                      domain != NULL ? domain + 1 : "localhost");
    (void)pj_str_putf(out,
                      "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: "
                      "multipart/alternative; "
                      "boundary=\"%s\"\r\n\r\n",
                      BOUNDARY);
}

static const struct pj_embedded *find_template(const char *name)
{
    for (const struct pj_embedded *f = runner_mail_files; f->name != NULL; f++) {
        size_t n = strlen(name);

        if (strncmp(f->name, name, n) == 0 && strcmp(f->name + n, ".txt") == 0)
            return f;
    }
    return NULL;
}

int mail_compose(const struct mail_facts *facts, struct pj_str *out, struct pj_err *err)
{
    const struct pj_embedded *file = find_template(facts->template_name);
    struct hole holes[HOLE_COUNT];
    struct pj_view body, first;
    struct pj_str subject, text, html;

    pj_str_init(out, MAIL_MAX * 2);
    if (file == NULL)
        return pj_fail(err, PJ_E_INVALID, "no mail template %s", facts->template_name);
    fill(facts, holes);
    body = pj_view_n((const char *)file->data, file->size);
    (void)pj_view_cut(&body, '\n', &first);
    pj_str_init(&subject, 1024);
    pj_str_init(&text, MAIL_MAX);
    pj_str_init(&html, MAIL_MAX);
    (void)fill_line(first, holes, false, &subject);
    fill_body(body, holes, false, &text);
    fill_body(body, holes, true, &html);
    put_headers(facts, pj_str_cstr(&subject), out);
    put_part(out, "text/plain", &text);
    put_part(out, "text/html", &html);
    (void)pj_str_putf(out, "--%s--\r\n", BOUNDARY);
    pj_str_release(&subject);
    pj_str_release(&text);
    pj_str_release(&html);
    for (size_t i = 0; i < HOLE_COUNT; i++)
        free(holes[i].value);
    return 0;
}
