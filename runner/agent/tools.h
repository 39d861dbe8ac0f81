/* tools.h - what the model may do, as a table: name, words, parameters, handler.
 *
 * A handler writes its result into `out` and returns 0, or PJ_NONE when the result tells of a mistake the model can correct.
 * Arguments were checked against the parameters before. */
#ifndef AGENT_TOOLS_H
#define AGENT_TOOLS_H

#include "runner/agent/agent.h"

enum tool_type { TOOL_STR, TOOL_INT, TOOL_BOOL, TOOL_STRS };

#define TOOL_PARAMS_MAX 6
struct tool_param {
    const char *name;
    enum tool_type type;
    bool required;
    const char *help;
};

struct tool {
    const char *name, *help;
    struct tool_param params[TOOL_PARAMS_MAX]; /* a NULL name ends them */
    int (*run)(struct agent *a, const json_t *args, struct pj_str *out);
};

extern const struct tool tool_table[];
extern const size_t tool_count;

/* The table as the model gets it. */
json_t *tools_json(void);
/* Carry out one call {id,name,arguments|raw}: its result's text, owned by the caller, never NULL. Counts bad calls and repeats. */
char *tools_call(struct agent *a, const json_t *call);

int tool_list_dir(struct agent *a, const json_t *args, struct pj_str *out);
int tool_read_file(struct agent *a, const json_t *args, struct pj_str *out);
int tool_search(struct agent *a, const json_t *args, struct pj_str *out);
int tool_edit_file(struct agent *a, const json_t *args, struct pj_str *out);
int tool_write_file(struct agent *a, const json_t *args, struct pj_str *out);
int tool_delete_path(struct agent *a, const json_t *args, struct pj_str *out);
int tool_move_path(struct agent *a, const json_t *args, struct pj_str *out);
int tool_run(struct agent *a, const json_t *args, struct pj_str *out);
int tool_finish(struct agent *a, const json_t *args, struct pj_str *out);
int tool_ask(struct agent *a, const json_t *args, struct pj_str *out);

/* "text" into out; PJ_NONE. */
int tool_refuse(struct pj_str *out, const char *fmt, ...) PJ_PRINTF(2, 3);
int tool_refuse_err(struct pj_str *out, const struct pj_err *err);
/* A required path argument, checked and made relative; 0 or PJ_NONE with the refusal written. */
int tool_path_arg(struct agent *a, const json_t *args, const char *name, char **path,
                  struct pj_str *out);

/* edit_near.c: the lines of `text` that are most like `wanted`, numbered, for a hint. */
void edit_near(struct pj_str *out, struct pj_view text, struct pj_view wanted);

#endif
