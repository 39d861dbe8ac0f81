#include <stdlib.h>
#include <string.h>
#include "api/api.h"
#include "api/page.h"
#include "api/reply.h"
#include "api/request.h"
#include "api/tasks.h"
#include "lib/store/async.h"
#include "lib/store/repos.h"
#include "lib/store/tasks.h"

/* One command a partition; the pages are merged when the last has come. */
struct list {
    struct request *req;
    struct page page;
    char owner[64], repository_id[64], text[256];
    int status;
    char **shared;
    struct pj_task_page *pages;
    size_t asked, come;
    bool failed;
    struct pj_err err;
};

static void list_free(void *ctx)
{
    struct list *l = ctx;

    for (size_t i = 0; l->pages != NULL && i < l->asked; i++)
        pj_task_page_release(&l->pages[i]);
    free(l->pages);
    pj_strs_free(l->shared);
}

static void finish(struct list *l)
{
    struct pj_task_page merged = {0};
    struct request *req = l->req;

    if (l->failed) {
        request_store_failed(req, &l->err);
        return;
    }
    pj_task_list_merge(l->pages, l->asked, (size_t)l->page.limit, &merged);
    json_t *items = json_array();
    for (size_t i = 0; i < merged.count; i++)
        json_array_append_new(items, pj_task_json(merged.items[i]));
    page_reply(req, items, merged.next);
    pj_task_page_release(&merged);
}

static void on_page(void *arg, const struct redisReply *reply, struct pj_err *err)
{
    struct list *l = arg;
    struct pj_task_page *page = &l->pages[l->come++];

    if (reply == NULL) {
        l->failed = true;
        l->err = *err;
    } else if (pj_task_list_reply(reply, page, &l->err) < 0) {
        l->failed = true;
    }
    if (l->come == l->asked)
        finish(l);
}

static void ask(struct list *l)
{
    struct request *req = l->req;
    const struct pj_task_query query = {
        .viewer = req->who.admin ? NULL : req->who.user_id,
        .shared = (const char *const *)(void *)l->shared,
        .owner = l->owner[0] != '\0' ? l->owner : NULL,
        .repository_id = l->repository_id[0] != '\0' ? l->repository_id : NULL,
        .status = l->status,
        .text = l->text[0] != '\0' ? l->text : NULL,
        .before = l->page.cursor[0] != '\0' ? l->page.cursor : NULL,
        .limit = l->page.limit,
    };

    l->asked = req->api->partitions;
    l->pages = calloc(l->asked, sizeof *l->pages);
    for (unsigned k = 0; k < l->asked; k++) {
        struct pj_cmd cmd = {0};
        pj_task_list_cmd(&cmd, k, &query);
        pj_aredis_submit(req->api->redis, &cmd, on_page, l);
    }
}

static void on_shared(struct request *req, const struct redisReply *reply)
{
    struct list *l = req->ctx;
    struct pj_err err;

    if (pj_repo_shared_reply(reply, &l->shared, &err) < 0)
        reply_err(req, &err);
    else
        ask(l);
}

void task_list(struct request *req)
{
    static const char *const known[] = {"status", "repositoryId", "q", "owner",
                                        "limit",  "cursor",       NULL};
    struct list *l = request_ctx(req, sizeof *l, list_free);
    char status[40];
    struct pj_cmd cmd = {0};

    l->req = req;
    if (request_query_known(req, known) < 0 || page_query(req, PJ_TASK_PAGE_MAX, &l->page) < 0 ||
        request_query(req, "owner", l->owner, sizeof l->owner) < 0 ||
        request_query(req, "repositoryId", l->repository_id, sizeof l->repository_id) < 0 ||
        request_query(req, "q", l->text, sizeof l->text) < 0 ||
        request_query(req, "status", status, sizeof status) < 0)
        return;
    if (strcmp(l->owner, "me") == 0)
        memcpy(l->owner, req->who.user_id, sizeof req->who.user_id);
    l->status = pj_word_index(pj_task_status_words, status);
    if (status[0] != '\0' && l->status < 0) {
        reply_fault(req, "status", "is not a status of a task");
        return;
    }
    if (req->who.admin) {
        ask(l);
        return;
    }
    pj_repo_shared_cmd(&cmd);
    request_redis(req, &cmd, on_shared);
}
