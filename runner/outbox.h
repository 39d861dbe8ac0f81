/* outbox.h - delivering what is owed: mails to owners, notifications to PJ_NOTIFY_URL (`pj-runner outbox`, a process of its own).
 *
 * A child of the daemon, because libcurl and a mail server may block. Any number of runners may deliver: a record is claimed for
 * a minute, and what dies with the deliverer is claimed again. Delivered at least once, under a stable id. */
#ifndef RUNNER_OUTBOX_H
#define RUNNER_OUTBOX_H

#include <stdint.h>
#include "runner/settings.h"

/* Deliver until killed, or until the daemon closed standard input. Returns the exit code. */
int outbox_main(const struct runner_settings *settings);

/* Milliseconds until the next try of a record that was tried `attempts` times, with PJ_RETRY_BASE; -1: three days are over. */
int64_t outbox_retry_ms(int64_t base_ms, int64_t age_ms, int64_t attempts);

#endif
