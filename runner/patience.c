#include "runner/patience.h"

#include <stdio.h>
#include <string.h>

#define REST_FACTOR 10

void patience_name(const char *url, char *out)
{
    const char *host = strstr(url, "://");
    size_t n = host == NULL ? strlen(url) : (size_t)(host + 3 - url) + strcspn(host + 3, "/?#");

    (void)snprintf(out, PATIENCE_NAME_SIZE, "%.*s", (int)n, url);
}

/* Where `name` stands, else the place that is next to be given away. */
static size_t place_of(const struct patience *p, const char *name)
{
    size_t first = 0;

    for (size_t i = 0; i < PATIENCE_MAX; i++) {
        if (p->slow[i].until_ms != 0 && strcmp(p->slow[i].name, name) == 0)
            return i;
        if (p->slow[i].until_ms < p->slow[first].until_ms)
            first = i;
    }
    return first;
}

static bool is_at(const struct patience *p, size_t i, const char *name)
{
    return p->slow[i].until_ms != 0 && strcmp(p->slow[i].name, name) == 0;
}

int64_t patience_rest_ms(const struct patience *p, const char *name, int64_t now_ms)
{
    size_t i = place_of(p, name);

    return is_at(p, i, name) && p->slow[i].until_ms > now_ms ? p->slow[i].until_ms - now_ms : 0;
}

void patience_note(struct patience *p, const char *name, bool taken, int64_t took_ms,
                   int64_t now_ms)
{
    size_t i = place_of(p, name);
    int64_t rest = took_ms * REST_FACTOR;

    if (taken || took_ms < PATIENCE_SLOW_MS) {
        if (is_at(p, i, name))
            p->slow[i].until_ms = 0;
        return;
    }
    (void)snprintf(p->slow[i].name, sizeof(p->slow[i].name), "%s", name);
    p->slow[i].until_ms = now_ms + (rest < PATIENCE_REST_MAX_MS ? rest : PATIENCE_REST_MAX_MS);
}
