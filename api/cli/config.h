/* config.h - settings of `pj` and the file `pj login` keeps them in: $XDG_CONFIG_HOME/pithyjaunt/pj.conf, mode 0600. */
#ifndef API_CLI_CONFIG_H
#define API_CLI_CONFIG_H

#include "api/cli/cli.h"
#include "lib/base/settings.h"

extern const struct pj_setting cli_setting_table[];
extern const size_t cli_setting_count;

/* Fill cli->settings, cli->redact and cli->config_path from flags, environment, PJ_CONFIG or the file above. */
int config_load(struct cli *cli, struct pj_settings_args *args, struct pj_err *err) PJ_MUST_CHECK;
void config_release(struct cli *cli);
/* Remember address and token. */
int config_save(const struct cli *cli, const char *url, const char *token,
                struct pj_err *err) PJ_MUST_CHECK;

#endif
