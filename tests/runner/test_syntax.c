/* The table of languages: each checker that is installed takes a good file and refuses a bad one; one that is missing says so. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"
#include "runner/syntax.h"

/* clang-format off */
static const struct {
    const char *file, *text;
    int code;
} files[] = {
    {"a.c", "int f(int x)\n{\n    return x;\n}\n", SYNTAX_PARSES},
    {"b.c", "int f(int x)\n{\n    return x\n}\n", SYNTAX_BROKEN},
    {"c.c", "int f(int x)\n{\n    if (x) {\n    return x;\n}\n", SYNTAX_BROKEN},
    {"d.c", "#include \"made_by_configure.h\"\nint f(void) { return MADE; }\n", SYNTAX_UNKNOWN},
    {"e.c", "void f(void) { undeclared(1); struct made_up x = MADE; }\n", SYNTAX_UNKNOWN},
    {"f.c", "static made_up_t f(made_up_t x) { return x; }\n", SYNTAX_UNKNOWN},
    {"a.h", "#ifndef A\n#define A\nint f(int x);\n#endif\n", SYNTAX_PARSES},
    {"b.h", "int f(int x;\n", SYNTAX_BROKEN},
    {"c.h", "template <typename T> class box { T held; };\n", SYNTAX_PARSES},
    {"a.cpp", "#include <vector>\nint main() { std::vector<int> v{1, 2}; return v[0] - 1; }\n", SYNTAX_PARSES},
    {"b.cc", "class a { int x; ;\nint main() { return 0 }\n", SYNTAX_BROKEN},
    {"a.go", "package main\n\nfunc main() {}\n", SYNTAX_PARSES},
    {"b.go", "package main\n\nfunc main( {}\n", SYNTAX_BROKEN},
    {"a.js", "const a = require('fs');\nmodule.exports = { a };\n", SYNTAX_PARSES},
    {"b.js", "function a( { return 1; }\n", SYNTAX_BROKEN},
    {"c.js", "import a from './a.js';\nexport default a;\n", SYNTAX_PARSES},
    {"d.js", "export const A = () => <b>text</b>;\n", SYNTAX_UNKNOWN},
    {"f.js", "export const a = (;\n", SYNTAX_BROKEN},
    {"g.js", "with (a) { b = 1; }\n", SYNTAX_PARSES},
    {"e.mjs", "export const a = await import('./a.js'\n", SYNTAX_BROKEN},
    {"a.json", "{\"a\": [1, 2, null]}\n", SYNTAX_PARSES},
    {"b.json", "{\"a\": [1, 2,]}\n", SYNTAX_BROKEN},
    {"c.json", "\xEF\xBB\xBF{}\n", SYNTAX_PARSES},
    {"a.lua", "local a = 1\nreturn a\n", SYNTAX_PARSES},
    {"b.lua", "local a = = 1\n", SYNTAX_BROKEN},
    {"a.pl", "use strict;\nmy $a = 1;\nprint \"$a\\n\";\n", SYNTAX_PARSES},
    {"b.pl", "my $a = ;\n", SYNTAX_BROKEN},
    {"c.pm", "package c;\nuse No::Such::Module;\n1;\n", SYNTAX_UNKNOWN},
    {"a.php", "<?php\nfunction a() { return 1; }\n", SYNTAX_PARSES},
    {"b.php", "<?php\nfunction a( { return 1; }\n", SYNTAX_BROKEN},
    {"a.py", "def a():\n    return 1\n", SYNTAX_PARSES},
    {"b.py", "def a(:\n    return 1\n", SYNTAX_BROKEN},
    {"a.rb", "def a\n  1\nend\n", SYNTAX_PARSES},
    {"b.rb", "def a\n  1\n", SYNTAX_BROKEN},
    {"a.rs", "mod elsewhere;\n\nfn main() {\n    println!(\"{}\", 1);\n}\n", SYNTAX_PARSES},
    {"b.rs", "fn main( {\n", SYNTAX_BROKEN},
    {"a.sh", "if true; then echo a; fi\n", SYNTAX_PARSES},
    {"b.sh", "if true; then echo a\n", SYNTAX_BROKEN},
    {"a.toml", "[a]\nb = 1\n", SYNTAX_PARSES},
    {"b.toml", "[a\nb = 1\n", SYNTAX_BROKEN},
    {"a.ts", "import { b } from './nowhere';\nexport const a: number = b as number;\nenum C { D }\n", SYNTAX_PARSES},
    {"b.ts", "export const a: = 1;\n", SYNTAX_BROKEN},
    {"c.mts", "export default class { @deco() private readonly a?: string }\n", SYNTAX_PARSES},
    {"a.tsx", "export const A = (p: { b: string }) => <b>{p.b}</b>;\n", SYNTAX_PARSES},
    {"b.tsx", "export const A = () => <b>text</i>;\n", SYNTAX_BROKEN},
    {"a.jsx", "export const A = () => <b>text</b>;\n", SYNTAX_PARSES},
    {"a.xml", "<a><b/></a>\n", SYNTAX_PARSES},
    {"b.xml", "<a><b></a>\n", SYNTAX_BROKEN},
    {"a.yaml", "a:\n  - b: !tag c\n---\nd: e\n", SYNTAX_PARSES},
    {"b.yml", "a: [1, 2\nb: c\n", SYNTAX_BROKEN},
    {"c.yaml", "a: {{ .Values.b }}\n{{- if .c }}\n", SYNTAX_UNKNOWN},
};
/* clang-format on */

static char dir[] = "/tmp/pj-syntax-XXXXXX";

/* The script of a file's language, with the program search path `path`; its exit code. */
static int judge(const char *file, const char *other, const char *path)
{
    PJ_CLEANUP(pj_freep) char *script = syntax_script(syntax_of(file));
    PJ_CLEANUP(pj_freep) char *search = pj_asprintf("PATH=%s", path);
    PJ_CLEANUP(pj_freep) char *name = pj_asprintf("./%s", file);
    PJ_CLEANUP(pj_freep) char *second = other ? pj_asprintf("./%s", other) : NULL;
    char shell[] = "/bin/sh", flag[] = "-c", home[] = "HOME=/tmp";
    char *argv[] = {shell, flag, script, shell, name, second, NULL}, *envp[] = {search, home, NULL};
    struct pj_spawn spec = {.path = shell, .argv = argv, .envp = envp, .cwd = dir};
    struct pj_err err;
    pid_t pid;
    int status = 0;

    cr_assert_eq(pj_spawn(&spec, &pid, NULL, &err), 0, "%s", err.message);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void put_files(void)
{
    struct pj_err err;

    cr_assert_not_null(mkdtemp(dir));
    for (size_t i = 0; i < PJ_COUNT_OF(files); i++) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/%s", dir, files[i].file);
        cr_assert_eq(pj_fs_write_atomic(path, files[i].text, strlen(files[i].text), 0644, &err), 0);
    }
}

static void drop_files(void)
{
    struct pj_err err;

    cr_expect_eq(pj_fs_remove_tree(dir, &err), 0);
}

#define SEARCH "/usr/local/bin:/usr/bin:/bin"

Test(syntax, each_language_takes_good_files_and_refuses_bad_ones, .init = put_files,
     .fini = drop_files)
{
    for (size_t i = 0; i < PJ_COUNT_OF(files); i++) {
        PJ_CLEANUP(pj_freep) char *tools = syntax_tools(syntax_of(files[i].file));
        int code = judge(files[i].file, NULL, SEARCH);

        if (code == SYNTAX_NO_CHECKER)
            (void)fprintf(stderr, "%s: only the missing checker is shown, install %s\n",
                          files[i].file, tools);
        else if (code == SYNTAX_UNKNOWN && strcmp(files[i].file, "c.h") == 0 &&
                 access("/usr/bin/g++", X_OK) != 0)
            (void)fprintf(stderr, "c.h: C++ is not judged here, install g++\n");
        else
            cr_expect_eq(code, files[i].code, "%s: %d", files[i].file, code);
    }
}

/* A folder of links: these programs and no others. */
static char *only(const char *const *tools, size_t count)
{
    char *folder = pj_asprintf("%s/only", dir);

    cr_assert_eq(mkdir(folder, 0755), 0);
    for (size_t i = 0; i < count; i++) {
        PJ_CLEANUP(pj_freep) char *from = pj_asprintf("/usr/bin/%s", tools[i]);
        PJ_CLEANUP(pj_freep) char *to = pj_asprintf("%s/%s", folder, tools[i]);

        cr_assert_eq(symlink(from, to), 0);
    }
    return folder;
}

Test(syntax, a_header_of_cxx_is_no_broken_c_where_only_gcc_is_there, .init = put_files,
     .fini = drop_files)
{
    static const char *const tools[] = {"as", "env", "gcc", "grep"};
    PJ_CLEANUP(pj_freep) char *path = only(tools, PJ_COUNT_OF(tools));

    cr_expect_eq(judge("a.h", NULL, path), SYNTAX_PARSES);
    cr_expect_eq(judge("b.h", NULL, path), SYNTAX_BROKEN);
    cr_expect_eq(judge("c.h", NULL, path), SYNTAX_UNKNOWN);
}

Test(syntax, a_box_without_checkers_says_so, .init = put_files, .fini = drop_files)
{
    for (size_t i = 0; i < PJ_COUNT_OF(files); i++) {
        PJ_CLEANUP(pj_freep) char *tools = syntax_tools(syntax_of(files[i].file));

        cr_expect_eq(judge(files[i].file, NULL, "/nonexistent"), SYNTAX_NO_CHECKER, "%s",
                     files[i].file);
        cr_expect(strlen(tools) > 0);
    }
}

Test(syntax, many_files_are_as_bad_as_their_worst, .init = put_files, .fini = drop_files)
{
    cr_expect_eq(judge("a.sh", "b.sh", SEARCH), SYNTAX_BROKEN);
    cr_expect_eq(judge("b.sh", "a.sh", SEARCH), SYNTAX_BROKEN);
    cr_expect_eq(judge("a.sh", "gone.sh", SEARCH), SYNTAX_PARSES);
}

Test(syntax, every_language_has_a_row_and_a_file_here)
{
    for (const struct syntax_language *l = syntax_languages; l->name; l++) {
        bool found = false;
        for (size_t i = 0; i < PJ_COUNT_OF(files); i++)
            found |= syntax_of(files[i].file) == l;
        cr_expect(found, "no file of %s is tried", l->name);
    }
    cr_expect_null(syntax_of("notes.txt"));
    cr_expect_null(syntax_of("tsconfig.json"), "it may hold comments");
    cr_expect_null(syntax_of(".vscode/settings.json"));
    cr_expect_not_null(syntax_of("deep/down/package.json"));
    cr_expect_not_null(syntax_of("sub/Gemfile"));
}
