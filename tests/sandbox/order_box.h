/* order_box.h - the caller's side of pj-sandbox --standby (sandbox/order.h). */
#ifndef TESTS_SANDBOX_ORDER_BOX_H
#define TESTS_SANDBOX_ORDER_BOX_H

#include <stdbool.h>
#include <stddef.h>

/* True when it says that it stands, false when it ends instead, or says nothing for `ms`. */
bool order_await_ready(int socket, int ms);
/* `letters` name the descriptors, one each (one more than may be, too); `words` end with NULL. False when it cannot be sent. */
bool order_send(int socket, const char *letters, const int *fds, const char *const *words);

#endif
