/* hosts_impl.h - shared by hosts.c and address.c. */
#ifndef PJ_FORGE_HOSTS_IMPL_H
#define PJ_FORGE_HOSTS_IMPL_H

#include "lib/base/view.h"
#include "lib/forge/hosts.h"

/* May this be name[:port] or [v6][:port]? */
bool pj_forge_host_ok(struct pj_view host);
/* Lower case, without the port that the scheme implies; owned by the caller. */
char *pj_forge_host_normal(struct pj_view host, bool plain);

#endif
