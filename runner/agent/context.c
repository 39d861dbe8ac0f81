/* context.c - what the model sees first: who it is, the task, what is known about it, and a map of the tree.
 *
 * Everything that comes from the user's repository or from reviews stands between fences, as data. The order never changes and
 * no clock is in it, so that providers can cache the prefix. */
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/map.h"
#include "runner/agent/prompt.h"
#include "runner/agent/tools.h"
#include "runner/agent/tree.h"

#define MESSAGE_MAX ((size_t)512 << 10)
#define INSTRUCTION_MAX ((size_t)24 << 10)
#define FINDINGS_MAX 50

/* Files by which projects instruct agents, as they stand in the base commit: read before anything is changed. */
static const char *const instruction_files[] = {
    "AGENTS.md",
    "CLAUDE.md",
    ".github/copilot-instructions.md",
    "CONTRIBUTING.md",
};

static int section(struct pj_str *out, const char *file, const char *hole, const char *text,
                   struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str fenced;

    if (!text || !*text)
        return 0;
    pj_str_init(&fenced, MESSAGE_MAX);
    (void)prompt_fence(&fenced, text);
    struct prompt_value values[] = {
        {hole, pj_str_cstr(&fenced)},
    };
    return prompt_render(file, values, 1, out, err);
}

static int add_instructions(struct agent *a, struct pj_str *out, struct pj_err *err)
{
    for (size_t i = 0; i < PJ_COUNT_OF(instruction_files); i++) {
        PJ_CLEANUP(pj_str_release) struct pj_str raw;
        PJ_CLEANUP(pj_str_release) struct pj_str clean;
        PJ_CLEANUP(pj_str_release) struct pj_str fenced;
        struct pj_err ignored;

        pj_str_init(&raw, (size_t)1 << 20);
        pj_str_init(&clean, INSTRUCTION_MAX);
        pj_str_init(&fenced, MESSAGE_MAX);
        if (tree_read(a, instruction_files[i], &raw, NULL, &ignored) < 0 || raw.len == 0 ||
            tree_is_binary(raw.data, raw.len))
            continue;
        if (pj_utf8_append_clean(&clean, pj_view_n(raw.data, raw.len)) < 0 || clean.full) {
            clean.max += 64;
            (void)pj_str_puts(&clean, "\n… [cut here; read the file for the rest]\n");
        }
        (void)prompt_fence(&fenced, pj_str_cstr(&clean));
        struct prompt_value values[] = {
            {"file", instruction_files[i]},
            {"text", pj_str_cstr(&fenced)},
        };
        if (prompt_render("instructions.md", values, 2, out, err) < 0)
            return -1;
    }
    return 0;
}

static int severity_of(const json_t *finding)
{
    static const char *const order[] = {"critical", "high", "medium", "low"};

    for (int i = 0; i < 4; i++)
        if (strcmp(order[i], pj_json_str(finding, "severity", "")) == 0)
            return i;
    return 4;
}

/* Findings that suggest something come first within their severity (R2.2). */
static int rank_of(const json_t *finding)
{
    return severity_of(finding) * 2 + (*pj_json_str(finding, "suggestion", "") ? 0 : 1);
}

static void put_finding(struct pj_str *out, const json_t *finding, int number)
{
    const char *path = pj_json_str(finding, "path", NULL),
               *suggestion = pj_json_str(finding, "suggestion", "");
    int64_t line = pj_json_i64(finding, "line", 0);

    (void)pj_str_putf(out, "%d. [%s] %s", number, pj_json_str(finding, "severity", "low"),
                      pj_json_str(finding, "title", ""));
    if (path && line > 0)
        (void)pj_str_putf(out, " (%s:%lld)", path, (long long)line);
    else if (path)
        (void)pj_str_putf(out, " (%s)", path);
    (void)pj_str_putf(out, "\n   %s\n", pj_json_str(finding, "detail", ""));
    if (*suggestion)
        (void)pj_str_putf(out, "   Suggested: %s\n", suggestion);
}

static int add_findings(struct agent *a, struct pj_str *out, struct pj_err *err)
{
    const json_t *findings = json_object_get(a->task, "findings");
    const char *summary = pj_json_str(a->task, "analysisSummary", "");
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    int number = 0;

    pj_str_init(&text, (size_t)96 << 10);
    if (*summary)
        (void)pj_str_putf(&text, "%s\n\n", summary);
    for (int rank = 0; rank < 10; rank++)
        for (size_t i = 0; i < json_array_size(findings) && number < FINDINGS_MAX; i++)
            if (rank_of(json_array_get(findings, i)) == rank)
                put_finding(&text, json_array_get(findings, i), ++number);
    return section(out, "findings.md", "findings", text.len ? pj_str_cstr(&text) : NULL, err);
}

static int add_task(struct agent *a, struct pj_str *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str description;
    const char *text = pj_json_str(a->task, "description", "");

    pj_str_init(&description, MESSAGE_MAX);
    (void)prompt_fence(&description, *text ? text : "(the title says it all)");
    struct prompt_value values[] = {
        {"title", pj_json_str(a->task, "title", "")},
        {"description", pj_str_cstr(&description)},
    };
    return prompt_render("task.md", values, 2, out, err);
}

static int add_answer(struct agent *a, struct pj_str *out, struct pj_err *err)
{
    const char *question = pj_json_str(a->task, "question", NULL),
               *answer = pj_json_str(a->task, "answer", NULL);
    PJ_CLEANUP(pj_str_release) struct pj_str q;
    PJ_CLEANUP(pj_str_release) struct pj_str r;

    if (!question || !answer)
        return 0;
    pj_str_init(&q, MESSAGE_MAX);
    pj_str_init(&r, MESSAGE_MAX);
    (void)prompt_fence(&q, question);
    (void)prompt_fence(&r, answer);
    struct prompt_value values[] = {
        {"question", pj_str_cstr(&q)},
        {"answer", pj_str_cstr(&r)},
    };
    return prompt_render("answer.md", values, 2, out, err);
}

int agent_context(struct agent *a, struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str system;
    PJ_CLEANUP(pj_str_release) struct pj_str first;
    PJ_CLEANUP(pj_str_release) struct pj_str map;
    struct prompt_value root[] = {
        {"workspace", a->workspace},
    };

    pj_str_init(&system, MESSAGE_MAX);
    pj_str_init(&first, MESSAGE_MAX);
    pj_str_init(&map, MESSAGE_MAX);
    a->tree_before = tree_digest(a);
    if (prompt_render("system.md", root, 1, &system, err) < 0 || add_task(a, &first, err) < 0 ||
        add_answer(a, &first, err) < 0 ||
        section(&first, "feedback.md", "feedback", pj_json_str(a->task, "feedback", NULL), err) <
            0 ||
        add_findings(a, &first, err) < 0 || add_instructions(a, &first, err) < 0 ||
        section(&first, "checks.md", "command", pj_json_str(a->task, "checkCommand", NULL), err) <
            0)
        return -1;
    if (map_write(a, &map, err) < 0)
        return pj_err_wrap(err, "reading the work tree");
    if (section(&first, "files.md", "files", pj_str_cstr(&map), err) < 0)
        return -1;
    a->system = pj_str_take(&system);
    a->tools = tools_json();
    a->messages = json_array();
    json_array_append_new(a->messages,
                          json_pack("{s:s, s:s}", "role", "user", "text", pj_str_cstr(&first)));
    return 0;
}
