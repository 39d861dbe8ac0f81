#include "runner/agent/diff.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/map.h"
#include "runner/agent/prompt.h"

#define CONTENTS_MAX ((size_t)160 << 10)
#define MESSAGE_MAX ((size_t)1 << 20)

static bool holds_diff(struct pj_view text)
{
    bool old = false;
    struct pj_view line;

    while (pj_view_cut(&text, '\n', &line)) {
        if (old && pj_view_starts(line, "+++ "))
            return true;
        old = pj_view_starts(line, "--- ");
        if (pj_view_starts(line, "diff --git "))
            return true;
    }
    return false;
}

static size_t ticks(struct pj_view line)
{
    size_t n = 0;

    while (n < line.n && line.p[n] == '`')
        n++;
    return n;
}

/* Append the content of each fenced block that holds a diff. */
static bool from_fences(struct pj_view text, struct pj_str *out)
{
    const char *start = NULL;
    size_t fence = 0;
    bool found = false;
    struct pj_view line;

    while (pj_view_cut(&text, '\n', &line)) {
        size_t n = ticks(line);

        if (!start && n >= 3) {
            fence = n;
            start = line.p + line.n + 1;
        } else if (start && n >= fence && pj_view_trim(pj_view_n(line.p + n, line.n - n)).n == 0) {
            struct pj_view block = pj_view_n(start, (size_t)(line.p - start));
            if (holds_diff(block)) {
                (void)pj_str_append(out, block.p, block.n);
                found = true;
            }
            start = NULL;
        }
    }
    return found;
}

bool diff_extract(const char *text, struct pj_str *out)
{
    struct pj_view rest = pj_view_of(text), line;

    if (from_fences(rest, out))
        return true;
    while (pj_view_cut(&rest, '\n', &line)) {
        bool header = pj_view_starts(line, "diff --git ") ||
                      (pj_view_starts(line, "--- ") && pj_view_starts(rest, "+++ "));
        if (!header)
            continue;
        (void)pj_str_puts(out, line.p);
        if (out->len > 0 && out->data[out->len - 1] != '\n')
            (void)pj_str_putc(out, '\n');
        return true;
    }
    return false;
}

int diff_begin(struct agent *a, struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str system;
    PJ_CLEANUP(pj_str_release) struct pj_str first;
    PJ_CLEANUP(pj_str_release) struct pj_str contents;

    pj_str_init(&system, MESSAGE_MAX);
    pj_str_init(&first, MESSAGE_MAX);
    pj_str_init(&contents, MESSAGE_MAX);
    if (map_contents(a, CONTENTS_MAX, &contents, err) < 0)
        return -1;
    struct prompt_value values[] = {
        {"contents", pj_str_cstr(&contents)},
    };
    (void)pj_str_puts(&first, pj_json_str(json_array_get(a->messages, 0), "text", ""));
    if (prompt_render("diff_system.md", NULL, 0, &system, err) < 0 ||
        prompt_render("diff_files.md", values, 1, &first, err) < 0)
        return -1;
    agent_log(a, "warn", "the model cannot use tools: it is asked for a unified diff instead",
              NULL);
    free(a->system);
    a->system = pj_str_take(&system);
    json_array_clear(a->tools);
    json_array_clear(a->messages);
    json_array_append_new(a->messages,
                          json_pack("{s:s, s:s}", "role", "user", "text", pj_str_cstr(&first)));
    a->diff_mode = true;
    return 0;
}

int diff_hand_over(struct agent *a, const char *diff, const char *summary, char **feedback,
                   struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp)
    json_t *frame = json_pack("{s:s, s:s, s:s}", "type", "diff", "diff", diff, "summary", summary);
    PJ_CLEANUP(pj_json_decrefp) json_t *reply = NULL;

    if (agent_send(a, frame, err) < 0 || agent_recv(a, &reply, err) < 0)
        return -1;
    if (strcmp(pj_json_str(reply, "type", ""), "feedback") == 0) {
        *feedback = pj_strdup(pj_json_str(reply, "text", ""));
        return PJ_NONE;
    }
    a->end = AGENT_DONE;
    return 0;
}
