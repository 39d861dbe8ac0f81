#include "api/cli/config.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"

#define AT(field) offsetof(struct cli_settings, field)

const struct pj_setting cli_setting_table[] = {
    {"PJ_CA_FILE", PJ_SET_STR, AT(ca_file), NULL, 0, 0, NULL, "certificates to trust"},
    {"PJ_TOKEN", PJ_SET_SECRET, AT(token), NULL, 0, 0, NULL, "your token; `pj login` keeps it"},
    {"PJ_URL", PJ_SET_STR, AT(url), "http://127.0.0.1:8080", 0, 0, NULL, "address of the API"},
};
const size_t cli_setting_count = PJ_COUNT_OF(cli_setting_table);

static char *default_path(void)
{
    const char *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");

    if (xdg && xdg[0] == '/')
        return pj_asprintf("%s/pithyjaunt/pj.conf", xdg);
    return pj_asprintf("%s/.config/pithyjaunt/pj.conf", home && *home ? home : "/root");
}

int config_load(struct cli *cli, struct pj_settings_args *args, struct pj_err *err)
{
    const char *given = getenv("PJ_CONFIG");

    cli->config_path = given && *given ? pj_strdup(given) : default_path();
    if (!(given && *given) && pj_fs_exists(cli->config_path))
        (void)setenv("PJ_CONFIG", cli->config_path, 1);
    cli->redact = pj_redact_new();
    int rc = pj_settings_load(cli_setting_table, cli_setting_count, &cli->settings, args,
                              cli->redact, err);
    if (!(given && *given))
        (void)unsetenv("PJ_CONFIG"); /* programs that `pj up` starts have settings of their own */
    return rc;
}

void config_release(struct cli *cli)
{
    pj_settings_release(cli_setting_table, cli_setting_count, &cli->settings);
    pj_redact_free(cli->redact);
    free(cli->config_path);
}

int config_save(const struct cli *cli, const char *url, const char *token, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *dir = pj_strdup(cli->config_path);
    PJ_CLEANUP(pj_freep) char *text = pj_asprintf("PJ_URL=%s\nPJ_TOKEN=%s\n", url, token);
    char *slash = strrchr(dir, '/');

    if (slash && slash != dir) {
        *slash = '\0';
        if (pj_fs_mkdirs(dir, 0700, err) < 0)
            return -1;
    }
    return pj_fs_write_atomic(cli->config_path, text, strlen(text), 0600, err);
}
