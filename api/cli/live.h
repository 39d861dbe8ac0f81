/* live.h - the line at the bottom of a terminal that says what a task is doing: a spinner, the stage, the time, the last message.
 *
 * On standard error, and only when that is a terminal that can (TERM is not "dumb"); otherwise every call does nothing but serve the
 * client. It is drawn from the client's pump, so it moves while calls wait. Ctrl-C detaches: the call under way fails with CANCELLED
 * and says how to come back; where the client has a pump already (pj up), signals are that one's business. */
#ifndef API_CLI_LIVE_H
#define API_CLI_LIVE_H

#include "api/cli/client.h"

#define LIVE_TEXT_MAX 200

struct live {
    struct client *client;
    const char *task;
    const struct pj_pump *inner; /* served first; NULL: none */
    struct pj_pump pump;
    bool shown;  /* there is a terminal to draw on */
    bool drawn;  /* the line is on the screen */
    bool colour; /* of standard error */
    int signal_fd;
    size_t inner_count;
    unsigned frame;
    int64_t started_ms, next_ms;
    char stage[40], text[LIVE_TEXT_MAX];
};

/* From now on the client's waits draw. `task` is borrowed until live_stop(). */
int live_start(struct live *l, const struct cli *cli, struct client *client, const char *task,
               struct pj_err *err) PJ_MUST_CHECK;
/* Take the line away, so that something else can be printed; the next wait draws it again. */
void live_clear(struct live *l);
void live_stage(struct live *l, const char *stage);
void live_say(struct live *l, const char *message);
/* Takes the line away and gives the client its pump back. */
void live_stop(struct live *l);

#endif
