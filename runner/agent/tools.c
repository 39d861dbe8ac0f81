#include "runner/agent/tools.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/tree.h"

#define RESULT_MAX ((size_t)64 << 10)

/* clang-format off */
const struct tool tool_table[] = {
    {"list_dir",
     "List a folder of the work tree, sorted, with sizes. `.git` is left out.",
     {{"path", TOOL_STR, false, "folder, relative to the root; default \".\""},
      {"depth", TOOL_INT, false, "levels to show, 1 to 5; default 1"}},
     tool_list_dir},
    {"search",
     "Search the text files of the work tree line by line with an extended regular expression. Answers path:line:text.",
     {{"pattern", TOOL_STR, true, "extended regular expression"},
      {"path", TOOL_STR, false, "file or folder to search; default everything"},
      {"glob", TOOL_STR, false, "only files whose path or name matches, e.g. *.py"},
      {"ignore_case", TOOL_BOOL, false, "default false"}},
     tool_search},
    {"read_file",
     "Read a text file with line numbers (the number and the tab are not part of the file). Long files are cut: ask for a range.",
     {{"path", TOOL_STR, true, "file, relative to the root"},
      {"start", TOOL_INT, false, "first line, from 1"},
      {"end", TOOL_INT, false, "last line"}},
     tool_read_file},
    {"edit_file",
     "Replace text in a file. `old` must be copied exactly, white space included, and occur exactly once; take more lines of "
     "context when it does not. Line endings, mode and encoding are kept.",
     {{"path", TOOL_STR, true, "file, relative to the root"},
      {"old", TOOL_STR, true, "text as it stands in the file"},
      {"new", TOOL_STR, true, "text that takes its place"},
      {"replace_all", TOOL_BOOL, false, "replace every occurrence; default false"}},
     tool_edit_file},
    {"write_file",
     "Write a whole file: a new one, or all of an old one. Missing folders are made. Prefer edit_file for files that exist.",
     {{"path", TOOL_STR, true, "file, relative to the root"},
      {"content", TOOL_STR, true, "everything the file is to hold"},
      {"executable", TOOL_BOOL, false, "set the execute bit; default: as it was"}},
     tool_write_file},
    {"delete_path",
     "Delete a file, a link, or a folder with all it holds.",
     {{"path", TOOL_STR, true, "path, relative to the root"}},
     tool_delete_path},
    {"move_path",
     "Move or rename a file or folder. The target must not exist; missing folders are made.",
     {{"from", TOOL_STR, true, "path, relative to the root"}, {"to", TOOL_STR, true, "new path, relative to the root"}},
     tool_move_path},
    {"run",
     "Run a shell command in the work tree, e.g. the project's tests. There is no network. The answer holds the exit code and the "
     "head and tail of the output. Everything it started is ended when it returns.",
     {{"command", TOOL_STR, true, "command line for /bin/sh"},
      {"timeout_s", TOOL_INT, false, "seconds until it is killed, 1 to 600; default 120"},
      {"cwd", TOOL_STR, false, "folder to run it in, relative to the root"}},
     tool_run},
    {"finish",
     "Say that the task is done. The project's checks are run then; when they fail you get the output and go on.",
     {{"summary", TOOL_STR, true, "what was changed and why, for the pull request: a few sentences"},
      {"no_changes_reason", TOOL_STR, false, "only when nothing has to be changed: why"}},
     tool_finish},
    {"ask_clarification",
     "Stop and ask the user. Only when the task cannot be done sensibly without an answer that the work tree does not give.",
     {{"question", TOOL_STR, true, "one clear question"},
      {"options", TOOL_STRS, false, "answers to choose from, if there are any"}},
     tool_ask},
};
/* clang-format on */
const size_t tool_count = PJ_COUNT_OF(tool_table);

static const char *const type_words[] = {"string", "integer", "boolean", "array"};

static json_t *schema_of(const struct tool *tool)
{
    json_t *properties = json_object(), *required = json_array();

    for (size_t i = 0; i < TOOL_PARAMS_MAX && tool->params[i].name; i++) {
        const struct tool_param *p = &tool->params[i];
        json_t *property =
            json_pack("{s:s, s:s}", "type", type_words[p->type], "description", p->help);

        if (p->type == TOOL_STRS)
            json_object_set_new(property, "items", json_pack("{s:s}", "type", "string"));
        json_object_set_new(properties, p->name, property);
        if (p->required)
            json_array_append_new(required, json_string(p->name));
    }
    return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties, "required",
                     required, "additionalProperties", 0);
}

json_t *tools_json(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < tool_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", tool_table[i].name,
                                              "description", tool_table[i].help, "parameters",
                                              schema_of(&tool_table[i])));
    return list;
}

int tool_refuse(struct pj_str *out, const char *fmt, ...)
{
    va_list ap;

    (void)pj_str_puts(out, "error: ");
    va_start(ap, fmt);
    (void)pj_str_vputf(out, fmt, ap);
    va_end(ap);
    return PJ_NONE;
}

int tool_refuse_err(struct pj_str *out, const struct pj_err *err)
{
    return tool_refuse(out, "%s", err->message);
}

int tool_path_arg(struct agent *a, const json_t *args, const char *name, char **path,
                  struct pj_str *out)
{
    struct pj_err err;

    return tree_path(a, pj_json_str(args, name, "."), path, &err) < 0 ? tool_refuse_err(out, &err)
                                                                      : 0;
}

static bool type_fits(const json_t *value, enum tool_type type)
{
    switch (type) {
    case TOOL_STR:
        return json_is_string(value);
    case TOOL_INT:
        return json_is_integer(value);
    case TOOL_BOOL:
        return json_is_boolean(value);
    case TOOL_STRS:
        for (size_t i = 0; i < json_array_size(value); i++)
            if (!json_is_string(json_array_get(value, i)))
                return false;
        return json_is_array(value);
    }
    return false;
}

static const struct tool_param *param_of(const struct tool *tool, const char *name)
{
    for (size_t i = 0; i < TOOL_PARAMS_MAX && tool->params[i].name; i++)
        if (strcmp(tool->params[i].name, name) == 0)
            return &tool->params[i];
    return NULL;
}

static void put_schema(const struct tool *tool, struct pj_str *out)
{
    json_t *schema = schema_of(tool);
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(schema);

    json_decref(schema);
    (void)pj_str_putf(out, "\nThe parameters of %s are: %s", tool->name, text);
}

/* 0, or PJ_NONE with what is wrong and the schema. A null counts as left out. */
static int check_args(const struct tool *tool, const json_t *call, struct pj_str *out)
{
    json_t *args = json_object_get(call, "arguments"), *value;
    const char *name;

    if (!json_is_object(args)) {
        (void)tool_refuse(out, "the arguments are not a JSON object");
        put_schema(tool, out);
        return PJ_NONE;
    }
    json_object_foreach(args, name, value)
    {
        const struct tool_param *p = param_of(tool, name);
        if (p && (json_is_null(value) || type_fits(value, p->type)))
            continue;
        (void)tool_refuse(out, p ? "\"%s\" is no %s" : "unknown parameter \"%s\"", name,
                          p ? type_words[p->type] : "");
        put_schema(tool, out);
        return PJ_NONE;
    }
    for (size_t i = 0; i < TOOL_PARAMS_MAX && tool->params[i].name; i++) {
        value = json_object_get(args, tool->params[i].name);
        if (!tool->params[i].required || (value && !json_is_null(value)))
            continue;
        (void)tool_refuse(out, "\"%s\" is missing", tool->params[i].name);
        put_schema(tool, out);
        return PJ_NONE;
    }
    return 0;
}

static const struct tool *tool_find(const char *name)
{
    for (size_t i = 0; i < tool_count; i++)
        if (strcmp(tool_table[i].name, name) == 0)
            return &tool_table[i];
    return NULL;
}

static void log_call(struct agent *a, const char *name, const json_t *args, bool good, int64_t ms,
                     const char *result)
{
    const char *what = pj_json_str(args, "path", NULL);
    struct pj_view first = pj_view_of(result), rest = first;
    PJ_CLEANUP(pj_freep) char *line = NULL;

    if (!what)
        what = pj_json_str(args, "command",
                           pj_json_str(args, "pattern", pj_json_str(args, "from", "")));
    (void)pj_view_cut(&rest, '\n', &first);
    line = good ? pj_asprintf("%s %.300s", name, what)
                : pj_asprintf("%s %.300s: %.*s", name, what, (int)(first.n < 300 ? first.n : 300),
                              first.n ? first.p : "");
    agent_log(a, "tool", line,
              json_pack("{s:s, s:b, s:I, s:O?}", "tool", name, "ok", (int)good, "durationMs",
                        (json_int_t)ms, "arguments", args));
}

static void note_repeat(struct agent *a, const char *name, const json_t *call, struct pj_str *out)
{
    json_t *args = json_object_get(call, "arguments");
    PJ_CLEANUP(pj_freep)
    char *text = args ? pj_json_text(args) : pj_strdup(pj_json_str(call, "raw", ""));
    int times = agent_repeat_count(&a->repeat, name, text, pj_str_cstr(out));

    if (times >= 3)
        (void)pj_str_putf(
            out,
            "\n\n[notice: this same call has had this same result %d times; do something else]",
            times);
    a->repeats = times;
}

char *tools_call(struct agent *a, const json_t *call)
{
    const char *name = pj_json_str(call, "name", "");
    const struct tool *tool = tool_find(name);
    struct pj_str out;
    int64_t start = pj_mono_ms();
    int rc;

    pj_str_init(&out, RESULT_MAX);
    if (!tool) {
        (void)tool_refuse(&out, "there is no tool \"%.100s\"; the tools are:", name);
        for (size_t i = 0; i < tool_count; i++)
            (void)pj_str_putf(&out, " %s", tool_table[i].name);
        rc = PJ_NONE;
    } else {
        rc = check_args(tool, call, &out);
    }
    a->bad_calls = rc == 0 ? 0 : a->bad_calls + 1;
    if (rc == 0)
        rc = tool->run(a, json_object_get(call, "arguments"), &out);
    if (a->end == AGENT_GOES_ON)
        log_call(a, name, json_object_get(call, "arguments"), rc == 0, pj_mono_ms() - start,
                 pj_str_cstr(&out));
    note_repeat(a, name, call, &out);
    return pj_str_take(&out);
}
