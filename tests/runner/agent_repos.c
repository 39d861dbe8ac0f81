/* Small real repositories of many kinds: a recorded session edits the work tree, the tree is collected without trusting it, the
 * diff applies in a fresh clone by git itself, and the repository's check turns from red to green. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "runner/collect.h"
#include "tests/runner/gateway_rig.h"
#include "tests/runner/workspace_fix.h"

struct repo {
    const char *name;
    const char *needs; /* program that must be there, or NULL */
    const char *make;  /* shell script that makes the files */
    const char *check; /* shell script: red before, green after */
    const char *calls; /* tool calls of the session, one turn each */
    size_t files;      /* in the diff */
};

#define EDIT(path, old, new)                                                                       \
    "{\"toolCalls\":[{\"name\":\"edit_file\",\"arguments\":{\"path\":\"" path "\",\"old\":\"" old  \
    "\",\"new\":\"" new "\"}}]}"
#define EDIT_ALL(path, old, new)                                                                   \
    "{\"toolCalls\":[{\"name\":\"edit_file\",\"arguments\":{\"path\":\"" path "\",\"old\":\"" old  \
    "\",\"new\":\"" new "\",\"replace_all\":true}}]}"
#define WRITE(path, content)                                                                       \
    "{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"" path                     \
    "\",\"content\":\"" content "\"}}]}"
#define MOVE(from, to)                                                                             \
    "{\"toolCalls\":[{\"name\":\"move_path\",\"arguments\":{\"from\":\"" from "\",\"to\":\"" to    \
    "\"}}]}"
#define RUN(command)                                                                               \
    "{\"toolCalls\":[{\"name\":\"run\",\"arguments\":{\"command\":\"" command "\"}}]}"

/* clang-format off */
static const struct repo repos[] = {
    {"C, a bug", "cc",
     "printf 'int add(int a, int b)\\n{\\n\\treturn a - b;\\n}\\n' > calc.c\n"
     "printf 'int add(int a, int b);\\nint main(void)\\n{\\n\\treturn add(2, 3) == 5 ? 0 : 1;\\n}\\n' > test.c\n"
     "printf 'check: calc.c test.c\\n\\tcc -o t calc.c test.c && ./t\\n' > Makefile; echo t > .gitignore\n",
     "cc -o t calc.c test.c && ./t",
     RUN("cc -o t calc.c test.c && ./t") "," EDIT("calc.c", "\\treturn a - b;", "\\treturn a + b;"), 1},
    {"Python, a new function with its import", "python3",
     "printf '\"\"\"Shapes.\"\"\"\\n\\n\\ndef square(side):\\n    return side * side\\n' > shapes.py\n"
     "printf 'from shapes import circle\\n\\nassert round(circle(1), 2) == 3.14\\n' > test_shapes.py\n",
     "PYTHONDONTWRITEBYTECODE=1 python3 test_shapes.py",
     EDIT("shapes.py", "\\\"\\\"\\\"Shapes.\\\"\\\"\\\"\\n", "\\\"\\\"\\\"Shapes.\\\"\\\"\\\"\\n\\nimport math\\n") ","
     EDIT("shapes.py", "    return side * side\\n", "    return side * side\\n\\n\\ndef circle(radius):\\n    return math.pi * radius ** 2\\n"), 1},
    {"C, a rename across files", "cc",
     "for f in a b c; do printf 'int old_name(int);\\nint use_%s(void) { return old_name(1); }\\n' $f > $f.c; done\n"
     "printf 'int old_name(int x) { return x; }\\nint main(void) { return old_name(0); }\\n' > main.c\n",
     "! grep -q old_name *.c && cc -o prog a.c b.c c.c main.c && ./prog; rc=$?; rm -f prog; exit $rc",
     EDIT_ALL("a.c", "old_name", "new_name") "," EDIT_ALL("b.c", "old_name", "new_name") "," EDIT_ALL("c.c", "old_name", "new_name") ","
     EDIT_ALL("main.c", "old_name", "new_name"), 4},
    {"a file with CRLF", "perl",
     "printf 'one\\r\\ntwo\\r\\nthree\\r\\n' > dos.txt\n",
     "perl -0777 -ne 'exit($_ eq \"one\\r\\n2\\r\\n2b\\r\\nthree\\r\\n\" ? 0 : 1)' dos.txt",
     EDIT("dos.txt", "one\\ntwo", "one\\n2\\n2b"), 1},
    {"a file without a newline at its end", NULL,
     "printf '1.0' > VERSION\n",
     "test \"$(cat VERSION)\" = 2.0 && test \"$(wc -c < VERSION)\" -eq 3",
     EDIT("VERSION", "1.0", "2.0"), 1},
    {"a binary beside", NULL,
     "printf 'GIF89a\\000\\001\\377\\376' > logo.gif; cksum logo.gif > logo.sum; printf '#!/bin/sh\\nexit 1\\n' > check.sh; chmod +x check.sh\n",
     "./check.sh && cksum logo.gif | cmp - logo.sum",
     EDIT("check.sh", "exit 1", "exit 0"), 1},
    {"five thousand files", NULL,
     "for d in $(seq 50); do mkdir -p m$d; for f in $(seq 100); do echo \"value $d $f\" > m$d/f$f.txt; done; done; echo 'needle wrong' > m37/f99.txt\n",
     "test \"$(cat m37/f99.txt)\" = 'needle right'",
     "{\"toolCalls\":[{\"name\":\"search\",\"arguments\":{\"pattern\":\"needle\"}}]}," EDIT("m37/f99.txt", "wrong", "right"), 1},
    {"Perl, not UTF-8", "perl",
     "printf '# caf\\351\\nprint \"old\\\\n\";\\n' > say.pl\n",
     "test \"$(perl say.pl)\" = new && perl -0777 -ne 'exit(/caf\\xe9\\n/ ? 0 : 1)' say.pl",
     EDIT("say.pl", "old", "new"), 1},
    {"symbolic links", NULL,
     "mkdir data; echo old > data/real.txt; ln -s data/real.txt link.txt; ln -s data dirlink\n",
     "test -L link.txt && test -L dirlink && test \"$(cat link.txt)\" = new && test \"$(readlink extra)\" = data/real.txt",
     EDIT("link.txt", "old", "new") "," RUN("ln -s data/real.txt extra"), 2},
    {"a submodule", NULL,
     "mkdir -p vendor/lib; printf '[submodule \"lib\"]\\n\\tpath = vendor/lib\\n\\turl = https://example.invalid/lib.git\\n' > .gitmodules; echo old > own.txt\n"
     "git add -A; git update-index --add --cacheinfo 160000,1234567890123456789012345678901234567890,vendor/lib\n",
     "test \"$(cat own.txt)\" = new",
     EDIT("own.txt", "old", "new"), 1},
    {"shell, moved and deleted", NULL,
     "mkdir lib; printf 'greet() { echo hi; }\\n' > greet.sh; echo junk > junk.txt; printf '#!/bin/sh\\n. lib/greet.sh\\ngreet\\n' > main.sh; chmod +x main.sh; touch lib/.keep\n",
     "test \"$(./main.sh)\" = hi && test ! -e greet.sh && test ! -e junk.txt",
     MOVE("greet.sh", "lib/greet.sh") ",{\"toolCalls\":[{\"name\":\"delete_path\",\"arguments\":{\"path\":\"junk.txt\"}}]}", 3},
    {"awk, a mode and a new folder", "awk",
     "printf '1 2\\n3 4\\n' > table\n",
     "test \"$(bin/sum table)\" = 10",
     "{\"toolCalls\":[{\"name\":\"write_file\",\"arguments\":{\"path\":\"bin/sum\",\"content\":\"#!/usr/bin/awk -f\\n{ s += $1 + $2 }\\nEND { print s }\\n\",\"executable\":true}}]}", 1},
};
/* clang-format on */

/* Run a script in `dir`; its exit code. */
static int sh(const char *dir, const char *script)
{
    PJ_CLEANUP(pj_freep) char *text = pj_strdup(script);
    char path[] = "/bin/sh", flag[] = "-c";
    char *argv[] = {path, flag, text, NULL};
    char e0[] = "PATH=/usr/bin:/bin", e1[] = "GIT_CONFIG_GLOBAL=/dev/null",
         e2[] = "GIT_CONFIG_NOSYSTEM=1", e3[] = "GIT_AUTHOR_NAME=A",
         e4[] = "GIT_AUTHOR_EMAIL=a@example.org", e5[] = "GIT_COMMITTER_NAME=A",
         e6[] = "GIT_COMMITTER_EMAIL=a@example.org", e7[] = "LC_ALL=C";
    char *envp[] = {e0, e1, e2, e3, e4, e5, e6, e7, NULL};
    struct pj_spawn_fd fds[] = {
        {2, 2},
    };
    struct pj_spawn spec = {
        .path = path, .argv = argv, .envp = envp, .cwd = dir, .fds = fds, .fd_count = 1};
    struct pj_err err;
    pid_t pid;
    int status = 0;

    cr_assert_eq(pj_spawn(&spec, &pid, NULL, &err), 0, "%s", err.message);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void make_remote(struct workspace_fix *fix, const struct repo *r)
{
    PJ_CLEANUP(pj_freep)
    char *script = pj_asprintf("set -e\nrm -rf '%s'\nmkdir src\ncd src\ngit init -q -b "
                               "main\n%s\ngit add -A\ngit commit -q -m base\n"
                               "git clone -q --bare . '%s'\n",
                               fix->remote, r->make, fix->remote);

    cr_assert_eq(sh(fix->root, script), 0, "%s: the repository could not be made", r->name);
}

static void drive(struct workspace_fix *fix, const struct repo *r)
{
    PJ_CLEANUP(pj_freep)
    char *answers = pj_asprintf("{\"answers\":[%s,{\"toolCalls\":[{\"name\":\"finish\","
                                "\"arguments\":{\"summary\":\"done\"}}]}]}",
                                r->calls);
    PJ_CLEANUP(pj_freep) char *file = pj_asprintf("%s/replay.json", fix->root);
    struct rig rig;
    int rc;

    cr_assert_eq(pj_fs_write_atomic(file, answers, strlen(answers), 0600, &(struct pj_err){0}), 0);
    rig_init(&rig, "replay", NULL);
    rig.config.primary.replay_file = file;
    (void)snprintf(rig.tree, sizeof rig.tree, "%s", workspace_tree(fix->ws));
    rc = rig_run(&rig);
    cr_expect_eq(rc, 0, "%s: %s", r->name, rig.err.message);
    cr_expect_not(rig_saw(&rig, "\"ok\":false"), "%s: %s", r->name, pj_str_cstr(&rig.events));
    rig_release(&rig);
}

/* The diff in a fresh clone, by git; then the check. */
static void judge(struct workspace_fix *fix, const struct repo *r)
{
    PJ_CLEANUP(pj_freep) char *patch = pj_asprintf("%s/patch", fix->root);
    PJ_CLEANUP(pj_freep)
    char *script = pj_asprintf(
        "set -e\ngit clone -q '%s' fresh\ncd fresh\nif ( %s\n) >/dev/null 2>&1; then exit 90; "
        "fi\ngit clean -fdxq\n"
        "git apply --check '%s' || exit 91\ngit apply --index '%s'\n( %s\n) || exit 92\n",
        fix->remote, r->check, patch, patch, r->check);
    struct collect_result result = {0};
    struct pj_err err;
    int rc;

    cr_assert_eq(collect_run(fix->ws, -1, NULL, NULL, &result, &err), 0, "%s: %s", r->name,
                 err.message);
    cr_expect_eq(result.files, r->files, "%s: %zu files\n%s", r->name, result.files,
                 pj_str_cstr(&result.diff));
    cr_assert_eq(pj_fs_write_atomic(patch, result.diff.data, result.diff.len, 0600, &err), 0);
    rc = sh(fix->root, script);
    cr_expect_neq(rc, 90, "%s: green before", r->name);
    cr_expect_eq(rc, 0, "%s: %s\n%s", r->name, rc == 91 ? "does not apply" : "still red",
                 pj_str_cstr(&result.diff));
    collect_result_release(&result);
}

Test(agent_repos, a_recorded_session_turns_each_check_green)
{
    char test[100];

    for (size_t i = 0; i < PJ_COUNT_OF(repos); i++) {
        const struct repo *r = &repos[i];
        struct workspace_fix fix;

        (void)snprintf(test, sizeof test, "command -v %s >/dev/null", r->needs ? r->needs : "sh");
        if (sh("/", test) != 0) {
            (void)fprintf(stderr, "left out, %s is not installed: %s\n", r->needs, r->name);
            continue;
        }
        workspace_fix_begin(&fix, NULL, 0);
        make_remote(&fix, r);
        workspace_fix_open(&fix);
        drive(&fix, r);
        judge(&fix, r);
        workspace_fix_end(&fix);
    }
}
