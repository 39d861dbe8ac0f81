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
