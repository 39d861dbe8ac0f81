/* state.h - the states of a task, as tables: every stored word, and from which states each move may start.
 *
 * The rule is written once, here: a store operation hands pj_task_move_from() to its Lua script, which compares and moves in
 * one step (CONVENTIONS.md section 7). Order of the enumerators is order of the words. */
#ifndef PJ_TASK_STATE_H
#define PJ_TASK_STATE_H

#include <stdbool.h>

enum pj_task_status {
    PJ_TASK_QUEUED,
    PJ_TASK_RUNNING,
    PJ_TASK_COMPLETED,
    PJ_TASK_FAILED,
    PJ_TASK_NEEDS_REVIEW,
    PJ_TASK_NEEDS_CLARIFICATION,
    PJ_TASK_CANCELLED,
    PJ_TASK_STATUS_COUNT
};

enum pj_task_stage { /* while running */
                     PJ_STAGE_WAITING,
                     PJ_STAGE_PREPARING,
                     PJ_STAGE_ANALYZING,
                     PJ_STAGE_GENERATING,
                     PJ_STAGE_CHECKING,
                     PJ_STAGE_APPLYING,
                     PJ_STAGE_PUSHING,
                     PJ_STAGE_PULL_REQUEST,
                     PJ_STAGE_COUNT
};

enum pj_task_executor { PJ_EXECUTOR_SANDBOX, PJ_EXECUTOR_GITHUB_ACTIONS };
enum pj_task_priority { PJ_PRIORITY_LOW, PJ_PRIORITY_NORMAL, PJ_PRIORITY_HIGH };

/* What can be done to a task. */
enum pj_task_move {
    PJ_MOVE_EXECUTE, /* queued -> running */
    PJ_MOVE_FINISH,  /* running -> one of the ends */
    PJ_MOVE_CANCEL,  /* queued -> cancelled; running: flagged */
    PJ_MOVE_ANSWER,  /* needs_clarification -> queued */
    PJ_MOVE_RETRY,   /* failed, needs_review, cancelled, completed -> queued */
    PJ_MOVE_PUBLISH, /* needs_review -> running */
    PJ_MOVE_EDIT,    /* stays queued */
    PJ_MOVE_DELETE,  /* anything but running */
    PJ_MOVE_COUNT
};

/* NULL-terminated word lists, indexed by the enums: also what a PJ_F_WORD field names. */
extern const char *const pj_task_status_words[];
extern const char *const pj_task_stage_words[];
extern const char *const pj_task_executor_words[];
extern const char *const pj_task_priority_words[];

const char *pj_task_status_word(enum pj_task_status status);
const char *pj_task_stage_word(enum pj_task_stage stage);
/* Index of `word` in a NULL-terminated list, -1 when it is not there or NULL. */
int pj_word_index(const char *const *words, const char *word);

/* True for every status in which nothing of the task runs or waits: not queued and not running. */
bool pj_task_is_ended(enum pj_task_status status);
bool pj_task_may(enum pj_task_move move, enum pj_task_status from);
/* The states `move` may start from, as words with a space between them: what a script gets. */
const char *pj_task_move_from(enum pj_task_move move);
/* The problem code when a task is not in such a state ("not_queued", "not_cancellable", …). */
const char *pj_task_move_refusal(enum pj_task_move move);

#endif
