/* scene.h - the stage most scenarios share: a world, a scripted model, a remote with a small project, connected.
 *
 * The project has a check command (`sh check.sh`, green) so that the whole path runs. The model's answers are tool calls of
 * pj-agent; SCENE_WRITE and SCENE_FINISH are the two everybody needs. */
#ifndef TESTS_SCENARIOS_SCENE_H
#define TESTS_SCENARIOS_SCENE_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/support/world.h"

struct scene {
    struct world w;
    struct model_server *model;
    struct forge_server *forge; /* NULL: the remote is a path */
    char *remote;               /* path of the bare repository */
    char *repo;                 /* its id at the API */
};

#define SCENE_WRITE(path, content)                                                                 \
    {                                                                                              \
        .text = "I write the file.", .calls = {                                                    \
            {"write_file", "{\"path\":\"" path "\",\"content\":\"" content "\"}"}                  \
        }                                                                                          \
    }
#define SCENE_RUN(command)                                                                         \
    {                                                                                              \
        .text = "I run a command.", .calls = { {"run", "{\"command\":\"" command "\"}"} }          \
    }
#define SCENE_FINISH                                                                               \
    {                                                                                              \
        .text = "Done.", .calls = { {"finish", "{\"summary\":\"The file is written.\"}"} }         \
    }

/* Two tasks that write a file each; the model holds its first answer back until model_server_release(). */
extern const struct model_answer scene_gated[4];

/* World and model, nothing started: the place for world_set(). */
void scene_prepare(struct scene *s, const struct model_answer *answers, size_t count);
/* API, one runner, the remote (path), connected with `extra` JSON members. */
void scene_open(struct scene *s, const char *extra);
/* The same over the forge stand-in: smart HTTP with a token, pull requests. */
void scene_open_forge(struct scene *s, const char *extra);
/* prepare and open. */
void scene_start(struct scene *s, const struct model_answer *answers, size_t count);
/* Ends all; fails when the model was sent something a real one refuses, or when something of a box is left. */
void scene_stop(struct scene *s);

/* Create and execute a task; its id, owned by the caller. */
char *scene_run(struct scene *s, const char *title);
/* pj/<id>, owned by the caller. */
char *scene_branch(const char *task);
/* What the model got as result of its last tool call in request i: the text of the last tool message. Owned by the caller. */
char *scene_tool_result(struct scene *s, size_t i);
/* "status" or "error.code" of a task document; "" when absent. Borrowed. */
const char *scene_status(const json_t *task);
const char *scene_error_code(const json_t *task);

#endif
