#include "lib/store/audit.h"

#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/keys.h"

static void pair(struct pj_cmd *cmd, const char *name, const char *value)
{
    if (!value)
        return;
    pj_cmd_text(cmd, name);
    pj_cmd_text(cmd, value);
}

void pj_audit_add_cmd(struct pj_cmd *cmd, const struct pj_audit *entry)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "audit_add");
    pj_cmd_text(cmd, pj_key_global(key, "audit"));
    pair(cmd, "actor", entry->actor);
    pair(cmd, "action", entry->action);
    pair(cmd, "target", entry->target);
    pair(cmd, "detail", entry->detail);
    pair(cmd, "address", entry->address);
}

void pj_audit_list_cmd(struct pj_cmd *cmd, const char *before, int64_t limit)
{
    PJ_CLEANUP(pj_freep)
    char *top = before && *before ? pj_asprintf("(%s", before) : pj_strdup("+");
    char key[PJ_KEY_SIZE];

    pj_cmd_start(cmd, "XREVRANGE");
    pj_cmd_text(cmd, pj_key_global(key, "audit"));
    pj_cmd_text(cmd, top);
    pj_cmd_text(cmd, "-");
    pj_cmd_text(cmd, "COUNT");
    pj_cmd_int(cmd, limit);
    cmd->repeatable = true;
}

static json_t *entry_json(const struct redisReply *entry)
{
    static const char *const names[] = {"actor", "action", "target", "detail", "address"};
    const struct redisReply *fields = pj_reply_at(entry, 1);
    struct pj_view id = pj_reply_view(pj_reply_at(entry, 0)), ms, rest = id;
    char when[PJ_RFC3339_SIZE];
    json_t *doc = json_object();
    int64_t at = 0;

    (void)json_object_set_new(doc, "id", json_stringn(id.p, id.n));
    if (pj_view_cut(&rest, '-', &ms) && pj_parse_i64(ms, &at) == 0)
        (void)json_object_set_new(doc, "at", json_string(pj_rfc3339(at, when)));
    for (size_t i = 0; i < PJ_COUNT_OF(names); i++)
        (void)json_object_set_new(doc, names[i], json_null());
    for (size_t i = 0; i + 1 < pj_reply_count(fields); i += 2) {
        struct pj_view value = pj_reply_view(pj_reply_at(fields, i + 1));

        (void)json_object_set_new(doc, pj_reply_view(pj_reply_at(fields, i)).p,
                                  json_stringn(value.p, value.n));
    }
    return doc;
}

int pj_audit_list_reply(const struct redisReply *reply, json_t **out, struct pj_err *err)
{
    json_t *items = json_array();
    size_t n = pj_reply_count(reply);

    (void)err;
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(items, entry_json(pj_reply_at(reply, i)));
    *out = json_object();
    (void)json_object_set_new(*out, "items", items);
    (void)json_object_set_new(*out, "nextCursor",
                              n ? json_incref(json_object_get(json_array_get(items, n - 1), "id"))
                                : json_null());
    return 0;
}
