/* frame.h - messages between the agent in the box and the gateway outside: a length of 4 bytes (big endian), then that many
 * bytes of JSON. The forms of the messages stand in lib/wire/README.md.
 *
 * Both ends judge the other: a frame longer than PJ_FRAME_MAX, or an empty one, is PROTOCOL. */
#ifndef PJ_WIRE_FRAME_H
#define PJ_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/base/err.h"
#include "lib/base/pump.h"
#include "lib/base/str.h"
#include "lib/base/view.h"

#define PJ_FRAME_MAX ((size_t)16 << 20)

/* Append one frame to `out`. LIMIT when `payload` is longer than PJ_FRAME_MAX. */
int pj_frame_encode(struct pj_str *out, struct pj_view payload, struct pj_err *err) PJ_MUST_CHECK;
/* Look for one frame at the start of `in`: 0 with *payload (borrowed from `in`) and *used, PJ_NONE when more bytes are
 * needed, PROTOCOL when the bytes are no frame. */
int pj_frame_decode(struct pj_view in, struct pj_view *payload, size_t *used,
                    struct pj_err *err) PJ_MUST_CHECK;

/* A connection that carries frames. The descriptor is owned and made non-blocking. */
struct pj_link {
    int fd; /* -1: closed */
    struct pj_str in;
    size_t used; /* bytes of `in` that the last received frame took */
};

void pj_link_init(struct pj_link *link, int fd);
void pj_link_release(struct pj_link *link);
/* Send one frame, waiting at most `timeout_ms` (-1: for ever). UNAVAILABLE when the peer is gone. `pump` may be NULL. */
int pj_link_send(struct pj_link *link, struct pj_view payload, int64_t timeout_ms,
                 const struct pj_pump *pump, struct pj_err *err) PJ_MUST_CHECK;
/* Receive one frame; *payload is valid until the next call. PJ_NONE when the peer closed between frames. */
int pj_link_recv(struct pj_link *link, struct pj_view *payload, int64_t timeout_ms,
                 const struct pj_pump *pump, struct pj_err *err) PJ_MUST_CHECK;

/* Wait until `fd` (-1: none) is ready for `events`, serving the pump. 0 ready, PJ_NONE when `timeout_ms` passed (-1: for ever),
 * or the pump's error. */
int pj_wire_wait(int fd, short events, int64_t timeout_ms, const struct pj_pump *pump,
                 struct pj_err *err) PJ_MUST_CHECK;

#endif
