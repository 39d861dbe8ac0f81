#include "lib/task/state.h"

#include <stddef.h>
#include <string.h>

const char *const pj_task_status_words[] = {
    [PJ_TASK_QUEUED] = "queued",
    [PJ_TASK_RUNNING] = "running",
    [PJ_TASK_COMPLETED] = "completed",
    [PJ_TASK_FAILED] = "failed",
    [PJ_TASK_NEEDS_REVIEW] = "needs_review",
    [PJ_TASK_NEEDS_CLARIFICATION] = "needs_clarification",
    [PJ_TASK_CANCELLED] = "cancelled",
    [PJ_TASK_STATUS_COUNT] = NULL,
};

const char *const pj_task_stage_words[] = {
    [PJ_STAGE_WAITING] = "waiting",
    [PJ_STAGE_PREPARING] = "preparing",
    [PJ_STAGE_ANALYZING] = "analyzing",
    [PJ_STAGE_GENERATING] = "generating",
    [PJ_STAGE_CHECKING] = "checking",
    [PJ_STAGE_APPLYING] = "applying",
    [PJ_STAGE_PUSHING] = "pushing",
    [PJ_STAGE_PULL_REQUEST] = "pull_request",
    [PJ_STAGE_COUNT] = NULL,
};

const char *const pj_task_executor_words[] = {"sandbox", "github_actions", NULL};
const char *const pj_task_priority_words[] = {"low", "normal", "high", NULL};

static const struct {
    const char *from;    /* stored words, a space between */
    const char *refusal; /* problem code */
} moves[PJ_MOVE_COUNT] = {
    [PJ_MOVE_EXECUTE] = {"queued", "not_queued"},
    [PJ_MOVE_FINISH] = {"running", "not_running"},
    [PJ_MOVE_CANCEL] = {"queued running", "not_cancellable"},
    [PJ_MOVE_ANSWER] = {"needs_clarification", "not_waiting_for_answer"},
    [PJ_MOVE_RETRY] = {"failed needs_review cancelled completed", "not_retryable"},
    [PJ_MOVE_PUBLISH] = {"needs_review", "not_publishable"},
    [PJ_MOVE_EDIT] = {"queued", "not_queued"},
    [PJ_MOVE_DELETE] = {"queued completed failed needs_review needs_clarification cancelled",
                        "still_running"},
};

const char *pj_task_status_word(enum pj_task_status status)
{
    return pj_task_status_words[status];
}

const char *pj_task_stage_word(enum pj_task_stage stage)
{
    return pj_task_stage_words[stage];
}

int pj_word_index(const char *const *words, const char *word)
{
    for (int i = 0; word && words[i]; i++) {
        if (strcmp(words[i], word) == 0)
            return i;
    }
    return -1;
}

bool pj_task_is_ended(enum pj_task_status status)
{
    return status != PJ_TASK_QUEUED && status != PJ_TASK_RUNNING;
}

bool pj_task_may(enum pj_task_move move, enum pj_task_status from)
{
    const char *word = pj_task_status_words[from];
    size_t n = strlen(word);

    for (const char *p = moves[move].from; p; p = strchr(p, ' ')) {
        p += *p == ' ';
        if (strncmp(p, word, n) == 0 && (p[n] == ' ' || p[n] == '\0'))
            return true;
    }
    return false;
}

const char *pj_task_move_from(enum pj_task_move move)
{
    return moves[move].from;
}

const char *pj_task_move_refusal(enum pj_task_move move)
{
    return moves[move].refusal;
}
