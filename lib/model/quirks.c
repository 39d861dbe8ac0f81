#include "lib/model/quirks.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"

#define ENTRIES_MAX 16
#define OUTPUT_MIN 256

struct entry {
    char *base_url, *model;
    struct pj_quirk quirk;
};

struct pj_quirks {
    struct entry entry[ENTRIES_MAX];
    size_t count;
};

struct pj_quirks *pj_quirks_new(void)
{
    return pj_alloc(1, sizeof(struct pj_quirks));
}

void pj_quirks_free(struct pj_quirks *quirks)
{
    if (!quirks)
        return;
    for (size_t i = 0; i < quirks->count; i++) {
        free(quirks->entry[i].base_url);
        free(quirks->entry[i].model);
    }
    free(quirks);
}

struct pj_quirk *pj_quirks_of(struct pj_quirks *quirks, const struct pj_model_target *target)
{
    struct entry *e;

    for (size_t i = 0; i < quirks->count; i++) {
        e = &quirks->entry[i];
        if (strcmp(e->base_url, target->base_url) == 0 && strcmp(e->model, target->model) == 0)
            return &e->quirk;
    }
    if (quirks->count == ENTRIES_MAX) { /* forget the oldest: it will be learned again */
        free(quirks->entry[0].base_url);
        free(quirks->entry[0].model);
        memmove(quirks->entry, quirks->entry + 1, (ENTRIES_MAX - 1) * sizeof *quirks->entry);
        quirks->count--;
    }
    e = &quirks->entry[quirks->count++];
    memset(e, 0, sizeof *e);
    e->base_url = pj_strdup(target->base_url);
    e->model = pj_strdup(target->model);
    /* OpenAI deprecated max_tokens; its reasoning models refuse it. Compatible servers often know nothing else. */
    e->quirk.completion_tokens = strstr(target->base_url, "://api.openai.com") != NULL;
    return &e->quirk;
}

/* The largest number in the message below what was asked: "16384 > 8192, which is the maximum", "supports at most 4096". */
static int64_t cap_in(const char *message, int64_t asked)
{
    int64_t best = 0;

    for (const char *p = message; *p;) {
        int64_t n = 0;
        int digits = 0;

        if (!isdigit((unsigned char)*p)) {
            p++;
            continue;
        }
        for (; isdigit((unsigned char)*p); p++, digits++)
            if (digits < 12)
                n = n * 10 + (*p - '0');
        if (n >= OUTPUT_MIN && n < asked && n > best)
            best = n;
    }
    return best;
}

static bool learn_output(struct pj_quirk *quirk, const char *message, int64_t asked)
{
    int64_t cap = cap_in(message, asked);

    if (cap == 0)
        cap = asked / 2;
    if (cap < OUTPUT_MIN || cap >= asked)
        return false;
    quirk->max_output = cap;
    return true;
}

bool pj_quirk_learn(struct pj_quirk *quirk, const char *param, const char *code,
                    const char *message, int64_t asked_output)
{
    /* clang-format off */
    const struct {
        const char *word;
        bool *flag;
    } rows[] = {
        {"temperature", &quirk->no_temperature},
        {"stream_options", &quirk->no_stream_options},
        {"include_usage", &quirk->no_stream_options},
        {"encrypted_content", &quirk->no_include},
        {"Encrypted content", &quirk->no_include},
    };
    /* clang-format on */
    bool unsupported = code && (strcmp(code, "unsupported_parameter") == 0 ||
                                strcmp(code, "unsupported_value") == 0);

    message = message ? message : "";
    param = param ? param : "";
    if (strstr(message, "max_completion_tokens") && strstr(message, "instead") &&
        !quirk->completion_tokens)
        return quirk->completion_tokens = true;
    if (strcmp(param, "max_tokens") == 0 && unsupported && !quirk->completion_tokens)
        return quirk->completion_tokens = true;
    if (strstr(message, "max_completion_tokens") && quirk->completion_tokens &&
        (unsupported || strstr(message, "nrecognized") || strstr(message, "xtra"))) {
        quirk->completion_tokens = false; /* an old server that knows only max_tokens */
        return true;
    }
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        if ((strstr(param, rows[i].word) || strstr(message, rows[i].word)) && !*rows[i].flag)
            return *rows[i].flag = true;
    }
    if (strncmp(param, "include", 7) == 0 && !quirk->no_include)
        return quirk->no_include = true;
    if (strstr(message, "max_tokens") || strstr(message, "max_output_tokens") ||
        strstr(message, "completion tokens") || strstr(message, "max_completion_tokens"))
        return learn_output(quirk, message, asked_output);
    return false;
}
