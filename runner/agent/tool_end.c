/* tool_end.c - finish and ask_clarification: the ways out of the loop. */
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/agent/tools.h"
#include "runner/agent/tree.h"

/* Send the end and wait for the gateway's word: 0 accepted, PJ_NONE with feedback in `out`. */
static int conclude(struct agent *a, const json_t *frame, struct pj_str *out)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *reply = NULL;
    struct pj_err err;

    if (agent_send(a, frame, &err) < 0 || agent_recv(a, &reply, &err) < 0) {
        a->end = AGENT_DONE; /* nobody is left to go on for */
        return tool_refuse_err(out, &err);
    }
    if (strcmp(pj_json_str(reply, "type", ""), "feedback") == 0) {
        (void)pj_str_puts(out, "Not done yet. The checks say:\n");
        (void)pj_str_puts(out, pj_json_str(reply, "text", ""));
        return PJ_NONE;
    }
    a->end = AGENT_DONE;
    (void)pj_str_puts(out, "accepted");
    return 0;
}

int tool_finish(struct agent *a, const json_t *args, struct pj_str *out)
{
    const char *reason = pj_json_str(args, "no_changes_reason", NULL),
               *summary = pj_json_str(args, "summary", "");
    bool changed = tree_digest(a) != a->tree_before;
    PJ_CLEANUP(pj_json_decrefp) json_t *frame = NULL;

    if (!changed && !(reason && *reason))
        return tool_refuse(out, "nothing in the work tree has changed. Make the change first, or "
                                "give no_changes_reason");
    if (!*summary)
        return tool_refuse(out, "the summary is empty");
    if (changed)
        reason = NULL; /* a change speaks for itself */
    frame = json_pack("{s:s, s:s, s:s*}", "type", "finish", "summary", summary, "noChangesReason",
                      reason);
    agent_log(a, "tool", "finish", json_pack("{s:s, s:s}", "tool", "finish", "summary", summary));
    return conclude(a, frame, out);
}

int tool_ask(struct agent *a, const json_t *args, struct pj_str *out)
{
    json_t *options = json_object_get(args, "options");
    const char *question = pj_json_str(args, "question", "");
    PJ_CLEANUP(pj_json_decrefp) json_t *frame = NULL;

    if (!*question)
        return tool_refuse(out, "the question is empty");
    frame = json_pack("{s:s, s:s, s:O*}", "type", "ask", "question", question, "options",
                      json_is_array(options) ? options : NULL);
    agent_log(a, "tool", "ask_clarification",
              json_pack("{s:s, s:s}", "tool", "ask_clarification", "question", question));
    return conclude(a, frame, out);
}
