#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "runner/patch_parse.h"
#include "runner/patch_policy.h"

#define GIT(name) "diff --git a/" name " b/" name "\n"
#define PAIR(name) "--- a/" name "\n+++ b/" name "\n"
#define ONE "@@ -1 +1 @@\n-a\n+b\n"
#define NEW_FILE(name, mode) GIT(name) "new file mode " mode "\n--- /dev/null\n+++ b/" name "\n"
#define NO_END "\\ No newline at end of file\n"

struct accepted {
    const char *what;
    const char *text;
    size_t files, hunks, added, removed;
};

static const struct accepted accepted[] = {
    {"plain pair", PAIR("x") ONE, 1, 1, 1, 1},
    {"git head", GIT("x") "index 1234567..89abcde 100644\n" PAIR("x") ONE, 1, 1, 1, 1},
    {"two files", GIT("x") PAIR("x") ONE GIT("y") PAIR("y") ONE, 2, 2, 2, 2},
    {"two hunks", PAIR("x") ONE "@@ -5,2 +5,3 @@ int main()\n c\n+d\n e\n", 1, 2, 2, 1},
    {"new file", NEW_FILE("d/x", "100755") "@@ -0,0 +1,2 @@\n+a\n+b\n", 1, 1, 2, 0},
    {"new empty file", GIT("x") "new file mode 100644\nindex 0000000..e69de29\n", 1, 0, 0, 0},
    {"deleted file",
     GIT("x") "deleted file mode 100644\n--- a/x\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n", 1, 1,
     0, 2},
    {"plain new file", "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n", 1, 1, 1, 0},
    {"mode only", GIT("x") "old mode 100644\nnew mode 100755\n", 1, 0, 0, 0},
    {"rename", "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n", 1, 0, 0,
     0},
    {"rename with change",
     "diff --git a/x b/y\nsimilarity index 90%\nrename from x\nrename to y\nindex 1234567..89abcde "
     "100644\n--- a/x\n+++ b/y\n" ONE,
     1, 1, 1, 1},
    {"copy", "diff --git a/x b/y\nsimilarity index 100%\ncopy from x\ncopy to y\n", 1, 0, 0, 0},
    {"no newline, old", PAIR("x") "@@ -1 +1 @@\n-a\n" NO_END "+b\n", 1, 1, 1, 1},
    {"no newline, new", PAIR("x") "@@ -1 +1 @@\n-a\n+b\n" NO_END, 1, 1, 1, 1},
    {"no newline, both", PAIR("x") "@@ -1 +1 @@\n-a\n" NO_END "+b\n" NO_END, 1, 1, 1, 1},
    {"no newline, context", PAIR("x") "@@ -1,2 +1,2 @@\n-a\n+b\n c\n" NO_END, 1, 1, 1, 1},
    {"crlf lines", PAIR("x") "@@ -1 +1 @@\n-a\r\n+b\r\n", 1, 1, 1, 1},
    {"empty context line", PAIR("x") "@@ -1,2 +1,2 @@\n\n-a\n+b\n", 1, 1, 1, 1},
    {"quoted name",
     "diff --git \"a/\\303\\244 \\\"b\\\"\" \"b/\\303\\244 \\\"b\\\"\"\n--- \"a/\\303\\244 "
     "\\\"b\\\"\"\n+++ \"b/\\303\\244 \\\"b\\\"\"\n" ONE,
     1, 1, 1, 1},
    {"blank in the name", GIT("a b") "--- a/a b\t\n+++ b/a b\t\n" ONE, 1, 1, 1, 1},
    {"symlink inside", NEW_FILE("d/l", "120000") "@@ -0,0 +1 @@\n+../x\n" NO_END, 1, 1, 1, 0},
    {"type change",
     GIT("x") "deleted file mode 100644\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n" NEW_FILE(
         "x", "120000") "@@ -0,0 +1 @@\n+y\n" NO_END,
     2, 2, 1, 1},
    {"binary",
     GIT("x") "new file mode 100644\nindex "
              "0000000000000000000000000000000000000000..1b31c597fcabb77453e2fa502b5ed65c4ecccb1b\n"
              "GIT binary patch\nliteral 8\nPc${NkWcvS)fr}Ra2`>T|\n\nliteral 0\nHc$@<O00001\n\n",
     1, 0, 0, 0},
    {"names like marks", PAIR("x") "@@ -1,2 +1,2 @@\n--- a/y\n-@@ -1 +1 @@\n+++ b/y\n+diff --git\n",
     1, 1, 2, 2},
    {"empty lines between entries", PAIR("x") ONE "\n" PAIR("y") ONE "\n", 2, 2, 2, 2},
};

Test(patch_parse, accepts_well_formed_patches)
{
    for (size_t i = 0; i < PJ_COUNT_OF(accepted); i++) {
        const struct accepted *a = &accepted[i];
        struct patch *patch = NULL;
        struct pj_err err = {0};
        cr_assert_eq(patch_parse(pj_view_of(a->text), NULL, &patch, &err), 0, "%s: %s", a->what,
                     err.message);
        cr_expect_eq(patch->file_count, a->files, "%s", a->what);
        cr_expect_eq(patch->hunk_count, a->hunks, "%s", a->what);
        cr_expect_eq(patch->added, a->added, "%s", a->what);
        cr_expect_eq(patch->removed, a->removed, "%s", a->what);
        patch_free(patch);
    }
}

static const struct {
    const char *what;
    const char *text;
    const char *word; /* in the message */
} refused[] = {
    {"prose", "Here is the patch:\n" PAIR("x") ONE, "line 1"},
    {"prose between", PAIR("x") ONE "And:\n" PAIR("y") ONE, "line 6"},
    {"no line feed at the end", PAIR("x") "@@ -1 +1 @@\n-a\n+b", "line feed"},
    {"count too large", PAIR("x") "@@ -1,2 +1 @@\n-a\n+b\n", "ends before"},
    {"count too small", PAIR("x") "@@ -1 +1 @@\n-a\n+b\n+c\n", "line 6"},
    {"context only", PAIR("x") "@@ -1 +1 @@\n a\n", "changes nothing"},
    {"hunk without a file", ONE, "line 1"},
    {"no hunk", PAIR("x"), "hunk must follow"},
    {"no plus line", "--- a/x\n" ONE, "+++"},
    {"entry without change", GIT("x") "index 1234567..89abcde 100644\n", "changes nothing"},
    {"parent", PAIR("../x") ONE, "leaves the tree"},
    {"parent inside", PAIR("d/../../x") ONE, "leaves the tree"},
    {"absolute", "--- a//etc/x\n+++ b//etc/x\n" ONE, "absolute"},
    {"dot part", PAIR("d/./x") ONE, "\".\""},
    {"empty part", PAIR("d//x") ONE, "empty part"},
    {"slash at the end", PAIR("d/") ONE, "empty part"},
    {"git folder", PAIR(".git/config") ONE, ".git"},
    {"git folder, case", PAIR("sub/.GiT/hooks/pre-push") ONE, ".git"},
    {"git folder, short name", PAIR("GIT~1/config") ONE, ".git"},
    {"git folder, dots", PAIR(".git. . /config") ONE, ".git"},
    {"git folder, stream", PAIR(".git::$INDEX_ALLOCATION/config") ONE, ".git"},
    {"git folder, hfs", PAIR(".g\xE2\x80\x8Cit/config") ONE, ".git"},
    {"git folder, backslash", PAIR("d\\.git\\config") ONE, ".git"},
    {"control character", "--- \"a/x\\033\"\n+++ \"b/x\\033\"\n" ONE, "control"},
    {"line feed in the name", "--- \"a/x\\n\"\n+++ \"b/x\\n\"\n" ONE, "control"},
    {"not UTF-8", "--- \"a/x\\377\"\n+++ \"b/x\\377\"\n" ONE, "UTF-8"},
    {"carriage return in the head", "--- a/x\r\n+++ b/x\r\n" ONE, "control"},
    {"no prefix", "--- x\n+++ x\n" ONE, "a/<path>"},
    {"other names", "--- a/x\n+++ b/y\n" ONE, "differ"},
    {"names against the head", GIT("x") "--- a/y\n+++ b/y\n" ONE, "agree"},
    {"twice", PAIR("x") ONE PAIR("x") ONE, "twice"},
    {"case collision",
     NEW_FILE("Readme", "100644") "@@ -0,0 +1 @@\n+a\n" NEW_FILE("README",
                                                                 "100644") "@@ -0,0 +1 @@\n+a\n",
     "case"},
    {"file and folder",
     NEW_FILE("x", "100644") "@@ -0,0 +1 @@\n+a\n" NEW_FILE("x/y", "100644") "@@ -0,0 +1 @@\n+a\n",
     "beneath"},
    {"submodule",
     GIT("s") "new file mode 160000\n--- /dev/null\n+++ b/s\n@@ -0,0 +1 @@\n+Subproject commit 1\n",
     "submodule"},
    {"set-uid", GIT("x") "old mode 100644\nnew mode 104755\n", "not allowed"},
    {"folder mode", GIT("x") "new file mode 040000\n", "not allowed"},
    {"type by mode", GIT("x") "old mode 100644\nnew mode 120000\n", "type"},
    {"symlink out", NEW_FILE("l", "120000") "@@ -0,0 +1 @@\n+../x\n" NO_END, "out of the tree"},
    {"symlink absolute", NEW_FILE("l", "120000") "@@ -0,0 +1 @@\n+/etc/passwd\n" NO_END,
     "out of the tree"},
    {"symlink into .git", NEW_FILE("l", "120000") "@@ -0,0 +1 @@\n+.git/config\n" NO_END,
     "out of the tree"},
    {"symlink through a name", NEW_FILE("d/l", "120000") "@@ -0,0 +1 @@\n+x/../../..\n" NO_END,
     "out of the tree"},
    {"symlink with a line feed", NEW_FILE("l", "120000") "@@ -0,0 +1 @@\n+x\n", "line feed"},
    {"symlink named .gitmodules", NEW_FILE(".gitmodules", "120000") "@@ -0,0 +1 @@\n+x\n" NO_END,
     "symlink"},
    {"symlink without a target", GIT("l") "new file mode 120000\n", "target"},
    {"new file with old lines", NEW_FILE("x", "100644") "@@ -1 +1 @@\n-a\n+b\n", "new file"},
    {"new file without the mode", GIT("x") "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n",
     "/dev/null"},
    {"both /dev/null", "--- /dev/null\n+++ /dev/null\n" ONE, "/dev/null"},
    {"hunks overlap", PAIR("x") "@@ -1,3 +1,3 @@\n a\n-b\n+c\n d\n@@ -3,1 +3,1 @@\n-d\n+e\n",
     "overlap"},
    {"hunks backwards", PAIR("x") "@@ -9 +9 @@\n-a\n+b\n@@ -1 +1 @@\n-a\n+b\n", "overlap"},
    {"hunk after the end", PAIR("x") "@@ -1 +1 @@\n-a\n+b\n" NO_END "@@ -5 +5 @@\n-a\n+b\n",
     "end of the file"},
    {"mark in the middle", PAIR("x") "@@ -1,2 +1,2 @@\n-a\n" NO_END "-b\n+c\n+d\n",
     "end of the file"},
    {"mark first", PAIR("x") "@@ -1 +1 @@\n" NO_END "-a\n+b\n", "mark"},
    {"line zero", PAIR("x") "@@ -0,1 +1 @@\n-a\n+b\n", "counted from 1"},
    {"huge number", PAIR("x") "@@ -99999999999 +1 @@\n-a\n+b\n", "malformed"},
    {"bad hunk head", PAIR("x") "@@ -1 +1 @@@\n-a\n+b\n", "malformed"},
    {"binary without content",
     GIT("x") "index 1234567..89abcde 100644\nBinary files a/x and b/x differ\n", "--binary"},
    {"binary without full ids",
     GIT("x") "index 1234567..89abcde 100644\nGIT binary patch\nliteral 0\nHc$@<O00001\n\nliteral "
              "0\nHc$@<O00001\n\n",
     "full object ids"},
    {"binary too large",
     GIT("x") "index "
              "0000000000000000000000000000000000000000..1b31c597fcabb77453e2fa502b5ed65c4ecccb1b "
              "100644\n"
              "GIT binary patch\nliteral 99999999\nHc$@<O00001\n\nliteral 0\nHc$@<O00001\n\n",
     "limit"},
    {"rename without its end", GIT("x") "similarity index 100%\nrename from x\n", "incomplete"},
    {"modes against the index line",
     GIT("x") "old mode 100644\nnew mode 100755\nindex 1234567..89abcde 120000\n--- a/x\n+++ "
              "b/x\n" ONE,
     "contradicts"},
    {"two kinds", GIT("x") "new file mode 100644\ndeleted file mode 100644\n", "contradicts"},
};

Test(patch_parse, r3_3_refuses_what_is_malformed_and_says_where)
{
    for (size_t i = 0; i < PJ_COUNT_OF(refused); i++) {
        struct patch *patch = NULL;
        struct pj_err err = {0};
        cr_assert_eq(patch_parse(pj_view_of(refused[i].text), NULL, &patch, &err), -1, "%s",
                     refused[i].what);
        cr_expect_str_eq(err.code, "patch_malformed", "%s", refused[i].what);
        cr_expect_not_null(strstr(err.message, refused[i].word), "%s: %s", refused[i].what,
                           err.message);
        cr_expect_not_null(strstr(err.message, "line "), "%s: %s", refused[i].what, err.message);
    }
}

Test(patch_parse, an_empty_text_is_no_patch)
{
    struct patch *patch = NULL;
    struct pj_err err;

    cr_assert_eq(patch_parse(pj_view_of(""), NULL, &patch, &err), PJ_NONE);
    cr_assert_eq(patch_parse(pj_view_of("\n\n"), NULL, &patch, &err), PJ_NONE);
}

Test(patch_parse, bounds_hold)
{
    struct patch_limits limits = {.max_files = 1};
    struct patch *patch = NULL;
    struct pj_err err;

    cr_assert_eq(patch_parse(pj_view_of(PAIR("x") ONE PAIR("y") ONE), &limits, &patch, &err), -1);
    limits = (struct patch_limits){.max_bytes = 10};
    cr_assert_eq(patch_parse(pj_view_of(PAIR("x") ONE), &limits, &patch, &err), -1);
    limits = (struct patch_limits){.max_line_bytes = 8};
    cr_assert_eq(patch_parse(pj_view_of(PAIR("x") ONE), &limits, &patch, &err), -1);
    limits = (struct patch_limits){.max_path_bytes = 2};
    cr_assert_eq(patch_parse(pj_view_of(PAIR("xyz") ONE), &limits, &patch, &err), -1);
}

/* Any cut of a valid patch is judged without harm; so is any single changed byte. */
Test(patch_parse, survives_every_cut_and_every_changed_byte)
{
    for (size_t i = 0; i < PJ_COUNT_OF(accepted); i++) {
        size_t n = strlen(accepted[i].text);
        for (size_t cut = 0; cut <= n; cut++) {
            struct patch *patch = NULL;
            struct pj_err err;
            /* An allocation of exactly the size, so that a read past the end is seen. */
            char *text = pj_alloc(cut + 1, 1);
            char *exact = pj_realloc(text, cut > 0 ? cut : 1, 1);
            memcpy(exact, accepted[i].text, cut);
            int rc = patch_parse(pj_view_n(exact, cut), NULL, &patch, &err);
            cr_assert(rc == 0 || rc == -1 || rc == PJ_NONE);
            patch_free(patch);
            patch = NULL;
            for (unsigned bit = 0; cut > 0 && bit < 8; bit++) {
                exact[cut - 1] = (char)(exact[cut - 1] ^ (1 << bit));
                rc = patch_parse(pj_view_n(exact, cut), NULL, &patch, &err);
                exact[cut - 1] = (char)(exact[cut - 1] ^ (1 << bit));
                patch_free(patch);
                patch = NULL;
            }
            free(exact);
        }
    }
}

Test(patch_policy, workflows_owners_and_secrets_need_a_person)
{
    static const struct {
        const char *text;
        bool found;
    } cases[] = {
        {PAIR("src/x") ONE, false},
        {PAIR(".github/workflows/ci.yml") ONE, true},
        {PAIR(".GitHub/Workflows/ci.yml") ONE, true},
        {PAIR(".github/CODEOWNERS") ONE, true},
        {PAIR(".coderabbit.yaml") ONE, true},
        {PAIR(".gitmodules") ONE, true},
        {"diff --git a/.github/workflows/x b/y\nsimilarity index 100%\nrename from "
         ".github/workflows/x\nrename to y\n",
         true},
        {PAIR("x") "@@ -1 +1 @@\n-a\n+key = \"ghp_0123456789abcdefghijklmnopqrstuvwxyz\"\n", true},
        {PAIR("x") "@@ -1 +1 @@\n-key = \"ghp_0123456789abcdefghijklmnopqrstuvwxyz\"\n+a\n", false},
        {PAIR("x") "@@ -1 +1 @@\n-a\n+-----BEGIN RSA PRIVATE KEY-----\n", true},
        {PAIR("x") "@@ -1 +1 @@\n-a\n+AKIAIOSFODNN7EXAMPLE\n", true},
        {PAIR("x") "@@ -1 +1 @@\n-a\n+the prefix ghp_ alone\n", false},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(cases); i++) {
        struct patch_policy policy = {0};
        struct patch_findings found;
        struct patch *patch = NULL;
        struct pj_err err = {0};
        cr_assert_eq(patch_parse(pj_view_of(cases[i].text), NULL, &patch, &err), 0, "%s",
                     err.message);
        int rc = patch_policy_check(patch, &policy, &found, &err);
        cr_expect_eq(rc < 0, cases[i].found, "%zu", i);
        if (rc < 0) {
            cr_expect_str_eq(err.code, "patch_policy");
            cr_expect_null(strstr(err.message, "0123456789abcdef"), "%s", err.message);
        }
        patch_free(patch);
    }
}

Test(patch_policy, a_repository_may_allow_and_our_own_file_passes)
{
    struct patch_policy policy = {.allow_workflows = true, .own_file = ".coderabbit.yaml"};
    struct patch_findings found;
    struct patch *patch = NULL;
    struct pj_err err;

    cr_assert_eq(
        patch_parse(pj_view_of(PAIR(".github/workflows/ci.yml") ONE PAIR(".coderabbit.yaml") ONE),
                    NULL, &patch, &err),
        0);
    cr_assert_eq(patch_policy_check(patch, &policy, &found, &err), 0);
    patch_free(patch);
}
