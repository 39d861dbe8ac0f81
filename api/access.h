/* access.h - finds the task or repository that a path names, if the caller may see it.
 *
 * An admin sees and changes everything; a user his own, and shared repositories and the tasks in them for reading. What one may
 * not see is 404; what one may see but not change is 403. */
#ifndef API_ACCESS_H
#define API_ACCESS_H

#include <stdbool.h>
#include "api/request.h"

/* Called with req->task (or req->repo) set. */
typedef void access_then(struct request *req);

/* The task of the path's first parameter. */
void access_task(struct request *req, bool change, access_then *then);
/* The repository `id`; It is the caller's own, shared, or 404. */
void access_repo(struct request *req, const char *id, bool change, access_then *then);

#endif
