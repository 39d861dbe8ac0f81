#include "tests/support/gitfix.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"

#define ARGS_MAX 24
#define OUTPUT_MAX (16u * 1024 * 1024)

static void die(const char *what)
{
    fprintf(stderr, "gitfix: %s: %s\n", what, strerror(errno));
    abort();
}

/* Both streams through files, so nothing can block on a full pipe. */
static char *run(const char *const *args, const char *input, bool quiet)
{
    static const char *const env[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                      "HOME=/nonexistent",
                                      "GIT_CONFIG_NOSYSTEM=1",
                                      "GIT_CONFIG_COUNT=1",
                                      "GIT_CONFIG_KEY_0=safe.directory",
                                      "GIT_CONFIG_VALUE_0=*",
                                      "GIT_AUTHOR_NAME=Fixture",
                                      "GIT_AUTHOR_EMAIL=fixture@example.org",
                                      "GIT_COMMITTER_NAME=Fixture",
                                      "GIT_COMMITTER_EMAIL=fixture@example.org",
                                      "LC_ALL=C",
                                      NULL};
    PJ_CLEANUP(pj_closep) int in = memfd_create("git-in", MFD_CLOEXEC);
    PJ_CLEANUP(pj_closep) int out = memfd_create("git-out", MFD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    struct pj_err err = {0};
    struct pj_str text;
    pid_t pid;
    int status;

    if (in < 0 || out < 0 || (input && pj_write_all(in, input, strlen(input)) < 0) ||
        lseek(in, 0, SEEK_SET) < 0)
        die("memory file");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    if (quiet)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    errno = posix_spawnp(&pid, "git", &actions, NULL, (char *const *)(uintptr_t)args,
                         (char *const *)(uintptr_t)env);
    if (errno != 0)
        die("git");
    posix_spawn_file_actions_destroy(&actions);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            die("waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return NULL;
    pj_str_init(&text, OUTPUT_MAX);
    if (lseek(out, 0, SEEK_SET) < 0 || pj_fs_read_fd(out, &text, &err) < 0)
        die("read");
    return pj_str_take(&text);
}

char *gitfix_run(const char *bare, const char *input, const char *arg, ...)
{
    PJ_CLEANUP(pj_freep) char *dir = pj_asprintf("--git-dir=%s", bare);
    const char *args[ARGS_MAX + 1] = {"git", dir};
    size_t n = 2;
    va_list ap;

    va_start(ap, arg);
    for (const char *a = arg; a && n < ARGS_MAX; a = va_arg(ap, const char *))
        args[n++] = a;
    va_end(ap);
    return run(args, input, true);
}

static char *chomp(char *s)
{
    if (s)
        s[strcspn(s, "\n")] = '\0';
    return s;
}

char *gitfix_commit(const char *bare, const char *branch, const struct gitfix_file *files,
                    size_t count, const char *message)
{
    PJ_CLEANUP(pj_freep) char *ref = pj_asprintf("refs/heads/%s", branch);
    PJ_CLEANUP(pj_freep) char *tip = gitfix_rev(bare, ref);
    PJ_CLEANUP(pj_freep) char *start = tip ? NULL : gitfix_rev(bare, "refs/heads/main");
    PJ_CLEANUP(pj_str_release) struct pj_str stream;

    pj_str_init(&stream, OUTPUT_MAX);
    pj_str_putf(&stream, "commit %s\ncommitter Fixture <fixture@example.org> 1760000000 +0000\n",
                ref);
    pj_str_putf(&stream, "data %zu\n%s\n", strlen(message), message);
    if (tip || start)
        pj_str_putf(&stream, "from %s\n", tip ? tip : start);
    for (size_t i = 0; i < count; i++) {
        if (!files[i].content) {
            pj_str_putf(&stream, "D %s\n", files[i].path);
            continue;
        }
        pj_str_putf(&stream, "M %s inline %s\ndata %zu\n",
                    files[i].executable ? "100755" : "100644", files[i].path,
                    strlen(files[i].content));
        pj_str_puts(&stream, files[i].content);
        pj_str_putc(&stream, '\n');
    }
    pj_str_puts(&stream, "done\n");
    PJ_CLEANUP(pj_freep)
    char *done = gitfix_run(bare, pj_str_cstr(&stream), "fast-import", "--quiet", "--done",
                            (const char *)NULL);
    if (!done)
        die("fast-import");
    return gitfix_rev(bare, ref);
}

char *gitfix_bare(const char *root, const char *name, const struct gitfix_file *files, size_t count)
{
    char *bare = pj_asprintf("%s/%s.git", root, name);
    const char *init[] = {"git", "init", "-q", "--bare", "--initial-branch=main", bare, NULL};
    struct pj_err err = {0};

    if (pj_fs_mkdirs(bare, 0755, &err) < 0)
        die(err.message);
    PJ_CLEANUP(pj_freep) char *done = run(init, NULL, false);
    if (!done)
        die("git init");
    if (count > 0)
        free(gitfix_commit(bare, "main", files, count, "First"));
    return bare;
}

char *gitfix_show(const char *bare, const char *spec)
{
    return gitfix_run(bare, NULL, "cat-file", "blob", spec, (const char *)NULL);
}

char *gitfix_rev(const char *bare, const char *ref)
{
    return chomp(gitfix_run(bare, NULL, "rev-parse", "-q", "--verify", ref, (const char *)NULL));
}

char *gitfix_subject(const char *bare, const char *ref)
{
    return chomp(gitfix_run(bare, NULL, "log", "-1", "--format=%s", ref, (const char *)NULL));
}

char *gitfix_branches(const char *bare)
{
    return gitfix_run(bare, NULL, "for-each-ref", "--format=%(refname:short)", "--sort=refname",
                      "refs/heads", (const char *)NULL);
}
