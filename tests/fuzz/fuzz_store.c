/* Text that reaches the store's parsers from clients, settings and channels; the first byte chooses the parser. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/conn.h"
#include "lib/store/events.h"
#include "lib/store/status.h"
#include "lib/store/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_url(const char *text)
{
    struct pj_redis_options options = {.url = text};
    struct pj_redis_target target;
    struct pj_err err;

    if (pj_redis_target_parse(&options, &target, &err) < 0)
        return;
    free(pj_redis_target_text(&target));
    pj_redis_target_release(&target);
}

static void try_event_id(struct pj_view text)
{
    char id[PJ_EVENT_ID_SIZE];
    int64_t attempt, n, attempt2, n2;
    struct pj_err err;

    (void)!pj_event_line_id(text, &attempt, &n);
    if (pj_event_id_parse(text, &attempt, &n, &err) < 0)
        return;
    if (pj_event_id_parse(pj_view_of(pj_event_id(attempt, n, id)), &attempt2, &n2, &err) < 0 ||
        attempt2 != attempt || n2 != n)
        abort();
}

/* Any bytes as a message: the entry is one line of JSON whose id can be read back. */
static void try_event(struct pj_view text)
{
    struct pj_event event = {.attempt = 1, .n = 2, .message = text};
    struct pj_str out;
    int64_t attempt, n;
    struct pj_err err;
    json_t *doc;

    pj_str_init(&out, PJ_EVENT_ENTRY_MAX);
    if (pj_event_encode(&event, &out) < 0 || memchr(out.data, '\n', out.len) ||
        pj_event_line_id(pj_view_n(out.data, out.len), &attempt, &n) < 0 || attempt != 1 ||
        n != 2 || pj_json_parse(pj_view_n(out.data, out.len), &doc, &err) < 0)
        abort();
    json_decref(doc);
    pj_str_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = pj_strndup(size > 1 ? (const char *)data + 1 : "", size > 1 ? size - 1 : 0);
    struct pj_view view = size > 1 ? pj_view_n((const char *)data + 1, size - 1) : pj_view_of("");
    static struct pj_status_event status[PJ_STATUS_LINES];
    size_t count;
    struct pj_message message;
    struct pj_err err;

    switch (size ? data[0] % 5 : 0) {
    case 0:
        try_url(text);
        break;
    case 1:
        try_event_id(view);
        break;
    case 2:
        (void)!pj_message_parse(view, &message, &err);
        break;
    case 3:
        (void)!pj_status_message_parse(view, status, &count, &err);
        (void)pj_token_is_plausible(text);
        break;
    default:
        try_event(view);
    }
    free(text);
    return 0;
}
