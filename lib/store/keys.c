#include "lib/store/keys.h"

#include <stdio.h>
#include <string.h>
#include "lib/base/id.h"

const char *pj_key_part(char out[PJ_KEY_SIZE], unsigned partition, const char *name)
{
    (void)snprintf(out, PJ_KEY_SIZE, "pj:{p%u}:%s", partition, name);
    return out;
}

const char *pj_key_global(char out[PJ_KEY_SIZE], const char *name)
{
    (void)snprintf(out, PJ_KEY_SIZE, "pj:{g}:%s", name);
    return out;
}

const char *pj_key_task(char out[PJ_KEY_SIZE], const char *task_id)
{
    (void)snprintf(out, PJ_KEY_SIZE, "pj:{p%u}:t:%s", pj_partition_of_task(task_id), task_id);
    return out;
}

const char *pj_key_task_sub(char out[PJ_KEY_SIZE], const char *task_id, const char *name)
{
    (void)snprintf(out, PJ_KEY_SIZE, "pj:{p%u}:t:%s:%s", pj_partition_of_task(task_id), task_id,
                   name);
    return out;
}

const char *pj_key_task_channel(char out[PJ_KEY_SIZE], const char *task_id)
{
    (void)snprintf(out, PJ_KEY_SIZE, "pj:{p%u}:c:%s", pj_partition_of_task(task_id), task_id);
    return out;
}

const char *pj_key_status_channel(char out[PJ_KEY_SIZE], unsigned partition)
{
    return pj_key_part(out, partition, "c:ev");
}

const char *pj_key_runner_channel(char out[PJ_KEY_SIZE], const char *runner)
{
    (void)snprintf(out, PJ_KEY_SIZE, "pj:c:runner:%s", runner);
    return out;
}

const char *pj_key_ready(char out[PJ_KEY_SIZE], unsigned partition)
{
    return pj_key_part(out, partition, "ready");
}

/* FNV-1a: spreads, and needs no library. */
unsigned pj_partition_of_user(const char *user_id, unsigned partitions)
{
    uint32_t hash = 2166136261U;

    for (const char *p = user_id; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619U;
    return partitions > 1 ? hash % partitions : 0;
}

unsigned pj_partition_of_task(const char *task_id)
{
    int partition = pj_id_partition(task_id);

    return partition < 0 || partition >= PJ_PARTITIONS_MAX ? 0 : (unsigned)partition;
}
