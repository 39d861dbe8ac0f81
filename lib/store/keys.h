/* keys.h - the only place where a key or channel is spelled in C (the scripts' is lua/prelude.lua).
 *
 * `pj:{p<k>}:…` is all that belongs to a task, `pj:{g}:…` the rest. k is a hash of the user id modulo the number of
 * partitions and part of the task id, so one transition touches one slot. */
#ifndef PJ_STORE_KEYS_H
#define PJ_STORE_KEYS_H

#include <stdint.h>

#define PJ_KEY_SIZE 192
#define PJ_PARTITIONS_MAX 256

/* "pj:{p<k>}:<name>" and "pj:{g}:<name>". Names and ids are ours, or checked by pj_id_is_valid(); a longer one is cut. */
const char *pj_key_part(char out[PJ_KEY_SIZE], unsigned partition, const char *name);
const char *pj_key_global(char out[PJ_KEY_SIZE], const char *name);
const char *pj_key_task(char out[PJ_KEY_SIZE], const char *task_id); /* the hash */
const char *pj_key_task_channel(char out[PJ_KEY_SIZE],
                                const char *task_id); /* log chunks and states of one task */
const char *pj_key_task_sub(char out[PJ_KEY_SIZE], const char *task_id, const char *name);
const char *pj_key_status_channel(char out[PJ_KEY_SIZE],
                                  unsigned partition); /* states of all tasks (store/status.h) */
const char *pj_key_runner_channel(char out[PJ_KEY_SIZE],
                                  const char *runner); /* "cancel <taskId>", "drain": doorbells */
const char *pj_key_ready(char out[PJ_KEY_SIZE], unsigned partition); /* the stream of bells */

/* Partition of a user's tasks, and of a task (0 for ids of other makers). */
unsigned pj_partition_of_user(const char *user_id, unsigned partitions);
unsigned pj_partition_of_task(const char *task_id);

#endif
