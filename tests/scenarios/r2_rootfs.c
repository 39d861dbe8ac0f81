/* R2.1 in a root file system of the repository's own, made from a container image by the documented tool. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/proc.h"
#include "tests/scenarios/scene.h"

#define PYTHON "/usr/bin/python3"

/* Run python with these arguments; its exit code. */
static int python(struct scene *s, const char *const *args)
{
    char *argv[12] = {pj_strdup(PYTHON)};
    pid_t pid;
    int status = 0;
    struct pj_err err;
    struct pj_spawn_fd fds[] = {{2, 2}};

    for (size_t i = 0; args[i]; i++)
        argv[i + 1] = pj_strdup(args[i]);
    const struct pj_spawn spec = {
        .path = PYTHON, .argv = argv, .envp = s->w.env, .cwd = "/", .fds = fds, .fd_count = 1};
    cr_assert_eq(pj_spawn(&spec, &pid, NULL, &err), 0, "%s", err.message);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    for (size_t i = 0; argv[i]; i++)
        free(argv[i]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* An image layout of our own, with a shell and what pj-agent's libraries need, and from it rootfs/tiny of the runner. */
static void make_tiny(struct scene *s)
{
    PJ_CLEANUP(pj_freep) char *agent = program_path("pj-agent");
    PJ_CLEANUP(pj_freep) char *layout = pj_asprintf("%s/layout", s->w.dir);
    PJ_CLEANUP(pj_freep) char *image = pj_asprintf("oci:%s:latest", layout);
    PJ_CLEANUP(pj_freep) char *state = pj_asprintf("%s/runner-0", s->w.state);
    const char *const layers[] = {PJ_SOURCE_DIR "/tests/support/oci.py",
                                  layout,
                                  "/bin/sh",
                                  "/bin/cat",
                                  "/bin/true",
                                  agent,
                                  NULL};
    const char *const make[] = {
        PJ_SOURCE_DIR "/docs/examples/pj-rootfs", "--state-dir", state, "tiny", image, NULL};

    cr_assert_eq(python(s, layers), 0);
    cr_assert_eq(python(s, make), 0);
}

static const json_t *row_of(const json_t *task, const char *command)
{
    const json_t *checks = json_object_get(task, "checks");

    for (size_t i = 0; i < json_array_size(checks); i++)
        if (strcmp(pj_json_str(json_array_get(checks, i), "command", ""), command) == 0)
            return json_array_get(checks, i);
    return NULL;
}

Test(r2_rootfs, r2_1_a_task_runs_in_a_root_file_system_made_from_an_image)
{
    static const struct model_answer answers[] = {
        SCENE_RUN("cat /etc/made-from; command -v python3 || echo no snake here"),
        {.calls = {{"write_file", "{\"path\":\"data.json\",\"content\":\"{}\\n\"}"},
                   {"write_file", "{\"path\":\"run.sh\",\"content\":\"echo run\\n\"}"}}},
        SCENE_FINISH,
    };
    struct scene s;

    if (access(PYTHON, X_OK) != 0)
        cr_skip_test("python3, which makes the image, is not installed");
    scene_prepare(&s, answers, PJ_COUNT_OF(answers));
    make_tiny(&s);
    scene_open(&s, ",\"codeRabbit\":\"off\",\"rootfs\":\"tiny\",\"checkCommand\":\"cat check.sh\"");
    char *task = scene_run(&s, "Add data");
    json_t *doc = world_wait_status(&s.w, task, "completed");
    char *said = scene_tool_result(&s, 1);
    cr_expect_not_null(strstr(said, "two layers\nno snake here"), "%s", said);
    /* What this root file system cannot check is said; what it can is checked. */
    cr_expect_str_eq(pj_json_str(row_of(doc, "syntax: JSON"), "after", ""),
                     "not checked: the root file system has no python3 or node or perl");
    cr_expect_str_eq(pj_json_str(row_of(doc, "syntax: shell"), "after", ""), "passed");
    cr_expect_str_eq(pj_json_str(row_of(doc, "cat check.sh"), "after", ""), "passed");
    cr_expect(world_log_has(&s.w, task, "syntax of JSON: not checked"), "the log says so too");
    free(said);
    json_decref(doc);
    free(task);
    scene_stop(&s);
}

Test(r2_rootfs, r2_1_a_root_file_system_that_the_runner_lacks_is_named)
{
    static const struct model_answer answers[] = {SCENE_FINISH};
    struct scene s;

    scene_prepare(&s, answers, 1);
    scene_open(&s, ",\"codeRabbit\":\"off\",\"rootfs\":\"elsewhere\"");
    char *task = scene_run(&s, "Do it");
    json_t *doc = world_wait_status(&s.w, task, "failed");
    const json_t *error = json_object_get(doc, "error");
    cr_expect_str_eq(scene_error_code(doc), "sandbox_unavailable");
    cr_expect_not_null(strstr(pj_json_str(error, "detail", ""), "\"elsewhere\""));
    cr_expect_not_null(strstr(pj_json_str(error, "remedy", ""), "pj-rootfs elsewhere IMAGE"));
    cr_expect_eq(model_server_count(s.model), 0, "before money is spent");
    json_decref(doc);
    free(task);
    scene_stop(&s);
}
