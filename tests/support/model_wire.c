/* Writing an answer in each of the three wire forms. */
#include "tests/support/model_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/json/codec.h"

#define PIECE                                                                                      \
    24 /* bytes of text or arguments a streamed delta carries, so that every test sees fragments */

static int prompt_tokens(const struct model_answer *a)
{
    return a->prompt_tokens ? a->prompt_tokens : 1000;
}

static int completion_tokens(const struct model_answer *a)
{
    return a->completion_tokens ? a->completion_tokens : 100;
}

static size_t call_count(const struct model_answer *a)
{
    size_t n = 0;

    while (n < MODEL_CALLS_MAX && a->calls[n].name)
        n++;
    return n;
}

static void send_json(struct stand_in_exchange *x, int status, json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT);

    stand_in_reply_text(x, status, "application/json", text);
    free(text);
    json_decref(doc);
}

/* One SSE event; `name` may be NULL (chat has unnamed events). Takes the document. */
static void send_event(struct stand_in_exchange *x, const char *name, json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT);
    char *frame = NULL;

    if (asprintf(&frame, "%s%s%sdata: %s\n\n", name ? "event: " : "", name ? name : "",
                 name ? "\n" : "", text) < 0)
        abort();
    stand_in_stream_piece(x, frame);
    free(frame);
    free(text);
    json_decref(doc);
}

/* End of the first whole UTF-8 sequence at or after `PIECE` bytes. */
static size_t piece_len(const char *s)
{
    size_t n = strlen(s);

    if (n <= PIECE)
        return n;
    n = PIECE;
    while (((unsigned char)s[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* ---- errors ---- */

void model_wire_error(enum model_wire wire, struct stand_in_exchange *x, int status,
                      const char *code, const char *param, const char *message)
{
    if (wire == MODEL_MESSAGES)
        send_json(x, status,
                  json_pack("{s:s, s:{s:s, s:s}, s:s}", "type", "error", "error", "type",
                            code ? code : "api_error", "message", message, "request_id",
                            "req_stand_in"));
    else
        send_json(x, status,
                  json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", message, "type",
                            status >= 500 ? "server_error" : "invalid_request_error", "param",
                            param, "code", code));
}

/* ---- OpenAI Chat Completions ---- */

static json_t *chat_usage(const struct model_answer *a)
{
    return json_pack("{s:i, s:i, s:i, s:{s:i}}", "prompt_tokens", prompt_tokens(a),
                     "completion_tokens", completion_tokens(a), "total_tokens",
                     prompt_tokens(a) + completion_tokens(a), "prompt_tokens_details",
                     "cached_tokens", a->cached_tokens);
}

static const char *chat_stop(const struct model_answer *a)
{
    if (a->stop)
        return a->stop;
    return call_count(a) > 0 ? "tool_calls" : "stop";
}

static json_t *chat_call(const struct model_answer *a, size_t i, unsigned serial, bool with_args)
{
    char id[40];

    snprintf(id, sizeof id, "call_%u_%zu", a->counts_anew ? 0 : serial, i);
    return json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", id, "type", "function", "function", "name",
                     a->calls[i].name, "arguments", with_args ? a->calls[i].arguments : "");
}

static void chat_plain(struct stand_in_exchange *x, const char *model, const struct model_answer *a,
                       unsigned serial)
{
    json_t *calls = json_array();
    char id[40];

    snprintf(id, sizeof id, "chatcmpl-%u", serial);
    for (size_t i = 0; i < call_count(a); i++)
        json_array_append_new(calls, chat_call(a, i, serial, true));
    json_t *message = json_pack("{s:s, s:s?, s:s*}", "role", "assistant", "content", a->text,
                                "reasoning_content", a->thought);
    if (json_array_size(calls) > 0)
        json_object_set(message, "tool_calls", calls);
    json_decref(calls);
    send_json(x, 200,
              json_pack("{s:s, s:s, s:i, s:s, s:[{s:i, s:o, s:s}], s:o}", "id", id, "object",
                        "chat.completion", "created", 1760000000, "model", model, "choices",
                        "index", 0, "message", message, "finish_reason", chat_stop(a), "usage",
                        chat_usage(a)));
}

/* Takes `delta`. */
static void chat_chunk(struct stand_in_exchange *x, const char *model, json_t *delta,
                       const char *finish)
{
    send_event(x, NULL,
               json_pack("{s:s, s:s, s:i, s:s, s:[{s:i, s:o, s:s?}]}", "id", "chatcmpl-s", "object",
                         "chat.completion.chunk", "created", 1760000000, "model", model, "choices",
                         "index", 0, "delta", delta, "finish_reason", finish));
}

static void chat_stream(struct stand_in_exchange *x, const json_t *request, const char *model,
                        const struct model_answer *a, unsigned serial)
{
    const json_t *options = json_object_get(request, "stream_options");

    stand_in_stream_begin(x, 200, "text/event-stream");
    chat_chunk(x, model,
               json_pack("{s:s, s:s, s:s*}", "role", "assistant", "content", "",
                         "reasoning_content", a->thought),
               NULL);
    for (const char *t = a->text ? a->text : ""; *t; t += piece_len(t))
        chat_chunk(x, model, json_pack("{s:s%}", "content", t, piece_len(t)), NULL);
    if (a->trouble == MODEL_CUT_STREAM) {
        stand_in_cut(x);
        return;
    }
    for (size_t i = 0; i < call_count(a); i++) {
        json_t *call = chat_call(a, i, serial, false);

        json_object_set_new(call, "index", json_integer((json_int_t)i));
        chat_chunk(x, model, json_pack("{s:[o]}", "tool_calls", call), NULL);
        for (const char *t = a->calls[i].arguments; *t; t += piece_len(t))
            chat_chunk(x, model,
                       json_pack("{s:[{s:i, s:{s:s%}}]}", "tool_calls", "index", (int)i, "function",
                                 "arguments", t, piece_len(t)),
                       NULL);
    }
    chat_chunk(x, model, json_object(), chat_stop(a));
    if (pj_json_bool(options, "include_usage", false))
        send_event(x, NULL,
                   json_pack("{s:s, s:s, s:i, s:s, s:[], s:o}", "id", "chatcmpl-s", "object",
                             "chat.completion.chunk", "created", 1760000000, "model", model,
                             "choices", "usage", chat_usage(a)));
    stand_in_stream_piece(x, "data: [DONE]\n\n");
    stand_in_stream_end(x);
}

/* ---- Anthropic Messages ---- */

static json_t *messages_usage(const struct model_answer *a, int output)
{
    return json_pack("{s:i, s:i, s:i, s:i}", "input_tokens", prompt_tokens(a) - a->cached_tokens,
                     "cache_read_input_tokens", a->cached_tokens, "cache_creation_input_tokens", 0,
                     "output_tokens", output);
}

static const char *messages_stop(const struct model_answer *a)
{
    if (a->stop)
        return a->stop;
    return call_count(a) > 0 ? "tool_use" : "end_turn";
}

/* `input` NULL: an empty object, as at the start of a streamed block. */
static json_t *messages_call(const struct model_answer *a, size_t i, unsigned serial,
                             const char *input)
{
    char id[40];
    json_t *args = input ? json_loads(input, JSON_DECODE_ANY, NULL) : json_object();

    snprintf(id, sizeof id, "toolu_%u_%zu", serial, i);
    return json_pack("{s:s, s:s, s:s, s:o}", "type", "tool_use", "id", id, "name", a->calls[i].name,
                     "input", args ? args : json_object());
}

static json_t *messages_message(const char *model, json_t *content, const char *stop, json_t *usage)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s?, s:n, s:o}", "id", "msg_stand_in", "type",
                     "message", "role", "assistant", "model", model, "content", content,
                     "stop_reason", stop, "stop_sequence", "usage", usage);
}

static void messages_plain(struct stand_in_exchange *x, const char *model,
                           const struct model_answer *a, unsigned serial)
{
    json_t *content = json_array();

    if (a->text)
        json_array_append_new(content, json_pack("{s:s, s:s}", "type", "text", "text", a->text));
    for (size_t i = 0; i < call_count(a); i++)
        json_array_append_new(content, messages_call(a, i, serial, a->calls[i].arguments));
    send_json(x, 200,
              messages_message(model, content, messages_stop(a),
                               messages_usage(a, completion_tokens(a))));
}

static void messages_delta(struct stand_in_exchange *x, size_t index, const char *type,
                           const char *field, const char *text)
{
    send_event(x, "content_block_delta",
               json_pack("{s:s, s:i, s:{s:s, s:s%}}", "type", "content_block_delta", "index",
                         (int)index, "delta", "type", type, field, text, piece_len(text)));
}

/* Takes `block`. */
static void messages_block(struct stand_in_exchange *x, size_t index, json_t *block,
                           const char *type, const char *field, const char *text)
{
    send_event(x, "content_block_start",
               json_pack("{s:s, s:i, s:o}", "type", "content_block_start", "index", (int)index,
                         "content_block", block));
    for (const char *t = text; *t; t += piece_len(t))
        messages_delta(x, index, type, field, t);
    send_event(x, "content_block_stop",
               json_pack("{s:s, s:i}", "type", "content_block_stop", "index", (int)index));
}

static void messages_stream(struct stand_in_exchange *x, const char *model,
                            const struct model_answer *a, unsigned serial)
{
    size_t index = 0;

    stand_in_stream_begin(x, 200, "text/event-stream");
    send_event(x, "message_start",
               json_pack("{s:s, s:o}", "type", "message_start", "message",
                         messages_message(model, json_array(), NULL, messages_usage(a, 1))));
    stand_in_stream_piece(x, "event: ping\ndata: {\"type\": \"ping\"}\n\n");
    if (a->text)
        messages_block(x, index++, json_pack("{s:s, s:s}", "type", "text", "text", ""),
                       "text_delta", "text", a->text);
    if (a->trouble == MODEL_CUT_STREAM) {
        stand_in_cut(x);
        return;
    }
    for (size_t i = 0; i < call_count(a); i++)
        messages_block(x, index++, messages_call(a, i, serial, NULL), "input_json_delta",
                       "partial_json", a->calls[i].arguments);
    send_event(x, "message_delta",
               json_pack("{s:s, s:{s:s, s:n}, s:{s:i}}", "type", "message_delta", "delta",
                         "stop_reason", messages_stop(a), "stop_sequence", "usage", "output_tokens",
                         completion_tokens(a)));
    send_event(x, "message_stop", json_pack("{s:s}", "type", "message_stop"));
    stand_in_stream_end(x);
}

/* ---- OpenAI Responses ---- */

static json_t *responses_text_item(const struct model_answer *a)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:[{s:s, s:s, s:[]}]}", "type", "message", "id",
                     "msg_stand_in", "role", "assistant", "status", "completed", "content", "type",
                     "output_text", "text", a->text, "annotations");
}

static json_t *responses_call_item(const struct model_answer *a, size_t i, unsigned serial,
                                   const char *arguments)
{
    char id[40], call_id[40];

    snprintf(id, sizeof id, "fc_%u_%zu", serial, i);
    snprintf(call_id, sizeof call_id, "call_%u_%zu", serial, i);
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "function_call", "id", id, "call_id",
                     call_id, "name", a->calls[i].name, "arguments", arguments);
}

static json_t *responses_document(const char *model, const struct model_answer *a, unsigned serial,
                                  bool done)
{
    json_t *output = json_array();
    json_t *usage = json_null();

    if (done) {
        if (a->text)
            json_array_append_new(output, responses_text_item(a));
        for (size_t i = 0; i < call_count(a); i++)
            json_array_append_new(output, responses_call_item(a, i, serial, a->calls[i].arguments));
        usage =
            json_pack("{s:i, s:{s:i}, s:i, s:{s:i}, s:i}", "input_tokens", prompt_tokens(a),
                      "input_tokens_details", "cached_tokens", a->cached_tokens, "output_tokens",
                      completion_tokens(a), "output_tokens_details", "reasoning_tokens", 0,
                      "total_tokens", prompt_tokens(a) + completion_tokens(a));
    }
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:n, s:n, s:o, s:o}", "id", "resp_stand_in",
                     "object", "response", "created_at", 1760000000, "status",
                     done ? "completed" : "in_progress", "model", model, "error",
                     "incomplete_details", "output", output, "usage", usage);
}

/* Numbers the event and takes `doc`. */
static void responses_event(struct stand_in_exchange *x, int *number, const char *name, json_t *doc)
{
    json_object_set_new(doc, "type", json_string(name));
    json_object_set_new(doc, "sequence_number", json_integer((*number)++));
    send_event(x, name, doc);
}

static void responses_stream(struct stand_in_exchange *x, const char *model,
                             const struct model_answer *a, unsigned serial)
{
    int n = 0, index = 0;

    stand_in_stream_begin(x, 200, "text/event-stream");
    responses_event(x, &n, "response.created",
                    json_pack("{s:o}", "response", responses_document(model, a, serial, false)));
    if (a->text) {
        for (const char *t = a->text; *t; t += piece_len(t))
            responses_event(x, &n, "response.output_text.delta",
                            json_pack("{s:s, s:i, s:i, s:s%}", "item_id", "msg_stand_in",
                                      "output_index", index, "content_index", 0, "delta", t,
                                      piece_len(t)));
        responses_event(
            x, &n, "response.output_item.done",
            json_pack("{s:i, s:o}", "output_index", index, "item", responses_text_item(a)));
        index++;
    }
    if (a->trouble == MODEL_CUT_STREAM) {
        stand_in_cut(x);
        return;
    }
    for (size_t i = 0; i < call_count(a); i++, index++) {
        const char *args = a->calls[i].arguments;

        responses_event(x, &n, "response.output_item.added",
                        json_pack("{s:i, s:o}", "output_index", index, "item",
                                  responses_call_item(a, i, serial, "")));
        for (const char *t = args; *t; t += piece_len(t))
            responses_event(
                x, &n, "response.function_call_arguments.delta",
                json_pack("{s:i, s:s%}", "output_index", index, "delta", t, piece_len(t)));
        responses_event(x, &n, "response.output_item.done",
                        json_pack("{s:i, s:o}", "output_index", index, "item",
                                  responses_call_item(a, i, serial, args)));
    }
    responses_event(x, &n, "response.completed",
                    json_pack("{s:o}", "response", responses_document(model, a, serial, true)));
    stand_in_stream_end(x);
}

void model_wire_answer(enum model_wire wire, struct stand_in_exchange *x, const json_t *request,
                       const struct model_answer *a, unsigned serial)
{
    const char *model = pj_json_str(request, "model", "stand-in");
    bool stream = pj_json_bool(request, "stream", false);

    switch (wire) {
    case MODEL_CHAT:
        if (stream)
            chat_stream(x, request, model, a, serial);
        else
            chat_plain(x, model, a, serial);
        break;
    case MODEL_MESSAGES:
        if (stream)
            messages_stream(x, model, a, serial);
        else
            messages_plain(x, model, a, serial);
        break;
    case MODEL_RESPONSES:
        if (stream)
            responses_stream(x, model, a, serial);
        else
            send_json(x, 200, responses_document(model, a, serial, true));
        break;
    case MODEL_WIRE_UNKNOWN:
        stand_in_reply_text(x, 404, "text/plain", "no such path\n");
        break;
    }
}
