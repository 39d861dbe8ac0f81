#include "lib/store/status.h"

#include <stdio.h>
#include "lib/store/keys.h"

static void set_id(struct pj_status_event *event, struct pj_view id)
{
    (void)snprintf(event->id, sizeof(event->id), "%.*s", (int)id.n, id.p);
}

int pj_status_message_parse(struct pj_view payload, struct pj_status_event *out, struct pj_err *err)
{
    struct pj_view rest = payload, head, id;

    if (!pj_view_cut(&rest, '\n', &head) || !pj_view_cut(&head, ' ', &id) ||
        !pj_view_cut(&head, ' ', &out->owner) || rest.n == 0)
        return pj_fail(err, PJ_E_PROTOCOL, "not a message of the status channel");
    set_id(out, id);
    out->repository_id = head;
    out->json = rest;
    return 0;
}

void pj_status_read_cmd(struct pj_cmd *cmd, unsigned partition, const char *after)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "status_read");
    pj_cmd_text(cmd, pj_key_part(key, partition, "ev"));
    pj_cmd_text(cmd, after);
    pj_cmd_int(cmd, PJ_STATUS_PAGE_MAX);
}

int pj_status_read_reply(const struct redisReply *reply, struct pj_status_event *items,
                         size_t *count, struct pj_err *err)
{
    int rc = pj_reply_word(reply, err);

    *count = 0;
    if (rc != 0)
        return rc;
    for (size_t i = 1; i < pj_reply_count(reply) && *count < PJ_STATUS_PAGE_MAX; i++) {
        const struct redisReply *entry = pj_reply_at(reply, i), *fields = pj_reply_at(entry, 1);
        struct pj_status_event *event = &items[(*count)++];

        set_id(event, pj_reply_view(pj_reply_at(entry, 0)));
        event->owner = pj_reply_view(pj_reply_at(fields, 1));
        event->repository_id = pj_reply_view(pj_reply_at(fields, 3));
        event->json = pj_reply_view(pj_reply_at(fields, 5));
    }
    return 0;
}
