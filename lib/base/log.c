#include "lib/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

#define LINE_MAX_BYTES 16384

static struct {
    const char *program;
    enum pj_log_level min;
    bool json;
    const struct pj_redact *redact;
} state = {.program = "pj", .min = PJ_LOG_INFO};

static const char *const level_words[] = {"debug", "info", "warn", "error"};

void pj_log_setup(const char *program, enum pj_log_level min, enum pj_log_format format,
                  const struct pj_redact *redact)
{
    state.program = program;
    state.min = min;
    state.json = format == PJ_LOG_JSON || (format == PJ_LOG_AUTO && !isatty(STDERR_FILENO));
    state.redact = redact;
}

bool pj_log_enabled(enum pj_log_level level)
{
    return level >= state.min;
}

const char *pj_i64_str(char *buf, int64_t v)
{
    (void)snprintf(buf, 24, "%lld", (long long)v);
    return buf;
}

/* Control characters never reach a terminal or break a line. */
static void put_quoted(struct pj_str *line, const char *value)
{
    struct pj_str masked, clean;

    pj_str_init(&masked, LINE_MAX_BYTES / 2);
    pj_str_init(&clean, LINE_MAX_BYTES / 2);
    (void)pj_redact_append(state.redact, &masked, pj_view_of(value));
    (void)pj_utf8_append_clean(&clean, pj_view_n(pj_str_cstr(&masked), masked.len));
    (void)pj_str_putc(line, '"');
    for (const char *s = pj_str_cstr(&clean); *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\')
            (void)pj_str_putf(line, "\\%c", c);
        else if (c == '\n')
            (void)pj_str_puts(line, "\\n");
        else if (c < 0x20 || c == 0x7F)
            (void)pj_str_putf(line, "\\u%04x", c);
        else if (c == 0xC2 && ((unsigned char)s[1] & 0xE0) == 0x80) /* C1: U+0080 to U+009F */
            (void)pj_str_putf(line, "\\u%04x", (unsigned char)*++s);
        else
            (void)pj_str_putc(line, (char)c);
    }
    (void)pj_str_putc(line, '"');
    pj_str_release(&masked);
    pj_str_release(&clean);
}

static bool needs_quotes(const char *value)
{
    if (!*value)
        return true;
    for (; *value; value++) {
        unsigned char c = (unsigned char)*value;

        if (c <= ' ' || c == '"' || c == '\\' || c >= 0x7F || c == '=')
            return true;
    }
    return false;
}

static void put_field(struct pj_str *line, const char *key, const char *value)
{
    struct pj_str masked;

    if (state.json) {
        (void)pj_str_putf(line, ",\"%s\":", key);
        put_quoted(line, value);
        return;
    }
    pj_str_init(&masked, LINE_MAX_BYTES / 2);
    (void)pj_redact_append(state.redact, &masked, pj_view_of(value));
    (void)pj_str_putf(line, " %s=", key);
    if (needs_quotes(pj_str_cstr(&masked)))
        put_quoted(line, pj_str_cstr(&masked));
    else
        (void)pj_str_puts(line, pj_str_cstr(&masked));
    pj_str_release(&masked);
}

static void begin(struct pj_str *line, enum pj_log_level level, const char *event)
{
    char when[PJ_RFC3339_SIZE];

    pj_str_init(line, LINE_MAX_BYTES);
    (void)pj_rfc3339(pj_now_ms(), when);
    if (state.json)
        (void)pj_str_putf(line,
                          "{\"ts\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"event\":\"%s\"",
                          when, level_words[level], state.program, event);
    else
        (void)pj_str_putf(line, "%s %-5s %s %s", when, level_words[level], state.program, event);
}

static void end(struct pj_str *line)
{
    static const char cut[] = "\"}";

    if (line->full) {
        /* Keep the line parseable: the value being written is cut and closed. */
        pj_str_shift(line, 0);
        line->len -= sizeof(cut) + 8;
        while (line->len && (line->data[line->len - 1] == '\\' ||
                             (unsigned char)line->data[line->len - 1] >= 0x80))
            line->len--;
        line->full = false;
        (void)pj_str_puts(line, state.json ? cut : "...");
    } else if (state.json) {
        (void)pj_str_putc(line, '}');
    }
    (void)pj_str_putc(line, '\n');
    (void)pj_write_all(STDERR_FILENO, line->data, line->len);
    pj_str_release(line);
}

void pj_log(enum pj_log_level level, const char *event, ...)
{
    struct pj_str line;
    const char *key, *value;
    va_list ap;

    if (!pj_log_enabled(level))
        return;
    begin(&line, level, event);
    va_start(ap, event);
    while ((key = va_arg(ap, const char *))) {
        value = va_arg(ap, const char *);
        if (value)
            put_field(&line, key, value);
    }
    va_end(ap);
    end(&line);
}

void pj_log_err(enum pj_log_level level, const char *event, const struct pj_err *err,
                const char *key, const char *value)
{
    struct pj_str line;

    if (!pj_log_enabled(level))
        return;
    begin(&line, level, event);
    if (key && value)
        put_field(&line, key, value);
    put_field(&line, "code", pj_err_code_of(err));
    put_field(&line, "detail", err->message);
    if (err->remedy[0])
        put_field(&line, "remedy", err->remedy);
    end(&line);
}
