/* compact.c - what is dropped when the history grows: texts of old tool results, oldest first, never the turns themselves.
 * It breaks the providers' prompt caches, so it is rare and halves at once. */
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/agent.h"

#define KEEP_LAST 6 /* messages that stay whole */
#define SHORT_ENOUGH 400

size_t agent_history_bytes(const json_t *messages)
{
    return json_dumpb(messages, NULL, 0, JSON_COMPACT);
}

static size_t shorten(json_t *results)
{
    size_t saved = 0, i;
    json_t *result;

    json_array_foreach(results, i, result)
    {
        size_t n = strlen(pj_json_str(result, "text", ""));
        if (n <= SHORT_ENOUGH)
            continue;
        PJ_CLEANUP(pj_freep)
        char *text = pj_asprintf(
            "[%zu bytes left out to save room; make the call again if you need them]", n);
        json_object_set_new(result, "text", json_string(text));
        saved += n - strlen(text);
    }
    return saved;
}

bool agent_compact(json_t *messages)
{
    size_t n = json_array_size(messages), goal = agent_history_bytes(messages) / 2, saved = 0;

    for (size_t i = 0; i + KEEP_LAST < n && saved < goal; i++)
        saved += shorten(json_object_get(json_array_get(messages, i), "results"));
    return saved > 0;
}
