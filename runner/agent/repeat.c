#include <string.h>
#include "runner/agent/agent.h"

static uint64_t mix(uint64_t h, const char *text)
{
    do
        h = (h ^ (unsigned char)*text) * 1099511628211u; /* FNV-1a, the NUL included */
    while (*text++);
    return h;
}

int agent_repeat_count(struct agent_repeat *r, const char *name, const char *arguments,
                       const char *result)
{
    uint64_t key = mix(mix(mix(14695981039346656037u, name), arguments), result);

    for (unsigned i = 0; i < AGENT_REPEAT_SLOTS; i++)
        if (r->slot[i].key == key && r->slot[i].count > 0)
            return ++r->slot[i].count;
    r->slot[r->next % AGENT_REPEAT_SLOTS].key = key;
    r->slot[r->next % AGENT_REPEAT_SLOTS].count = 1;
    r->next++;
    return 1;
}
