/* diff_view.h - a unified diff as JSON for pages and tools: files, counts, hunk headers. Shows, does not judge: also a diff that
 * was refused can be looked at. */
#ifndef API_DIFF_VIEW_H
#define API_DIFF_VIEW_H

#include <jansson.h>
#include "lib/base/view.h"
#include "lib/task/task.h"

/* {files:[{path,oldPath,added,removed,hunks:[{header,rejected,reason}]}]}. Rejected are the hunks that the task's `rejects` name;
 * where a workflow reported the end there is no such list: then those of the file that its error patch_conflict names. */
json_t *diff_view(struct pj_view diff, const struct pj_task *task);

#endif
