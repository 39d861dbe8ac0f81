/* notify.h - tell whoever started this program how it is doing (systemd's sd_notify protocol, without its library).
 *
 * systemd, `pj up` and the tests set NOTIFY_SOCKET to a datagram socket: a path, or "@name" in the abstract name space.
 * Source: man sd_notify(3). Without the variable every call does nothing: telling is a courtesy and never fails.
 *
 *   pj_notify("READY=1\nSTATUS=listening on %s", address);    serving
 *   pj_notify("STOPPING=1\nSTATUS=draining %d tasks", n);     on the way out
 */
#ifndef PJ_BASE_NOTIFY_H
#define PJ_BASE_NOTIFY_H

#include "lib/base/cleanup.h"

/* Lines NAME=value, joined by newlines; at most 1000 bytes. */
void pj_notify(const char *fmt, ...) PJ_PRINTF(1, 2);

#endif
