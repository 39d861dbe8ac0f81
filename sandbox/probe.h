/* probe.h - which gates of this host are open: cause and remedy for each closed one. */
#ifndef SANDBOX_PROBE_H
#define SANDBOX_PROBE_H

#include <stdbool.h>
#include "lib/base/str.h"

/* True when this process is root with CAP_SYS_ADMIN, that is, may mount on its own account. */
bool probe_is_privileged(void);
/* Try each gate and append lines for people, or one JSON object:
 * {"ok":bool,"mode":…,"gates":[{"name","open","errno","cause","remedy","needed"}]}. Returns true
 * when a box can be had. Leaves nothing behind. */
bool probe_report(struct pj_str *out, bool for_people);

#endif
