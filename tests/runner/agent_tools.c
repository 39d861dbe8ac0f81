/* The agent's tools on a real tree, without a gateway. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/tools.h"
#include "runner/agent/tree.h"

struct box {
    char dir[64];
    struct agent a;
};

static void box_init(struct box *b)
{
    memset(b, 0, sizeof *b);
    (void)snprintf(b->dir, sizeof b->dir, "/tmp/pj-tools-XXXXXX");
    cr_assert_not_null(mkdtemp(b->dir));
    b->a.workspace = b->dir;
    b->a.root_fd = open(b->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    pj_link_init(&b->a.link, -1);
}

static void box_release(struct box *b)
{
    struct pj_err err;

    close(b->a.root_fd);
    pj_link_release(&b->a.link);
    cr_expect_eq(pj_fs_remove_tree(b->dir, &err), 0);
}

static void put(struct box *b, const char *path, const char *bytes, size_t n)
{
    char *full = pj_asprintf("%s/%s", b->dir, path), *slash = strrchr(full, '/');
    struct pj_err err;

    *slash = '\0';
    cr_assert_eq(pj_fs_mkdirs(full, 0755, &err), 0);
    *slash = '/';
    cr_assert_eq(pj_fs_write_atomic(full, bytes, n, 0644, &err), 0);
    free(full);
}

static void put_text(struct box *b, const char *path, const char *text)
{
    put(b, path, text, strlen(text));
}

static void expect_file(struct box *b, const char *path, const char *bytes, size_t n)
{
    struct pj_str text;
    struct pj_err err;

    pj_str_init(&text, 1 << 20);
    cr_assert_eq(tree_read(&b->a, path, &text, NULL, &err), 0, "%s", err.message);
    cr_expect(text.len == n && memcmp(pj_str_cstr(&text), bytes, n) == 0, "%s is: %s", path,
              pj_str_cstr(&text));
    pj_str_release(&text);
}

/* Call a tool; the result must hold `part`. */
static void call(struct box *b, const char *name, const char *arguments, const char *part)
{
    struct pj_err err;
    json_t *args = NULL, *doc;
    char *text;

    cr_assert_eq(pj_json_parse(pj_view_of(arguments), &args, &err), 0, "%s: %s", arguments,
                 err.message);
    doc = json_pack("{s:s, s:s, s:o}", "id", "c1", "name", name, "arguments", args);
    text = tools_call(&b->a, doc);
    cr_expect_not_null(strstr(text, part), "%s %s\n%s", name, arguments, text);
    free(text);
    json_decref(doc);
}

Test(agent_tools, reads_with_numbers_and_says_what_is_special)
{
    struct box b;

    box_init(&b);
    put_text(&b, "a.txt", "one\ntwo\nthree\n");
    put_text(&b, "dos.txt", "one\r\ntwo");
    put(&b, "bin",
        "\x7f"
        "ELF\0\0",
        6);
    put(&b, "latin", "caf\xe9\n", 5);
    put_text(&b, "empty", "");
    call(&b, "read_file", "{\"path\":\"a.txt\"}", "     1\tone\n     2\ttwo\n     3\tthree\n");
    call(&b, "read_file", "{\"path\":\"./a.txt\",\"start\":2,\"end\":2}", "     2\ttwo\n");
    call(&b, "read_file", "{\"path\":\"a.txt\",\"start\":9}", "the file has 3 lines");
    call(&b, "read_file", "{\"path\":\"dos.txt\"}", "CRLF");
    call(&b, "read_file", "{\"path\":\"dos.txt\"}", "no newline at the end");
    call(&b, "read_file", "{\"path\":\"bin\"}", "error: bin is a binary file of 6 bytes");
    call(&b, "read_file", "{\"path\":\"latin\"}", "not UTF-8");
    call(&b, "read_file", "{\"path\":\"empty\"}", "empty");
    call(&b, "read_file", "{\"path\":\".\"}", "is a folder");
    call(&b, "read_file", "{\"path\":\"none\"}", "No such file");
    box_release(&b);
}

Test(agent_tools, stays_beneath_the_tree)
{
    struct box b;
    char *args;

    box_init(&b);
    put_text(&b, "dir/in.txt", "in\n");
    cr_assert_eq(symlinkat("/etc/passwd", b.a.root_fd, "out"), 0);
    cr_assert_eq(symlinkat("dir/in.txt", b.a.root_fd, "within"), 0);
    cr_assert_eq(symlinkat("/", b.a.root_fd, "root"), 0);
    call(&b, "read_file", "{\"path\":\"../../etc/passwd\"}", "error: ");
    call(&b, "read_file", "{\"path\":\"/etc/passwd\"}", "outside the work tree");
    call(&b, "read_file", "{\"path\":\"out\"}", "leads out of the work tree");
    call(&b, "read_file", "{\"path\":\"root/etc/passwd\"}", "leads out of the work tree");
    call(&b, "read_file", "{\"path\":\"within\"}", "1\tin");
    call(&b, "write_file", "{\"path\":\"out\",\"content\":\"x\"}", "leads out");
    call(&b, "write_file", "{\"path\":\"root/tmp/pj-x\",\"content\":\"x\"}", "leads out");
    call(&b, "delete_path", "{\"path\":\"root/etc\"}", "leads out");
    call(&b, "delete_path", "{\"path\":\".\"}", "root of the work tree");
    call(&b, "move_path", "{\"from\":\"dir\",\"to\":\"../dir\"}", "error: ");
    args = pj_asprintf("{\"path\":\"%s/dir/in.txt\"}", b.dir);
    call(&b, "read_file", args, "1\tin");
    free(args);
    call(&b, "read_file", "{\"path\":\"a\\u0001b\"}", "control character");
    box_release(&b);
}

Test(agent_tools, edits_exactly_one_place)
{
    struct box b;

    box_init(&b);
    put_text(&b, "a.c", "int a;\nint b;\nint a;\n");
    call(&b, "edit_file", "{\"path\":\"a.c\",\"old\":\"int a;\",\"new\":\"long a;\"}",
         "occurs 2 times in a.c (lines 1, 3)");
    expect_file(&b, "a.c", "int a;\nint b;\nint a;\n", 21);
    call(&b, "edit_file", "{\"path\":\"a.c\",\"old\":\"int b;\\nint a;\",\"new\":\"int c;\"}",
         "replaced 1 place in a.c (line 2)");
    expect_file(&b, "a.c", "int a;\nint c;\n", 14);
    put_text(&b, "a.c", "x x x");
    call(&b, "edit_file", "{\"path\":\"a.c\",\"old\":\"x\",\"new\":\"yy\",\"replace_all\":true}",
         "replaced places");
    expect_file(&b, "a.c", "yy yy yy", 8);
    call(&b, "edit_file", "{\"path\":\"a.c\",\"old\":\"\",\"new\":\"z\"}", "is empty");
    call(&b, "edit_file", "{\"path\":\"a.c\",\"old\":\"yy\",\"new\":\"yy\"}", "are the same");
    box_release(&b);
}

Test(agent_tools, shows_the_nearest_lines_on_a_miss)
{
    struct box b;

    box_init(&b);
    put_text(&b, "m.py", "import os\n\ndef main():\n\tvalue = compute(1)\n\treturn value\n");
    call(&b, "edit_file",
         "{\"path\":\"m.py\",\"old\":\"    value = compute(1)\\n    return value\",\"new\":\"x\"}",
         "     4\t\tvalue = compute(1)");
    call(&b, "edit_file",
         "{\"path\":\"m.py\",\"old\":\"    value = compute(1)\\n    return value\",\"new\":\"x\"}",
         "Only the white space differs");
    call(&b, "edit_file", "{\"path\":\"m.py\",\"old\":\"value = compute(2)\",\"new\":\"x\"}",
         "     4\t\tvalue = compute(1)");
    call(&b, "edit_file", "{\"path\":\"m.py\",\"old\":\"@@@@@@@@\",\"new\":\"x\"}",
         "Nothing in the file is like it");
    box_release(&b);
}

Test(agent_tools, keeps_line_ends_bom_mode_and_a_missing_newline)
{
    struct box b;
    struct stat st;

    box_init(&b);
    put_text(&b, "dos.txt",
             "\xEF\xBB\xBF"
             "one\r\ntwo\r\nthree");
    cr_assert_eq(fchmodat(b.a.root_fd, "dos.txt", 0755, 0), 0);
    call(&b, "edit_file", "{\"path\":\"dos.txt\",\"old\":\"one\\ntwo\",\"new\":\"1\\n2\\n2b\"}",
         "replaced 1 place");
    expect_file(&b, "dos.txt",
                "\xEF\xBB\xBF"
                "1\r\n2\r\n2b\r\nthree",
                18);
    call(&b, "edit_file", "{\"path\":\"dos.txt\",\"old\":\"three\",\"new\":\"3\\n4\"}",
         "replaced 1 place");
    expect_file(&b, "dos.txt",
                "\xEF\xBB\xBF"
                "1\r\n2\r\n2b\r\n3\r\n4",
                17);
    cr_assert_eq(fstatat(b.a.root_fd, "dos.txt", &st, 0), 0);
    cr_assert_eq(st.st_mode & 0777, 0755);
    put(&b, "latin", "caf\xe9 old\n", 9);
    call(&b, "edit_file", "{\"path\":\"latin\",\"old\":\"old\",\"new\":\"new\"}",
         "replaced 1 place");
    expect_file(&b, "latin", "caf\xe9 new\n", 9);
    box_release(&b);
}

Test(agent_tools, writes_moves_and_deletes)
{
    struct box b;
    struct stat st;

    box_init(&b);
    call(&b, "write_file",
         "{\"path\":\"a/b/c.sh\",\"content\":\"#!/bin/sh\\n\",\"executable\":true}",
         "wrote a/b/c.sh, 10 bytes");
    cr_assert_eq(fstatat(b.a.root_fd, "a/b/c.sh", &st, 0), 0);
    cr_assert(st.st_mode & S_IXUSR);
    call(&b, "write_file", "{\"path\":\"a/b/c.sh\",\"content\":\"x\"}", "rewrote");
    cr_assert_eq(fstatat(b.a.root_fd, "a/b/c.sh", &st, 0), 0);
    cr_assert(st.st_mode & S_IXUSR, "the mode stays");
    call(&b, "write_file", "{\"path\":\"a/b\",\"content\":\"x\"}", "is a folder");
    call(&b, "write_file", "{\"path\":\"a/b/c.sh/d\",\"content\":\"x\"}", "error: ");
    call(&b, "move_path", "{\"from\":\"a/b/c.sh\",\"to\":\"z/y.sh\"}", "moved a/b/c.sh to z/y.sh");
    put_text(&b, "taken", "t");
    call(&b, "move_path", "{\"from\":\"z/y.sh\",\"to\":\"taken\"}", "exists already");
    call(&b, "move_path", "{\"from\":\"z\",\"to\":\"z/inside\"}", "error: ");
    call(&b, "delete_path", "{\"path\":\"z\"}", "deleted z and all it held");
    call(&b, "delete_path", "{\"path\":\"z\"}", "No such file");
    cr_assert_lt(fstatat(b.a.root_fd, "z", &st, 0), 0);
    box_release(&b);
}

Test(agent_tools, searches_and_lists)
{
    struct box b;

    box_init(&b);
    put_text(&b, "src/a.py", "def alpha():\n    return 12\n");
    put_text(&b, "src/b.py", "def beta(x):\n    pass\n");
    put_text(&b, "doc/x.md", "alpha\n");
    put_text(&b, ".git/config", "alpha\n");
    put(&b, "bin", "alpha\0", 6);
    call(&b, "search", "{\"pattern\":\"alpha\"}",
         "doc/x.md:1:alpha\nsrc/a.py:1:def alpha():\n[1 binary");
    call(&b, "search", "{\"pattern\":\"^def (?:al|be)\\\\w+\\\\(\",\"glob\":\"*.py\"}",
         "src/a.py:1:def alpha():\nsrc/b.py:1:def beta(x):\n");
    call(&b, "search", "{\"pattern\":\"\\\\d+$\"}", "src/a.py:2:    return 12");
    call(&b, "search", "{\"pattern\":\"(?i)ALPHA\",\"path\":\"src\"}", "src/a.py:1:");
    call(&b, "search", "{\"pattern\":\"beta(\",\"path\":\"src/b.py\"}",
         "no regular expression; searched as plain text]\nsrc/b.py:1:def beta(x):");
    call(&b, "search", "{\"pattern\":\"gamma\"}", "no match in 3 files");
    call(&b, "list_dir", "{}", "bin  6 bytes\ndoc/\nsrc/\n");
    call(&b, "list_dir", "{\"path\":\"src\"}", "src/a.py  27 bytes\nsrc/b.py  22 bytes\n");
    call(&b, "list_dir", "{\"depth\":2}", "doc/\ndoc/x.md  6 bytes\nsrc/\n");
    box_release(&b);
}

Test(agent_tools, runs_commands_within_their_limits)
{
    struct box b;
    int64_t start;

    box_init(&b);
    put_text(&b, "sub/f", "x");
    call(&b, "run", "{\"command\":\"echo out; echo err >&2; exit 3\"}", "exit code 3");
    call(&b, "run", "{\"command\":\"ls\",\"cwd\":\"sub\"}", "f\n");
    call(&b, "run", "{\"command\":\"kill -9 $$\"}", "killed by signal 9");
    call(&b, "run", "{\"command\":\"true\"}", "(no output)");
    call(&b, "run", "{\"command\":\"seq 1 100000\"}", "bytes left out");
    call(&b, "run", "{\"command\":\"seq 1 100000\"}", "\n99999\n100000\n");
    start = pj_mono_ms();
    call(&b, "run",
         "{\"command\":\"echo begun; trap '' TERM; sleep 60 & sleep 60\",\"timeout_s\":1}",
         "killed after 1 s (time limit)");
    call(&b, "run", "{\"command\":\"sleep 60 & echo left\"}", "left\n");
    call(&b, "run", "{\"command\":\"setsid sleep 5 & echo escaped\"}", "escaped\n");
    cr_assert_lt(pj_mono_ms() - start, 5000);
    call(&b, "run", "{\"command\":\"true\",\"timeout_s\":0}", "1 to 600");
    box_release(&b);
}

Test(agent_tools, answers_mistakes_with_the_schema)
{
    struct box b;

    box_init(&b);
    call(&b, "fly", "{}", "there is no tool \"fly\"; the tools are: list_dir search");
    cr_assert_eq(b.a.bad_calls, 1);
    call(&b, "read_file", "{}",
         "\"path\" is missing\nThe parameters of read_file are: {\"type\":\"object\"");
    call(&b, "read_file", "{\"path\":7}", "\"path\" is no string");
    cr_assert_eq(b.a.bad_calls, 3);
    call(&b, "read_file", "{\"path\":\"x\",\"start\":null}", "No such file");
    cr_assert_eq(b.a.bad_calls, 0);
    call(&b, "read_file", "{\"path\":\"x\",\"lines\":3}", "unknown parameter \"lines\"");
    box_release(&b);
}

Test(agent_tools, notices_the_same_call_with_the_same_result)
{
    struct box b;

    box_init(&b);
    put_text(&b, "a", "1\n");
    call(&b, "read_file", "{\"path\":\"a\"}", "1\t1");
    call(&b, "read_file", "{\"path\":\"a\"}", "1\t1");
    call(&b, "read_file", "{\"path\":\"a\"}", "had this same result 3 times");
    put_text(&b, "a", "2\n");
    call(&b, "read_file", "{\"path\":\"a\"}", "1\t2");
    cr_assert_eq(b.a.repeats, 1);
    box_release(&b);
}
