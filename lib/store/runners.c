#include "lib/store/runners.h"

#include <stdio.h>
#include <stdlib.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/keys.h"

#define SILENT_MS 60000

static void runner_script(struct pj_cmd *cmd, const char *script, const char *runner)
{
    char key[PJ_KEY_SIZE], name[PJ_KEY_SIZE];

    (void)snprintf(name, sizeof(name), "runner:%.120s", runner);
    pj_cmd_script(cmd, script);
    pj_cmd_text(cmd, pj_key_global(key, name));
}

static void pair(struct pj_cmd *cmd, const char *name, const char *value)
{
    pj_cmd_text(cmd, name);
    pj_cmd_text(cmd, value);
}

static void pair_int(struct pj_cmd *cmd, const char *name, int64_t value)
{
    pj_cmd_text(cmd, name);
    pj_cmd_int(cmd, value);
}

void pj_runner_beat_cmd(struct pj_cmd *cmd, const struct pj_runner_beat *beat)
{
    runner_script(cmd, "runner_beat", beat->name);
    pj_cmd_text(cmd, beat->name);
    pj_cmd_text(cmd, beat->instance);
    pair(cmd, "version", beat->version);
    pair(cmd, "labels", beat->labels);
    pair(cmd, "isolation", beat->isolation);
    pair(cmd, "state", beat->state);
    pair(cmd, "tasks", beat->tasks);
    pair_int(cmd, "slots", beat->slots);
    pair_int(cmd, "busy", beat->busy);
    pair_int(cmd, "started", beat->started_ms);
}

int pj_runner_beat_reply(const struct redisReply *reply, bool *drain, struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    *drain = pj_reply_int(pj_reply_at(reply, 1), 0) == 1;
    return 0;
}

void pj_runner_drain_cmd(struct pj_cmd *cmd, const char *name, bool on)
{
    char channel[PJ_KEY_SIZE];

    runner_script(cmd, "runner_drain", name);
    pj_cmd_int(cmd, on);
    pj_cmd_text(cmd, pj_key_runner_channel(channel, name));
}

int pj_runner_drain_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}

void pj_runner_gone_cmd(struct pj_cmd *cmd, const char *name, const char *instance)
{
    runner_script(cmd, "runner_gone", name);
    pj_cmd_text(cmd, name);
    pj_cmd_text(cmd, instance);
}

void pj_runner_list_cmd(struct pj_cmd *cmd)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "runner_list");
    pj_cmd_text(cmd, pj_key_global(key, "runners"));
}

struct shown_runner {
    char *name, *state, *version, *isolation, *labels;
    char **tasks;
    int64_t slots, busy, age_ms, started_ms, beat_ms, drain;
};

#define AT(member) offsetof(struct shown_runner, member)
static const struct pj_field runner_fields[] = {
    {"name", PJ_F_STR, AT(name)},
    {"state", PJ_F_STR, AT(state)},
    {"slots", PJ_F_INT, AT(slots)},
    {"busy", PJ_F_INT, AT(busy)},
    {"version", PJ_F_STR, AT(version)},
    {"isolation", PJ_F_STR, AT(isolation)},
    {"labels", PJ_F_STR, AT(labels)},
    {"heartbeatAgeMs", PJ_F_INT, AT(age_ms)},
    {"startedAt", PJ_F_TIME, AT(started_ms)},
    {"tasks", PJ_F_STRS, AT(tasks)},
};

static const struct {
    const char *name;
    size_t offset;
    bool number;
} parts[] = {
    {"name", AT(name), false},       {"state", AT(state), false},
    {"version", AT(version), false}, {"isolation", AT(isolation), false},
    {"labels", AT(labels), false},   {"slots", AT(slots), true},
    {"busy", AT(busy), true},        {"started", AT(started_ms), true},
    {"beat", AT(beat_ms), true},     {"drain", AT(drain), true},
};

static char **split(struct pj_view list)
{
    char **out = pj_alloc(list.n / 2 + 2, sizeof(*out));
    struct pj_view one;
    size_t n = 0;

    while (pj_view_cut(&list, ',', &one)) {
        if (one.n)
            out[n++] = pj_strndup(one.p, one.n);
    }
    return out;
}

static json_t *runner_json(const struct redisReply *hash, int64_t now_ms)
{
    struct shown_runner r = {0};
    json_t *doc;

    for (size_t i = 0; i + 1 < pj_reply_count(hash); i += 2) {
        struct pj_view name = pj_reply_view(pj_reply_at(hash, i));
        const struct redisReply *value = pj_reply_at(hash, i + 1);

        if (pj_view_is(name, "tasks") && !r.tasks)
            r.tasks = split(pj_reply_view(value));
        for (size_t k = 0; k < PJ_COUNT_OF(parts); k++) {
            void *slot = (char *)&r + parts[k].offset;

            if (!pj_view_is(name, parts[k].name))
                continue;
            if (parts[k].number)
                *(int64_t *)slot = pj_reply_int(value, 0);
            else
                *(char **)slot = pj_reply_dup(value);
        }
    }
    r.age_ms = now_ms - r.beat_ms;
    if (r.age_ms > SILENT_MS)
        pj_str_set(&r.state, "lost");
    else if (r.drain)
        pj_str_set(&r.state, "draining");
    doc = pj_json_encode(runner_fields, PJ_COUNT_OF(runner_fields), &r);
    pj_json_release(runner_fields, PJ_COUNT_OF(runner_fields), &r);
    return doc;
}

int pj_runner_list_reply(const struct redisReply *reply, json_t **out, struct pj_err *err)
{
    int64_t now_ms = pj_reply_int(pj_reply_at(reply, 1), 0);

    if (pj_reply_word(reply, err) < 0)
        return -1;
    *out = json_array();
    for (size_t i = 2; i < pj_reply_count(reply); i++)
        (void)json_array_append_new(*out, runner_json(pj_reply_at(reply, i), now_ms));
    return 0;
}
