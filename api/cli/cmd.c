#include "api/cli/cmd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"

#define FILE_MAX (1u << 20)

int cmd_read_file(const char *path, bool trim, char **out, struct pj_err *err)
{
    struct pj_str text;
    int rc;

    pj_str_init(&text, FILE_MAX);
    rc = strcmp(path, "-") == 0 ? pj_fs_read_fd(STDIN_FILENO, &text, err)
                                : pj_fs_read(path, &text, err);
    if (rc < 0) {
        pj_str_release(&text);
        err->cls = PJ_E_INVALID; /* of what was typed: no task and no repository is missing */
        return pj_err_wrap(err, "--file");
    }
    while (trim && text.len > 0 && strchr("\r\n", text.data[text.len - 1]))
        text.data[--text.len] = '\0';
    *out = pj_str_take(&text);
    return 0;
}

void cmd_secret_freep(char **secret)
{
    if (*secret)
        pj_wipe(*secret, strlen(*secret));
    free(*secret);
}
