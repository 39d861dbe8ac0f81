/* tasks.h - handlers of /tasks. */
#ifndef API_TASKS_H
#define API_TASKS_H

struct request;

void task_create(struct request *req);
void task_list(struct request *req);
void task_get(struct request *req);
void task_edit(struct request *req);
void task_delete(struct request *req);
/* task_moves.c */
void task_execute(struct request *req);
void task_cancel(struct request *req);
void task_answer(struct request *req);
void task_retry(struct request *req);
void task_publish(struct request *req);
/* task_parts.c */
void task_patch(struct request *req);
void task_usage(struct request *req);
void task_trajectory(struct request *req);
/* task_wait.c */
void task_wait(struct request *req);

#endif
