#include "lib/store/tasks.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/store/keys.h"
#include "lib/store/task_hash.h"

/* Every script on a task: its hash is KEYS[1], its id ARGV[1]. */
static void task_script(struct pj_cmd *cmd, const char *name, const char *id)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, name);
    pj_cmd_text(cmd, pj_key_task(key, id));
    pj_cmd_text(cmd, id);
}

static void pair(struct pj_cmd *cmd, const char *name, const char *value)
{
    pj_cmd_text(cmd, name);
    pj_cmd_text(cmd, value);
}

void pj_task_create_add(struct pj_cmd *cmd, const struct pj_task *task, bool execute,
                        const char *idem_key)
{
    char key[PJ_KEY_SIZE], how[PJ_KEY_SIZE + 1];

    if (cmd->argc == 0) {
        pj_cmd_script(cmd, "task_create");
        pj_cmd_text(cmd, pj_key_task(key, task->id));
        cmd->repeatable = true;
    }
    if (idem_key)
        (void)snprintf(how, sizeof(how), "%d%s", execute, idem_key);
    pj_cmd_text(cmd, idem_key ? how : execute ? "1" : "0");
    pj_task_hash_put_given(cmd, task);
    cmd->repeatable = cmd->repeatable && idem_key != NULL;
}

void pj_task_create_cmd(struct pj_cmd *cmd, const struct pj_task *task, bool execute,
                        const char *idem_key)
{
    pj_cmd_release(cmd);
    pj_task_create_add(cmd, task, execute, idem_key);
}

int pj_task_create_reply(const struct redisReply *reply, struct pj_task *task, bool *existing,
                         struct pj_err *err)
{
    struct pj_task before;

    reply = pj_reply_only(reply);
    *existing = pj_reply_count(reply) > 0;
    if (!*existing)
        return pj_task_created(reply, task, err);
    if (pj_task_hash_get(reply, &before, err) < 0)
        return -1;
    pj_task_release(task);
    *task = before;
    return 0;
}

void pj_task_get_cmd(struct pj_cmd *cmd, const char *task_id)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "task_get");
    pj_cmd_text(cmd, pj_key_task(key, task_id));
}

int pj_task_get_reply(const struct redisReply *reply, struct pj_task *out, struct pj_err *err)
{
    return pj_task_move_reply(reply, out, err);
}

int pj_task_move_reply(const struct redisReply *reply, struct pj_task *out, struct pj_err *err)
{
    if (pj_reply_word(reply, err) < 0)
        return -1;
    return pj_task_hash_get(pj_reply_at(reply, 1), out, err);
}

void pj_task_list_cmd(struct pj_cmd *cmd, unsigned partition, const struct pj_task_query *query)
{
    char key[PJ_KEY_SIZE];
    PJ_CLEANUP(pj_freep) char *text = pj_strdup(query->text ? query->text : "");

    for (char *p = text; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    pj_cmd_script(cmd, "task_list");
    pj_cmd_text(cmd, pj_key_part(key, partition, "tasks"));
    pj_cmd_int(cmd, query->limit < 1                  ? 1
                    : query->limit > PJ_TASK_PAGE_MAX ? PJ_TASK_PAGE_MAX
                                                      : query->limit);
    pj_cmd_text(cmd, query->before);
    pj_cmd_text(cmd, query->viewer);
    pj_cmd_text(cmd, query->owner);
    pj_cmd_text(cmd, query->repository_id);
    pj_cmd_text(cmd,
                query->status < 0 ? "" : pj_task_status_word((enum pj_task_status)query->status));
    pj_cmd_text(cmd, text);
    for (const char *const *id = query->shared; id && *id; id++)
        pj_cmd_text(cmd, *id);
}

int pj_task_list_reply(const struct redisReply *reply, struct pj_task_page *out, struct pj_err *err)
{
    struct pj_task_page page = {0};
    size_t n = pj_reply_count(reply);

    if (pj_reply_word(reply, err) < 0)
        return -1;
    page.items = pj_alloc(n, sizeof(struct pj_task *));
    for (size_t i = 2; i < n; i++) {
        struct pj_task *task = pj_alloc(1, sizeof(*task));

        if (pj_task_hash_get(pj_reply_at(reply, i), task, err) < 0) {
            free(task);
            pj_task_page_release(&page);
            return -1;
        }
        page.items[page.count++] = task;
    }
    page.next = pj_reply_dup(pj_reply_at(reply, 1));
    *out = page;
    return 0;
}

static int newer_first(const void *a, const void *b)
{
    return strcmp((*(struct pj_task *const *)b)->id, (*(struct pj_task *const *)a)->id);
}

/* Below the highest cursor of a page that has more, nothing is known to be complete. */
static const char *highest_cursor(const struct pj_task_page *pages, size_t count)
{
    const char *top = NULL;

    for (size_t i = 0; i < count; i++) {
        if (pages[i].next && (!top || strcmp(pages[i].next, top) > 0))
            top = pages[i].next;
    }
    return top;
}

void pj_task_list_merge(struct pj_task_page *pages, size_t count, size_t limit,
                        struct pj_task_page *out)
{
    struct pj_task_page merged = {0};
    const char *floor = highest_cursor(pages, count);
    size_t total = 0, keep = 0;

    for (size_t i = 0; i < count; i++)
        total += pages[i].count;
    merged.items = pj_alloc(total + 1, sizeof(struct pj_task *));
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < pages[i].count; k++)
            merged.items[merged.count++] = pages[i].items[k];
        pages[i].count = 0;
    }
    qsort(merged.items, merged.count, sizeof(struct pj_task *), newer_first);
    while (keep < merged.count && keep < limit &&
           (!floor || strcmp(merged.items[keep]->id, floor) >= 0))
        keep++;
    if (keep == limit && (keep < merged.count || floor))
        merged.next = pj_strdup(merged.items[keep - 1]->id);
    else if (floor)
        merged.next = pj_strdup(floor);
    while (merged.count > keep)
        pj_task_free(merged.items[--merged.count]);
    for (size_t i = 0; i < count; i++)
        pj_task_page_release(&pages[i]);
    *out = merged;
}

void pj_task_page_release(struct pj_task_page *page)
{
    for (size_t i = 0; i < page->count; i++)
        pj_task_free(page->items[i]);
    free(page->items);
    free(page->next);
    *page = (struct pj_task_page){0};
}

void pj_task_execute_cmd(struct pj_cmd *cmd, const char *task_id, int executor)
{
    task_script(cmd, "task_execute", task_id);
    pj_cmd_text(cmd, pj_task_move_from(PJ_MOVE_EXECUTE));
    pj_cmd_text(cmd, executor < 0 ? "" : pj_task_executor_words[executor]);
}

void pj_task_cancel_cmd(struct pj_cmd *cmd, const char *task_id)
{
    char channel[PJ_KEY_SIZE];

    task_script(cmd, "task_cancel", task_id);
    pj_cmd_text(cmd, pj_task_move_from(PJ_MOVE_CANCEL));
    pj_cmd_text(cmd, pj_key_runner_channel(channel, ""));
}

static void requeue(struct pj_cmd *cmd, const char *task_id, enum pj_task_move move, bool execute)
{
    task_script(cmd, "task_requeue", task_id);
    pj_cmd_text(cmd, pj_task_move_from(move));
    pj_cmd_text(cmd, pj_task_move_refusal(move));
    pj_cmd_int(cmd, execute);
}

void pj_task_answer_cmd(struct pj_cmd *cmd, const char *task_id, const char *answer, bool execute)
{
    requeue(cmd, task_id, PJ_MOVE_ANSWER, execute);
    pair(cmd, "answer", answer);
    pair(cmd, "feedback", NULL);
}

void pj_task_retry_cmd(struct pj_cmd *cmd, const char *task_id, const char *feedback, bool execute)
{
    requeue(cmd, task_id, PJ_MOVE_RETRY, execute);
    pair(cmd, "feedback", feedback);
}

void pj_task_publish_cmd(struct pj_cmd *cmd, const char *task_id)
{
    task_script(cmd, "task_publish", task_id);
    pj_cmd_text(cmd, pj_task_move_from(PJ_MOVE_PUBLISH));
}

void pj_task_edit_cmd(struct pj_cmd *cmd, const char *task_id, const struct pj_task_edit *edit)
{
    task_script(cmd, "task_edit", task_id);
    pj_cmd_text(cmd, pj_task_move_from(PJ_MOVE_EDIT));
    if (edit->title)
        pair(cmd, "title", edit->title);
    if (edit->description)
        pair(cmd, "desc", edit->description);
    if (edit->limits)
        pj_task_hash_put_limits(cmd, edit->limits);
}

void pj_task_delete_cmd(struct pj_cmd *cmd, const char *task_id)
{
    task_script(cmd, "task_delete", task_id);
    pj_cmd_text(cmd, pj_task_move_from(PJ_MOVE_DELETE));
}

int pj_task_delete_reply(const struct redisReply *reply, struct pj_err *err)
{
    return pj_reply_word(reply, err);
}

void pj_task_pr_state_cmd(struct pj_cmd *cmd, const char *task_id, const char *state)
{
    task_script(cmd, "task_pr_state", task_id);
    pj_cmd_text(cmd, state);
}

static void text_cmd(struct pj_cmd *cmd, const char *task_id, const char *part, const char *absent)
{
    char key[PJ_KEY_SIZE];

    pj_cmd_script(cmd, "task_text");
    pj_cmd_text(cmd, pj_key_task(key, task_id));
    pj_cmd_text(cmd, part);
    pj_cmd_text(cmd, absent);
}

static int text_reply(const struct redisReply *reply, char **text, size_t *len, struct pj_err *err)
{
    int rc = pj_reply_word(reply, err);
    struct pj_view v = pj_reply_view(pj_reply_at(reply, 1));

    if (rc < 0)
        return -1;
    *text = pj_strndup(v.p, v.n);
    *len = v.n;
    return 0;
}

void pj_task_patch_cmd(struct pj_cmd *cmd, const char *task_id)
{
    text_cmd(cmd, task_id, "patch", "no_patch");
}

int pj_task_patch_reply(const struct redisReply *reply, char **text, size_t *len,
                        struct pj_err *err)
{
    return text_reply(reply, text, len, err);
}

void pj_task_trajectory_cmd(struct pj_cmd *cmd, const char *task_id)
{
    text_cmd(cmd, task_id, "traj", "none");
}

int pj_task_trajectory_reply(const struct redisReply *reply, char **text, size_t *len,
                             struct pj_err *err)
{
    return text_reply(reply, text, len, err);
}
