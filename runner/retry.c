#include "runner/retry.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/http/backoff.h"

int retry_wait(struct retry *retry, int64_t at_least_ms, struct pj_err *err)
{
    struct pj_err pump_err;

    if (retry->done >= RETRY_MAX)
        return 0;
    int64_t wait = pj_backoff_ms(retry->base_ms > 0 ? retry->base_ms : 1000, retry->done + 1);
    if (wait < at_least_ms)
        wait = at_least_ms;
    if (retry->deadline_ms > 0 && pj_mono_ms() + wait > retry->deadline_ms)
        return 0;
    retry->done++;
    if (retry->on_retry != NULL)
        retry->on_retry(retry->on_retry_ctx, retry->done, wait, err);
    if (pj_http_pause(wait, retry->pump, &pump_err) < 0) {
        *err = pump_err;
        return -1;
    }
    return 1;
}

int retry_forge(struct retry *retry, int64_t retry_after_ms, struct pj_err *err)
{
    bool limited = strcmp(err->code, "github_rate_limited") == 0;
    bool away = strcmp(err->code, "github_service") == 0 ||
                (strncmp(err->code, "http_", 5) == 0 &&
                 (err->cls == PJ_E_UNAVAILABLE || err->cls == PJ_E_TIMEOUT));

    if (!limited && !away)
        return 0;
    /* GitHub, "Best practices": without a header, wait at least a minute after a secondary limit. */
    if (limited && retry_after_ms < 0)
        retry_after_ms = 60 * (retry->base_ms > 0 ? retry->base_ms : 1000);
    return retry_wait(retry, retry_after_ms > 0 ? retry_after_ms : 0, err);
}

int retry_transient(struct retry *retry, struct pj_err *err)
{
    switch (err->cls) {
    case PJ_E_UNAVAILABLE:
    case PJ_E_TIMEOUT:
    case PJ_E_RATE:
    case PJ_E_PROTOCOL:
        break;
    default:
        return 0;
    }
    /* A code that is not ours came from the pump (the task's own timeout, say): it ends the call. */
    if (err->code[0] != '\0' && strcmp(err->code, "host_unreachable") != 0)
        return 0;
    return retry_wait(retry, 0, err);
}
