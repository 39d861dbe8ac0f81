/* id.h - sortable identifiers `[0-9a-z]{22}`: 9 base-36 digits of milliseconds, 2 of the partition, 11 random (57 bits).
 *
 * Sorting by text is sorting by time of making. The partition part tells which `pj:{p<k>}` keys belong to a task
 * (DESIGN.md section 3); things without a partition use 0. */
#ifndef PJ_BASE_ID_H
#define PJ_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#define PJ_ID_LEN 22
#define PJ_ID_SIZE (PJ_ID_LEN + 1)

void pj_id_new(unsigned partition, char out[PJ_ID_SIZE]); /* partition < 1296 */
/* True for 16 to 32 characters of [0-9a-z]: what a caller may send. */
bool pj_id_is_valid(const char *s);
/* The partition of an id made by pj_id_new(); -1 when `s` is not one. */
int pj_id_partition(const char *s);

#endif
