#include "tests/runner/workspace_fix.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"

static const struct gitfix_file sample[] = {
    {".gitignore", "*.o\nout/\n", false},
    {"README.md", "# Sample\n\nA sample.\n", false},
    {"run.sh", "#!/bin/sh\necho run\n", true},
    {"src/main.c", "int main(void)\n{\n    return 0;\n}\n", false},
};

void workspace_fix_begin(struct workspace_fix *fix, const struct gitfix_file *files, size_t count)
{
    char template[] = "/tmp/pj-test-XXXXXX";
    struct pj_err err;

    memset(fix, 0, sizeof(*fix));
    cr_assert_not_null(mkdtemp(template));
    fix->root = pj_strdup(template);
    fix->state = pj_asprintf("%s/state", template);
    char *remotes = pj_asprintf("%s/remotes/o", template);
    cr_assert_eq(pj_fs_mkdirs(remotes, 0755, &err), 0, "%s", err.message);
    fix->remote = gitfix_bare(remotes, "r", files != NULL ? files : sample,
                              files != NULL ? count : PJ_COUNT_OF(sample));
    free(remotes);
}

struct workspace_spec workspace_fix_spec(const struct workspace_fix *fix)
{
    return (struct workspace_spec){
        .state_dir = fix->state,
        .task_id = FIX_TASK,
        .repository_id = FIX_REPOSITORY,
        .url = fix->remote,
        .retry_base_ms = 1,
    };
}

void workspace_fix_open(struct workspace_fix *fix)
{
    struct workspace_spec spec = workspace_fix_spec(fix);
    struct pj_err err;

    cr_assert_eq(workspace_open(&spec, &fix->ws, &err), 0, "%s", err.message);
}

void workspace_fix_end(struct workspace_fix *fix)
{
    struct pj_err err;

    workspace_close(fix->ws);
    cr_expect_eq(pj_fs_remove_tree(fix->root, &err), 0, "%s", err.message);
    free(fix->root);
    free(fix->state);
    free(fix->remote);
    memset(fix, 0, sizeof(*fix));
}

char *fix_path(const struct workspace_fix *fix, const char *path)
{
    return pj_asprintf("%s/%s", workspace_tree(fix->ws), path);
}

void fix_write(const struct workspace_fix *fix, const char *path, const char *text)
{
    char *full = fix_path(fix, path);

    FILE *f = fopen(full, "w");
    cr_assert_not_null(f, "%s", full);
    cr_assert_eq(fwrite(text, 1, strlen(text), f), strlen(text));
    cr_assert_eq(fclose(f), 0);
    free(full);
}

void fix_remove(const struct workspace_fix *fix, const char *path)
{
    struct pj_err err;
    char *full = fix_path(fix, path);

    cr_assert_eq(pj_fs_remove_tree(full, &err), 0, "%s", err.message);
    free(full);
}

void fix_mkdir(const struct workspace_fix *fix, const char *path)
{
    char *full = fix_path(fix, path);

    cr_assert_eq(mkdir(full, 0755), 0, "%s", full);
    free(full);
}

void fix_link(const struct workspace_fix *fix, const char *path, const char *target)
{
    char *full = fix_path(fix, path);

    cr_assert_eq(symlink(target, full), 0, "%s", full);
    free(full);
}
