#include "tests/scenarios/scene.h"

static const struct gitfix_file project[] = {
    {"README.md", "# A project\n", false},
    {"check.sh", "test -f README.md\n", false},
    {"src/main.py", "def greet():\n    return 'hello'\n", false},
};

const struct model_answer scene_gated[4] = {
    {.trouble = MODEL_GATE,
     .text = "I write.",
     .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
    SCENE_FINISH,
    SCENE_WRITE("other.txt", "y\\n"),
    SCENE_FINISH,
};

void scene_prepare(struct scene *s, const struct model_answer *answers, size_t count)
{
    memset(s, 0, sizeof *s);
    s->model = model_server_start(0, answers, count);
    world_start(&s->w);
    world_use_openai(&s->w, s->model);
}

static void start_programs(struct scene *s)
{
    world_api_start(&s->w);
    world_runner_start(&s->w, 0);
}

void scene_open(struct scene *s, const char *extra)
{
    s->remote = gitfix_bare(s->w.remotes, "project", project, PJ_COUNT_OF(project));
    start_programs(s);
    s->repo = world_connect(&s->w, s->remote, extra);
}

void scene_open_forge(struct scene *s, const char *extra)
{
    s->remote = gitfix_bare(s->w.remotes, "acme/project", project, PJ_COUNT_OF(project));
    s->forge = forge_server_start(s->w.remotes);
    world_use_forge(&s->w, s->forge, true);
    start_programs(s);
    PJ_CLEANUP(pj_freep) char *url = forge_server_repo_url(s->forge, "acme/project");
    s->repo = world_connect(&s->w, url, extra);
}

void scene_start(struct scene *s, const struct model_answer *answers, size_t count)
{
    scene_prepare(s, answers, count);
    scene_open(s, ",\"checkCommand\":\"sh check.sh\",\"codeRabbit\":\"off\"");
}

void scene_stop(struct scene *s)
{
    world_stop(&s->w);
    cr_expect_str_empty(model_server_faults(s->model), "the model was sent: %s",
                        model_server_faults(s->model));
    model_server_stop(s->model);
    forge_server_stop(s->forge);
    free(s->remote);
    free(s->repo);
}

char *scene_run(struct scene *s, const char *title)
{
    char *task = world_task(&s->w, s->repo, title, "Do what the title says.", "");

    world_execute(&s->w, task);
    return task;
}

char *scene_branch(const char *task)
{
    return pj_asprintf("pj/%s", task);
}

char *scene_tool_result(struct scene *s, size_t i)
{
    const json_t *messages = json_object_get(model_server_body(s->model, i), "messages");
    size_t n = json_array_size(messages);
    const json_t *last = json_array_get(messages, n - 1);

    cr_assert(n > 0 && strcmp(pj_json_str(last, "role", ""), "tool") == 0,
              "request %zu does not end in a tool's result", i);
    return pj_strdup(pj_json_str(last, "content", ""));
}

const char *scene_status(const json_t *task)
{
    return pj_json_str(task, "status", "");
}

const char *scene_error_code(const json_t *task)
{
    return pj_json_str(json_object_get(task, "error"), "code", "");
}
