#include "lib/task/event.h"

#include <stdio.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/json/codec.h"

/* No log has so many entries; a script of Redis still counts and writes it exactly (Lua: 14 digits). */
#define NUMBER_MAX 1000000000000

const char *const pj_event_stream_words[] = {"system", "agent", "stdout", "stderr", NULL};
const char *const pj_event_type_words[] = {"info",  "warn",  "error",      "llm_request", "tool",
                                           "patch", "check", "pr_created", "status",      NULL};

static const char *const fixed[] = {"id", "attempt", "n", "ts", "stream", "type", "message", NULL};
static const char cut_mark[] = " [cut]";

static bool is_fixed(const char *name)
{
    for (int i = 0; fixed[i]; i++) {
        if (strcmp(fixed[i], name) == 0)
            return true;
    }
    return false;
}

/* At most PJ_EVENT_MESSAGE_MAX bytes, ending where a character does. */
static struct pj_view head_of(struct pj_view message)
{
    size_t n = PJ_EVENT_MESSAGE_MAX;

    if (message.n <= n)
        return message;
    for (int back = 0; back < 3 && ((unsigned char)message.p[n] & 0xc0) == 0x80; back++)
        n--;
    return pj_view_n(message.p, n);
}

static int put_message(const struct pj_event *event, struct pj_str *out)
{
    struct pj_view head = head_of(event->message);
    struct pj_str text;
    int rc;

    if (head.n == event->message.n)
        return pj_json_quote(out, head);
    pj_str_init(&text, PJ_EVENT_MESSAGE_MAX + sizeof(cut_mark));
    (void)pj_str_append(&text, head.p, head.n);
    (void)pj_str_puts(&text, cut_mark);
    rc = pj_json_quote(out, pj_view_n(pj_str_cstr(&text), text.len));
    pj_str_release(&text);
    return rc;
}

int pj_event_encode(const struct pj_event *event, struct pj_str *out)
{
    char when[PJ_RFC3339_SIZE], id[PJ_EVENT_ID_SIZE];
    const char *name;
    json_t *value;

    (void)pj_str_putf(out,
                      "{\"id\":\"%s\",\"attempt\":%lld,\"n\":%lld,\"ts\":\"%s\",\"stream\":\"%s\","
                      "\"type\":\"%s\",\"message\":",
                      pj_event_id(event->attempt, event->n, id), (long long)event->attempt,
                      (long long)event->n, pj_rfc3339(event->ts_ms, when),
                      pj_event_stream_words[event->stream], pj_event_type_words[event->type]);
    (void)put_message(event, out);
    json_object_foreach((json_t *)(uintptr_t)event->data, name, value)
    {
        if (is_fixed(name))
            continue;
        (void)pj_str_putc(out, ',');
        (void)pj_json_quote(out, pj_view_of(name));
        (void)pj_str_putc(out, ':');
        if (pj_json_dump(value, out) < 0)
            return -1;
    }
    (void)pj_str_putc(out, '}');
    return out->full ? -1 : 0;
}

const char *pj_event_id(int64_t attempt, int64_t n, char out[PJ_EVENT_ID_SIZE])
{
    (void)snprintf(out, PJ_EVENT_ID_SIZE, "%lld-%lld", (long long)attempt, (long long)n);
    return out;
}

int pj_event_id_parse(struct pj_view id, int64_t *attempt, int64_t *n, struct pj_err *err)
{
    struct pj_view rest = id, head;

    if (id.n == 0 || pj_view_is(id, "0")) {
        *attempt = *n = 0;
        return 0;
    }
    if (pj_view_cut(&rest, '-', &head) && pj_parse_i64(head, attempt) == 0 &&
        pj_parse_i64(rest, n) == 0 && *attempt >= 0 && *n >= 0 && *attempt < INT32_MAX &&
        *n <= NUMBER_MAX)
        return 0;
    (void)pj_fail(err, PJ_E_INVALID, "\"%.*s\" is no log id: it has the form <attempt>-<n>",
                  id.n > 60 ? 60 : (int)id.n, id.p);
    return pj_err_code(err, "invalid_event_id");
}

int pj_event_line_id(struct pj_view line, int64_t *attempt, int64_t *n)
{
    static const char start[] = "{\"id\":\"";
    struct pj_view rest, id;
    struct pj_err err;

    if (!pj_view_starts(line, start))
        return -1;
    rest = pj_view_n(line.p + sizeof(start) - 1, line.n - (sizeof(start) - 1));
    if (!pj_view_cut(&rest, '"', &id) || id.n < 3)
        return -1;
    return pj_event_id_parse(id, attempt, n, &err);
}
