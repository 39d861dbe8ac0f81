#include "lib/model/intake.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define DOCUMENT_MAX ((size_t)32 << 20)
#define EVENT_MAX ((size_t)8 << 20)

const struct pj_adapter *pj_adapter_of(enum pj_model_api api)
{
    /* clang-format off */
    static const struct pj_adapter *const adapters[] = {
        [PJ_API_CHAT] = &pj_adapter_chat,
        [PJ_API_RESPONSES] = &pj_adapter_responses,
        [PJ_API_MESSAGES] = &pj_adapter_messages,
    };
    /* clang-format on */
    return adapters[api];
}

static int on_event(void *ctx, const char *event, struct pj_view data, struct pj_err *err)
{
    struct pj_intake *in = ctx;
    struct pj_err bad;
    json_t *doc = NULL;
    int rc;

    if (pj_view_is(pj_view_trim(data), "[DONE]")) {
        in->builder.done = true;
        return 0;
    }
    if (pj_json_parse(data, &doc, &bad) < 0) {
        in->nonsense = true;
        return 0;
    }
    rc = json_is_object(doc) ? in->adapter->event(&in->builder, event, doc, err) : 0;
    json_decref(doc);
    return rc;
}

void pj_intake_init(struct pj_intake *in, const struct pj_adapter *adapter)
{
    memset(in, 0, sizeof *in);
    in->adapter = adapter;
    pj_builder_init(&in->builder);
    pj_sse_reader_init(&in->sse, EVENT_MAX, on_event, in);
    pj_str_init(&in->document, DOCUMENT_MAX);
}

void pj_intake_release(struct pj_intake *in)
{
    pj_builder_release(&in->builder);
    pj_sse_reader_release(&in->sse);
    pj_str_release(&in->document);
}

int pj_intake_feed(void *ctx, const char *bytes, size_t n, struct pj_err *err)
{
    struct pj_intake *in = ctx;
    int rc = 0;

    in->received += n;
    for (size_t i = 0; in->kind == PJ_INTAKE_UNKNOWN && i < n; i++)
        if (!strchr(" \t\r\n", bytes[i])) /* no line of an event stream starts with a brace */
            in->kind = bytes[i] == '{' || bytes[i] == '[' ? PJ_INTAKE_DOCUMENT : PJ_INTAKE_EVENTS;
    if (in->kind == PJ_INTAKE_DOCUMENT && pj_str_append(&in->document, bytes, n) < 0)
        rc = pj_fail(err, PJ_E_LIMIT, "the answer has more than %zu bytes", in->document.max);
    else if (in->kind == PJ_INTAKE_EVENTS)
        rc = pj_sse_reader_feed(&in->sse, bytes, n, err);
    in->broken |= rc < 0;
    return rc;
}

int pj_intake_close(struct pj_intake *in, struct pj_err *err)
{
    struct pj_model_error_doc words;
    json_t *doc = NULL;
    int rc;

    if (in->kind != PJ_INTAKE_DOCUMENT)
        return 0;
    if (pj_json_parse(pj_view_n(in->document.data, in->document.len), &doc, err) < 0)
        return -1;
    if (json_object_get(doc, "error") && !json_is_null(json_object_get(doc, "error")) &&
        pj_model_error_read(doc, &words)) {
        in->builder.error = doc;
        return 0;
    }
    rc = in->adapter->whole(&in->builder, doc, err);
    json_decref(doc);
    return rc;
}

struct pj_usage pj_intake_usage(const struct pj_intake *in, size_t sent)
{
    struct pj_usage usage = in->builder.usage;
    size_t out = in->builder.text.len + in->builder.thinking.len;

    if (in->builder.has_usage || in->received == 0)
        return usage;
    for (size_t i = 0; i < in->builder.calls; i++)
        out += in->builder.call[i].args.len;
    if (pj_usage_prompt(&usage) == 0)
        usage.uncached = pj_model_estimate_tokens(sent);
    if (usage.output == 0 && out > 0)
        usage.output = pj_model_estimate_tokens(out);
    usage.estimated = true;
    return usage;
}

/* ---- listening in on somebody else's call ---- */

struct pj_model_tap {
    struct pj_intake in;
    bool broken; /* it made no sense; what was read so far counts */
};

struct pj_model_tap *pj_model_tap_new(enum pj_model_api api)
{
    struct pj_model_tap *tap = pj_alloc(1, sizeof *tap);

    pj_intake_init(&tap->in, pj_adapter_of(api));
    return tap;
}

void pj_model_tap_free(struct pj_model_tap *tap)
{
    if (!tap)
        return;
    pj_intake_release(&tap->in);
    free(tap);
}

void pj_model_tap_feed(struct pj_model_tap *tap, const char *bytes, size_t n)
{
    struct pj_err ignored;

    if (!tap->broken && pj_intake_feed(&tap->in, bytes, n, &ignored) < 0)
        tap->broken = true;
}

struct pj_usage pj_model_tap_usage(struct pj_model_tap *tap, size_t sent)
{
    struct pj_err ignored;

    if (!tap->broken && pj_intake_close(&tap->in, &ignored) < 0)
        tap->broken = true;
    return pj_intake_usage(&tap->in, sent);
}
