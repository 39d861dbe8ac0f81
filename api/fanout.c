#include "api/fanout.h"

#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/hub.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/status.h"

#define BUCKETS 1024
#define LINGER_MS 30000 /* a hub outlives its last viewer: he may be reconnecting */

TAILQ_HEAD(watch_list, status_watch);

struct fanout {
    struct api *api;
    struct pj_sub *sub;
    struct event *tick;
    struct hub *bucket[BUCKETS];
    struct watch_list watches;
    size_t watch_count, hub_count;
};

struct api *fanout_api(const struct fanout *fanout)
{
    return fanout->api;
}

/* FNV-1a. */
static size_t bucket_of(const char *channel)
{
    uint32_t h = 2166136261u;

    for (; *channel != '\0'; channel++)
        h = (h ^ (unsigned char)*channel) * 16777619u;
    return h % BUCKETS;
}

static struct hub *find(struct fanout *fanout, const char *channel)
{
    struct hub *hub = fanout->bucket[bucket_of(channel)];

    while (hub != NULL && strcmp(hub->channel, channel) != 0)
        hub = hub->chain;
    return hub;
}

static void tell_watches(struct fanout *fanout, struct pj_view payload)
{
    struct status_watch *w, *next;

    for (w = TAILQ_FIRST(&fanout->watches); w != NULL; w = next) {
        next = TAILQ_NEXT(w, link);
        w->message(w->arg, payload);
    }
}

/* Who watches one of these tasks hears of its change; before the hub is confirmed, its viewers read the store anyway. */
static void tell_hubs(struct fanout *fanout, struct pj_view payload)
{
    struct pj_status_event *items = pj_alloc(PJ_STATUS_LINES, sizeof *items);
    char channel[PJ_KEY_SIZE];
    struct pj_err err;
    size_t count = 0;

    if (pj_status_message_parse(payload, items, &count, &err) < 0)
        pj_log_err(PJ_LOG_WARN, "status_message_damaged", &err, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        struct hub *hub = find(fanout, pj_key_task_channel(channel, items[i].task_id));

        if (hub == NULL || !hub->confirmed)
            continue;
        PJ_CLEANUP(pj_freep)
        char *text =
            pj_asprintf("S %.*s %lld %lld\n%s", (int)items[i].status.n, items[i].status.p,
                        (long long)items[i].attempt, (long long)items[i].logged_n, items[i].json);
        hub_message(hub, pj_view_of(text));
    }
    free(items);
}

static void on_message(void *arg, const char *channel, struct pj_view payload)
{
    struct fanout *fanout = arg;
    struct hub *hub = find(fanout, channel);

    if (hub != NULL) {
        hub_message(hub, payload);
        return;
    }
    if (fanout->hub_count > 0)
        tell_hubs(fanout, payload);
    if (fanout->watch_count > 0)
        tell_watches(fanout, payload);
}

static void on_lost(void *arg)
{
    (void)arg;
    pj_log(PJ_LOG_WARN, "subscriber_lost", NULL);
}

static void read_again(struct fanout *fanout)
{
    struct status_watch *w, *next;

    for (w = TAILQ_FIRST(&fanout->watches); w != NULL; w = next) {
        next = TAILQ_NEXT(w, link);
        w->lost(w->arg);
    }
}

static void on_status_confirmed(void *arg)
{
    read_again(arg);
}

static void on_back(void *arg)
{
    struct fanout *fanout = arg;

    pj_log(PJ_LOG_INFO, "subscriber_back", NULL);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct hub *hub = fanout->bucket[i]; hub != NULL; hub = hub->chain)
            hub_fill(hub);
    read_again(fanout);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct fanout *fanout = arg;
    int64_t now = pj_mono_ms();

    (void)fd;
    (void)what;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct hub **slot = &fanout->bucket[i]; *slot != NULL;) {
            struct hub *hub = *slot;
            if (hub->member_count > 0 || now - hub->left_ms < LINGER_MS) {
                slot = &hub->chain;
                continue;
            }
            *slot = hub->chain;
            pj_sub_remove(fanout->sub, hub->channel);
            fanout->hub_count--;
            hub_free(hub);
        }
}

int fanout_new(struct api *api, struct fanout **out, struct pj_err *err)
{
    static const struct pj_sub_events events = {on_message, on_lost, on_back};
    const struct pj_redis_options options =
        pj_redis_options_of(&api->settings.redis, api->settings.ca_file, "pj-api-sub");
    struct fanout *fanout = pj_alloc(1, sizeof *fanout);
    struct timeval tick = {5, 0};

    fanout->api = api;
    TAILQ_INIT(&fanout->watches);
    if (pj_sub_new(api->base, &options, &events, fanout, &fanout->sub, err) < 0) {
        free(fanout);
        return -1;
    }
    char channel[PJ_KEY_SIZE];
    for (unsigned k = 0; k < api->partitions; k++)
        pj_sub_add(fanout->sub, pj_key_status_channel(channel, k), on_status_confirmed, fanout);
    fanout->tick = event_new(api->base, -1, EV_PERSIST, on_tick, fanout);
    event_add(fanout->tick, &tick);
    *out = fanout;
    return 0;
}

void fanout_free(struct fanout *fanout)
{
    if (fanout == NULL)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        while (fanout->bucket[i] != NULL) {
            struct hub *hub = fanout->bucket[i];
            fanout->bucket[i] = hub->chain;
            hub_free(hub);
        }
    pj_sub_free(fanout->sub);
    event_free(fanout->tick);
    free(fanout);
}

static void on_confirmed(void *arg)
{
    struct hub *hub = arg;
    struct hub_member *m, *next;

    hub->confirmed = true;
    for (m = TAILQ_FIRST(&hub->members); m != NULL; m = next) {
        next = TAILQ_NEXT(m, link);
        if (m->state == MEMBER_NONE)
            m->confirmed(m->arg);
    }
}

struct hub *hub_enter(struct fanout *fanout, const char *task_id, struct hub_member *member)
{
    char channel[PJ_KEY_SIZE];

    pj_key_task_channel(channel, task_id);
    struct hub *hub = find(fanout, channel);
    bool fresh = hub == NULL;
    if (fresh) {
        size_t i = bucket_of(channel);
        hub = hub_new(fanout, task_id);
        hub->chain = fanout->bucket[i];
        fanout->bucket[i] = hub;
        fanout->hub_count++;
    }
    member->state = MEMBER_NONE;
    TAILQ_INSERT_TAIL(&hub->members, member, link);
    hub->member_count++;
    if (fresh)
        pj_sub_add(fanout->sub, hub->channel, on_confirmed, hub);
    return hub;
}

void hub_leave(struct hub *hub, struct hub_member *member)
{
    TAILQ_REMOVE(&hub->members, member, link);
    if (--hub->member_count == 0)
        hub->left_ms = pj_mono_ms();
}

bool hub_is_confirmed(const struct hub *hub)
{
    return hub->confirmed;
}

void fanout_watch_status(struct fanout *fanout, struct status_watch *watch)
{
    TAILQ_INSERT_TAIL(&fanout->watches, watch, link);
    fanout->watch_count++;
}

void fanout_unwatch_status(struct fanout *fanout, struct status_watch *watch)
{
    TAILQ_REMOVE(&fanout->watches, watch, link);
    fanout->watch_count--;
}
