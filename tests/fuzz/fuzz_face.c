/* A request of another agent, as it comes out of the box: the first byte picks the format. What is taken must be a history that all
 * providers take, and what is written for it must be JSON again. */
#include <stdint.h>
#include <stdlib.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/model/face.h"
#include "lib/model/history.h"
#include "runner/gateway/foreign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool good)
{
    if (!good)
        abort();
}

static void answer(enum pj_model_api api, const struct pj_asked *asked)
{
    const json_t *last = json_array_get(asked->messages, 0);
    struct pj_str out;
    struct pj_answer a = {
        .api = api, .id = "0", .model = "m", .created_s = 1, .asked = asked, .out = &out};
    struct pj_model_turn turn = {.text = pj_strdup(pj_json_str(last, "text", "")),
                                 .calls = json_array()};
    json_t *whole;

    for (size_t i = 0; i < json_array_size(asked->messages); i++)
        (void)json_array_extend(turn.calls,
                                json_object_get(json_array_get(asked->messages, i), "calls"));
    pj_str_init(&out, (size_t)64 << 20);
    pj_answer_end(&a, &turn);
    expect(out.len > 0 && !out.full);
    whole = pj_answer_whole(&a, &turn);
    expect(json_is_object(whole));
    json_decref(whole);
    pj_str_release(&out);
    pj_model_turn_release(&turn);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum pj_model_api api = n > 0 ? (enum pj_model_api)(data[0] % 3) : PJ_API_CHAT;
    struct pj_view text = pj_view_n((const char *)data + (n > 0), n > 0 ? n - 1 : 0);
    struct pj_asked asked;
    struct pj_err err;
    json_t *body = NULL;
    size_t dropped;

    if (pj_json_parse(text, &body, &err) < 0)
        return 0;
    if (json_is_object(body)) {
        if (pj_asked_read(api, body, &asked, &err) == 0) {
            expect(asked.system != NULL && pj_messages_check(asked.messages, &err) == 0);
            answer(api, &asked);
        }
        pj_asked_release(&asked);
        foreign_sift(api, body, &dropped);
        expect(!json_object_get(body, "background") && !json_object_get(body, "n"));
    }
    json_decref(body);
    return 0;
}
