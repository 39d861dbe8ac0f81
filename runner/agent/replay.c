/* replay.c - a recorded session again, without gateway and model: the calls of a trajectory (JSON lines,
 * runner/gateway/README.md)
 * carried out in order on the work tree. The same tree comes out, as far as the commands in it are repeatable. */
#include "runner/agent/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/tools.h"

#define FILE_MAX ((size_t)256 << 20)

/* Ends of the session need a gateway, and change no file. */
static bool is_end(const char *name)
{
    return strcmp(name, "finish") == 0 || strcmp(name, "ask_clarification") == 0;
}

static void do_call(struct agent *a, const json_t *call)
{
    const char *name = pj_json_str(call, "name", "");
    PJ_CLEANUP(pj_freep) char *result = NULL;
    size_t first;

    if (is_end(name))
        return;
    result = tools_call(a, call);
    first = strcspn(result, "\n");
    (void)printf("%s: %.*s\n", name, (int)(first < 200 ? first : 200), result);
}

static int do_line(struct agent *a, struct pj_view line, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;
    const json_t *calls;

    if (pj_view_trim(line).n == 0)
        return 0;
    if (pj_json_parse(line, &doc, err) < 0)
        return -1;
    if (strcmp(pj_json_str(doc, "type", ""), "turn") != 0)
        return 0;
    calls = json_object_get(doc, "calls");
    for (size_t i = 0; i < json_array_size(calls); i++)
        do_call(a, json_array_get(calls, i));
    return 0;
}

int agent_replay(struct agent *a, const char *file, struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_view rest, line;
    size_t number = 0;

    pj_str_init(&text, FILE_MAX);
    if (pj_fs_read(file, &text, err) < 0)
        return pj_err_wrap(err, "the trajectory");
    rest = pj_view_n(pj_str_cstr(&text), text.len);
    while (pj_view_cut(&rest, '\n', &line)) {
        number++;
        if (do_line(a, line, err) < 0)
            return pj_err_wrap(err, "%s, line %zu", file, number);
    }
    return 0;
}
