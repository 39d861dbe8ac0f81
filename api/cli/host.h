/* host.h - the verbs that work on the host itself, beside the API: Redis by PJ_REDIS_URL, and the other programs. */
#ifndef API_CLI_HOST_H
#define API_CLI_HOST_H

#include "lib/base/str.h"
#include "lib/store/conn.h"

/* Connected by these settings; `ca_file` is PJ_CA_FILE. */
int host_redis_at(const struct pj_redis_settings *settings, const char *ca_file,
                  struct pj_redis **out, struct pj_err *err) PJ_MUST_CHECK;
/* Connected, by the settings PJ_REDIS_URL and its kin of the environment or PJ_CONFIG. */
int host_redis(struct pj_redis **out, struct pj_err *err) PJ_MUST_CHECK;
/* Run one of our programs with one argument to its end, with PJ_CONFIG set to `config` (NULL: as it is); what it prints (both
 * streams) goes to `out`. Returns its exit code, or -1. */
int host_run(const char *program, const char *argument, const char *config, struct pj_str *out,
             struct pj_err *err) PJ_MUST_CHECK;

/* Become one of our programs with these words. Returns only when that fails. */
void host_become(const char *program, int argc, char **argv, struct pj_err *err);

#endif
