/* patience.h - receivers that keep us waiting and then do not take what they are sent.
 *
 * Deliveries are made one after the other: one receiver that never answers would hold up everybody else's. So whoever failed after
 * SLOW_MS or more is left alone for ten times as long as that took (at most PATIENCE_REST_MAX_MS): about a tenth of our time is the
 * most that one of them gets. A delivery that succeeds, or fails at once, ends that. Few are remembered; the one whose rest ends
 * first gives way. */
#ifndef RUNNER_PATIENCE_H
#define RUNNER_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_SLOW_MS 1000
#define PATIENCE_REST_MAX_MS 300000
#define PATIENCE_MAX 32
#define PATIENCE_NAME_SIZE 300

/* All zero: nobody is known. */
struct patience {
    struct {
        char name[PATIENCE_NAME_SIZE];
        int64_t until_ms; /* 0: free */
    } slow[PATIENCE_MAX];
};

/* Who is behind an address: its scheme, host and port. `out` has PATIENCE_NAME_SIZE bytes; what is longer is cut. */
void patience_name(const char *url, char *out);
/* How long `name` is still to be left alone, in milliseconds; 0: not at all. */
int64_t patience_rest_ms(const struct patience *p, const char *name, int64_t now_ms);
/* `name` was tried; that took `took_ms` and ended at `now_ms`. */
void patience_note(struct patience *p, const char *name, bool taken, int64_t took_ms,
                   int64_t now_ms);

#endif
