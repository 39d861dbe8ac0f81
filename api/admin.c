#include "api/admin.h"

#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/audit.h"
#include "api/page.h"
#include "api/reply.h"
#include "api/request.h"
#include "lib/base/mem.h"
#include "lib/store/async.h"
#include "lib/store/audit.h"
#include "lib/store/keys.h"
#include "lib/store/outbox.h"
#include "lib/store/queue.h"
#include "lib/store/runners.h"

#define ADMIN_PAGE_MAX 200

static void on_runners(struct request *req, const struct redisReply *reply)
{
    json_t *list = NULL;
    struct pj_err err;

    if (pj_runner_list_reply(reply, &list, &err) < 0)
        reply_err(req, &err);
    else
        page_reply_of(req, list);
}

void admin_runners(struct request *req)
{
    struct pj_cmd cmd = {0};

    pj_runner_list_cmd(&cmd);
    request_redis(req, &cmd, on_runners);
}

static void on_drain(struct request *req, const struct redisReply *reply)
{
    struct pj_err err;

    if (pj_runner_drain_reply(reply, &err) < 0) {
        if (err.cls == PJ_E_NOT_FOUND)
            reply_not_found(req, "runner");
        else
            reply_err(req, &err);
        return;
    }
    audit(req, "runner.drain", req->param[0], NULL);
    reply_json(req, 202, json_pack("{s:s, s:b}", "name", req->param[0], "drain", 1));
}

void admin_drain(struct request *req)
{
    struct pj_cmd cmd = {0};

    if (request_json(req, NULL, 0, NULL) < 0)
        return;
    pj_runner_drain_cmd(&cmd, req->param[0], true);
    request_redis(req, &cmd, on_drain);
}

static void on_audit(struct request *req, const struct redisReply *reply)
{
    const struct page *page = req->ctx;
    size_t limit = (size_t)page->limit;
    json_t *doc = NULL;
    struct pj_err err;

    if (pj_audit_list_reply(reply, &doc, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    json_t *items = json_incref(json_object_get(doc, "items"));
    const char *next = NULL;
    json_decref(doc);
    if (json_array_size(items) > limit) { /* one more was asked for */
        (void)json_array_remove(items, limit);
        next = pj_json_str(json_array_get(items, limit - 1), "id", NULL);
    }
    page_reply(req, items, next);
}

/* "<ms>-<seq>", or nothing. */
static bool is_stream_id(const char *text)
{
    struct pj_view rest = pj_view_of(text), ms;
    uint64_t n;

    if (text[0] == '\0')
        return true;
    return pj_view_cut(&rest, '-', &ms) && rest.p != NULL && pj_parse_u64(ms, &n) == 0 &&
           pj_parse_u64(rest, &n) == 0;
}

void admin_audit(struct request *req)
{
    static const char *const known[] = {"limit", "cursor", NULL};
    struct page *page = request_ctx(req, sizeof *page, NULL);
    struct pj_cmd cmd = {0};

    if (request_query_known(req, known) < 0 || page_query(req, ADMIN_PAGE_MAX, page) < 0)
        return;
    if (!is_stream_id(page->cursor)) {
        reply_fault(req, "cursor", "is not a cursor of this list");
        return;
    }
    pj_audit_list_cmd(&cmd, page->cursor[0] != '\0' ? page->cursor : NULL, page->limit + 1);
    request_redis(req, &cmd, on_audit);
}

/* Records of all partitions. With a task there is one partition and a cursor; else each partition is read in turn, and the
 * cursor names it: "<partition>:<id>". */
struct outbox {
    struct request *req;
    unsigned partition;
};

static void on_outbox(struct request *req, const struct redisReply *reply)
{
    const struct outbox *o = req->ctx;
    json_t *doc = NULL;
    struct pj_err err;

    if (pj_outbox_list_reply(reply, &doc, &err) < 0) {
        reply_err(req, &err);
        return;
    }
    const char *next = pj_json_str(doc, "nextCursor", NULL);
    char *cursor = NULL;
    bool one = http_query(req->head.query, "taskId").p != NULL;
    if (next != NULL)
        cursor = pj_asprintf("%u:%s", o->partition, next);
    else if (!one && o->partition + 1 < req->api->partitions)
        cursor = pj_asprintf("%u:", o->partition + 1);
    json_t *items = json_incref(json_object_get(doc, "items"));
    json_decref(doc);
    page_reply(req, items, cursor);
    free(cursor);
}

void admin_outbox(struct request *req)
{
    static const char *const known[] = {"taskId", "limit", "cursor", NULL};
    struct outbox *o = request_ctx(req, sizeof *o, NULL);
    char task[64];
    struct page page;
    struct pj_cmd cmd = {0};

    int rc = request_query(req, "taskId", task, sizeof task);
    if (rc < 0 || request_query_known(req, known) < 0 || page_query(req, ADMIN_PAGE_MAX, &page) < 0)
        return;
    const char *before = page.cursor;
    struct pj_view rest = pj_view_of(page.cursor), head;
    int64_t partition = rc == 0 ? (int64_t)pj_partition_of_task(task) : 0;
    if (page.cursor[0] != '\0') {
        if (strchr(page.cursor, ':') == NULL || !pj_view_cut(&rest, ':', &head) ||
            pj_parse_i64(head, &partition) < 0 || partition < 0 ||
            partition >= (int64_t)req->api->partitions) {
            reply_fault(req, "cursor", "is not a cursor of this list");
            return;
        }
        before = strchr(page.cursor, ':') + 1;
    }
    o->partition = (unsigned)partition;
    pj_outbox_list_cmd(&cmd, o->partition, rc == 0 ? task : NULL, before[0] != '\0' ? before : NULL,
                       page.limit);
    request_redis(req, &cmd, on_outbox);
}

struct scale {
    struct request *req;
    struct pj_queue_depth sum;
    size_t asked, come;
    struct pj_err err;
};

static void on_depth(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct scale *s = arg;
    struct pj_queue_depth one;

    if (reply == NULL) {
        s->err = *err;
    } else if (pj_queue_depth_reply(reply, &one, &s->err) == 0) {
        s->sum.queued += one.queued;
        s->sum.running += one.running;
    }
    if (++s->come < s->asked)
        return;
    if (s->err.cls != PJ_E_OK)
        request_store_failed(s->req, &s->err);
    else
        reply_json(s->req, 200,
                   json_pack("{s:I, s:I, s:I}", "queued", (json_int_t)s->sum.queued, "running",
                             (json_int_t)s->sum.running, "desiredSlots",
                             (json_int_t)(s->sum.queued + s->sum.running)));
}

void admin_autoscale(struct request *req)
{
    struct scale *s = request_ctx(req, sizeof *s, NULL);

    s->req = req;
    s->asked = req->api->partitions;
    for (unsigned k = 0; k < req->api->partitions; k++) {
        struct pj_cmd cmd = {0};
        pj_queue_depth_cmd(&cmd, k);
        pj_aredis_submit(req->api->redis, &cmd, on_depth, s);
    }
}
