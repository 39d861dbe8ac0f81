/* sources.c - from the names of the settings to a provider that can be asked. */
#include "runner/gateway/inner.h"

#include <string.h>
#include "lib/base/clock.h"

/* clang-format off */
static const struct {
    const char *provider, *base_url, *key_name, *base_name;
    enum pj_model_api api;
} known[] = {
    {"anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", PJ_API_MESSAGES},
    {"openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "OPENAI_BASE_URL", PJ_API_CHAT},
};
/* clang-format on */

static bool is_known(const char *provider)
{
    for (size_t i = 0; i < PJ_COUNT_OF(known); i++)
        if (strcmp(known[i].provider, provider) == 0)
            return true;
    return false;
}

static int open_real(const struct gateway_provider *from, struct gateway_source *out,
                     struct pj_err *err)
{
    for (size_t i = 0; i < PJ_COUNT_OF(known); i++) {
        if (strcmp(known[i].provider, from->provider) != 0)
            continue;
        const char *base = from->base_url && *from->base_url ? from->base_url : known[i].base_url;
        if (strncmp(base, "https://", 8) != 0 && strncmp(base, "http://", 7) != 0)
            return pj_fail(err, PJ_E_INVALID, "%s is no http(s) address", known[i].base_name);
        out->target = (struct pj_model_target){
            .api = known[i].api,
            .provider = known[i].provider,
            .model = out->model,
            .base_url = base,
            .api_key = from->api_key && *from->api_key ? from->api_key : NULL,
            .key_name = known[i].key_name};
        if (!out->target.api_key && !(from->base_url && *from->base_url)) {
            pj_fail(err, PJ_E_INVALID, "provider %s needs a key: %s is not set", from->provider,
                    known[i].key_name);
            return pj_err_code(err, "llm_auth");
        }
        return known[i].api == PJ_API_CHAT
                   ? pj_model_openai_api(from->api, base, &out->target.api, err)
                   : 0;
    }
    return pj_fail(err, PJ_E_INTERNAL, "provider %s has no row", from->provider);
}

int gateway_source_open(const struct gateway_config *config, const struct gateway_provider *from,
                        struct gateway_source *out, struct pj_err *err)
{
    bool replay = strcmp(from->provider, "replay") == 0;

    if (!replay && !is_known(from->provider))
        return pj_fail(err, PJ_E_INVALID,
                       "MODEL_PROVIDER is \"%s\", not openai, anthropic or replay", from->provider);
    out->provider = from->provider;
    out->model = from->model && *from->model
                     ? from->model
                     : pj_prices_default_model(config->prices, from->provider);
    if (replay) {
        if (!out->model)
            out->model = "replay";
        if (!from->replay_file)
            return pj_fail(err, PJ_E_INVALID, "provider replay needs PJ_REPLAY_FILE");
        if (pj_replay_load(from->replay_file, &out->replay, err) < 0)
            return -1;
    } else if (!out->model) {
        return pj_fail(err, PJ_E_INVALID,
                       "MODEL_NAME is not set and the price table names no model of %s",
                       from->provider);
    } else if (open_real(from, out, err) < 0) {
        return -1;
    }
    if (config->limits.cost_microusd >= 0 &&
        !pj_prices_find(config->prices, out->provider, out->model, pj_now_ms(), 0)) {
        pj_fail(err, PJ_E_INVALID, "the task has a money limit, but model %s of %s has no price",
                out->model, out->provider);
        pj_err_remedy(err, "add a row for it to the table of PJ_PRICES, or take the limit away");
        return pj_err_code(err, "model_unpriced");
    }
    out->set = true;
    return 0;
}

void gateway_source_release(struct gateway_source *source)
{
    pj_replay_free(source->replay);
    memset(source, 0, sizeof *source);
}
