/* pj as a person or a script uses it: exit codes, tables in a pipe, --json, login, run --follow, up. */
#include <stdio.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "tests/scenarios/scene.h"

static const struct model_answer write_and_finish[] = {SCENE_WRITE("new.txt", "x\\n"),
                                                       SCENE_FINISH};

/* Arguments end in NULL; *out and *err are the caller's. */
static int pj(struct scene *s, char **out, char **err, const char *input, ...)
{
    const char *args[24];
    size_t n = 0;
    va_list ap;

    va_start(ap, input);
    while (n < 23 && (args[n] = va_arg(ap, const char *)))
        n++;
    va_end(ap);
    args[n] = NULL;
    return program_run("pj", args, s->w.env, s->w.dir, input, out, err);
}

static void as_client(struct scene *s)
{
    world_set(&s->w, "PJ_URL", s->w.base);
    world_set(&s->w, "PJ_TOKEN", WORLD_TOKEN);
}

Test(cli, run_follows_to_the_end_and_says_what_came_out)
{
    struct scene s;
    char *out, *err;

    scene_start(&s, write_and_finish, 2);
    as_client(&s);
    int code =
        pj(&s, &out, &err, NULL, "run", "project", "Write a file", "--follow", (const char *)NULL);
    cr_assert_eq(code, 0, "%s%s", out, err);
    cr_expect_not_null(strstr(out, "-- generating"), "%s", out);
    cr_expect_not_null(strstr(out, "status\tcompleted"), "%s", out);
    cr_expect_not_null(strstr(out, "branch\tpj/"), "%s", out);
    cr_expect_null(strstr(out, "\033["), "no colour in a pipe");
    cr_expect_str_empty(err, "no live line either");
    cr_expect_not_null(strstr(out, "exit code\t0\n"), "%s", out);
    free(out);
    free(err);

    code = pj(&s, &out, &err, NULL, "task", "list", (const char *)NULL);
    cr_expect_eq(code, 0, "%s", err);
    cr_expect_not_null(strstr(out, "\tcompleted\t"), "%s", out);
    cr_expect_null(strstr(out, "TITLE"), "lines in a pipe have no title: %s", out);
    char *id = pj_strndup(out, strcspn(out, "\t"));
    free(out);
    free(err);

    code = pj(&s, &out, &err, NULL, "task", "show", id, "--json", (const char *)NULL);
    cr_expect_eq(code, 0, "%s", err);
    json_t *doc = json_loads(out, 0, NULL);
    cr_assert_not_null(doc, "%s", out);
    cr_expect_str_eq(pj_json_str(doc, "id", ""), id);
    json_decref(doc);
    free(out);
    free(err);

    code = pj(&s, &out, &err, NULL, "task", "execute", id, (const char *)NULL);
    cr_expect_eq(code, 5, "a conflict: %s", err);
    free(out);
    free(err);
    code = pj(&s, &out, &err, NULL, "logs", id, (const char *)NULL);
    cr_expect_eq(code, 0, "%s", err);
    cr_expect_not_null(strstr(out, "write_file"), "%s", out);
    free(out);
    free(err);
    code = pj(&s, &out, &err, NULL, "task", "patch", id, (const char *)NULL);
    cr_expect_eq(code, 0, "%s", err);
    cr_expect_not_null(strstr(out, "+++ b/new.txt\n"), "%s", out);
    free(out);
    free(err);
    free(id);
    scene_stop(&s);
}

Test(cli, run_connects_an_address_that_is_not_connected_yet)
{
    static const struct gitfix_file files[] = {{"README.md", "second\n", false}};
    struct scene s;
    char *out, *err;

    scene_start(&s, write_and_finish, 2);
    as_client(&s);
    char *second = gitfix_bare(s.w.remotes, "second", files, 1);
    int code =
        pj(&s, &out, &err, NULL, "run", second, "Write a file", "--follow", (const char *)NULL);
    cr_expect_eq(code, 0, "%s%s", out, err);
    cr_expect_not_null(strstr(err, "pj: connected "), "%s", err);
    free(out);
    free(err);
    code = pj(&s, &out, &err, NULL, "run", "nosuch", "Write a file", (const char *)NULL);
    cr_expect_eq(code, 3, "a name is no address: %s", err);
    free(out);
    free(err);
    free(second);
    scene_stop(&s);
}

Test(cli, exit_codes_tell_what_went_wrong)
{
    struct scene s;
    char *out, *err;

    scene_start(&s, NULL, 0);
    int code = pj(&s, &out, &err, NULL, "task", "list", (const char *)NULL);
    cr_expect_eq(code, 4, "no token: %s", err);
    cr_expect_not_null(strstr(err, "pj login"), "%s", err);
    free(out);
    free(err);
    as_client(&s);
    code = pj(&s, &out, &err, NULL, "task", "show", "0000000000000000000000", (const char *)NULL);
    cr_expect_eq(code, 3, "%s", err);
    free(out);
    free(err);
    code = pj(&s, &out, &err, NULL, "task", "frobnicate", (const char *)NULL);
    cr_expect_eq(code, 2, "%s", err);
    free(out);
    free(err);
    world_set(&s.w, "PJ_TOKEN", "pj_pat_wrongwrongwrongwrongwrong");
    code = pj(&s, &out, &err, NULL, "repo", "list", (const char *)NULL);
    cr_expect_eq(code, 4, "%s", err);
    free(out);
    free(err);
    world_set(&s.w, "PJ_URL", "http://127.0.0.1:1");
    code = pj(&s, &out, &err, NULL, "repo", "list", (const char *)NULL);
    cr_expect_eq(code, 1, "%s", err);
    cr_expect_not_null(strstr(err, "PJ_URL"), "%s", err);
    free(out);
    free(err);
    scene_stop(&s);
}

Test(cli, login_keeps_the_token_for_the_owner_only)
{
    struct scene s;
    struct stat st;
    char *out, *err;

    scene_start(&s, NULL, 0);
    int code = pj(&s, &out, &err, WORLD_TOKEN "\n", "login", "--url", s.w.base, (const char *)NULL);
    cr_assert_eq(code, 0, "%s", err);
    cr_expect_null(strstr(out, WORLD_TOKEN));
    free(out);
    free(err);
    char *path = pj_asprintf("%s/.config/pithyjaunt/pj.conf", s.w.dir);
    cr_assert_eq(stat(path, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    code = pj(&s, &out, &err, NULL, "repo", "list", (const char *)NULL);
    cr_expect_eq(code, 0, "the file is read: %s", err);
    cr_expect_not_null(strstr(out, s.repo), "%s", out);
    free(out);
    free(err);
    free(path);
    scene_stop(&s);
}

Test(cli, repo_workflow_prints_a_file_that_is_yaml)
{
    struct scene s;
    char *out, *err;

    scene_start(&s, NULL, 0);
    as_client(&s);
    int code = pj(&s, &out, &err, NULL, "repo", "workflow", "project", (const char *)NULL);
    cr_expect_eq(code, 2, "%s", err);
    cr_expect_not_null(strstr(err, "PJ_ACTIONS_IMAGE"), "%s", err);
    free(out);
    free(err);
    code = pj(&s, &out, &err, NULL, "repo", "workflow", "project", "--image",
              "registry.example/pj:1", (const char *)NULL);
    cr_assert_eq(code, 0, "%s", err);
    cr_expect_not_null(strstr(err, "PJ_WEBHOOK_SECRET"), "%s", err);
    cr_expect_not_null(strstr(out, "PJ_IMAGE: \"registry.example/pj:1\""), "%s", out);
    cr_expect_not_null(strstr(out, "${{ inputs.task_id }}"), "%s", out);
    cr_expect_null(strstr(out, "{{image}}"), "%s", out);
    cr_expect_not_null(strstr(out, s.remote), "%s", out);
    free(out);
    free(err);
    scene_stop(&s);
}

Test(cli, reset_token_ends_the_old_tokens)
{
    struct scene s;
    char *out, *err;

    scene_start(&s, NULL, 0);
    int code =
        pj(&s, &out, &err, NULL, "admin", "reset-token", "admin@example.org", (const char *)NULL);
    cr_assert_eq(code, 0, "%s", err);
    out[strcspn(out, "\n")] = '\0';
    /* pj-api remembers who a token is for less than a second; a new one has nothing to remember. */
    cr_expect_eq(program_stop(&s.w.api, SIGTERM, WORLD_SOON), 0);
    program_release(&s.w.api);
    world_api_start(&s.w);
    json_decref(world_call(&s.w, "GET", "/me", NULL, 401));
    json_decref(world_call_as(&s.w, out, "GET", "/me", NULL, 200));
    json_t *audit = world_call_as(&s.w, out, "GET", "/admin/audit", NULL, 200);
    char *text = pj_json_text(audit);
    cr_expect_not_null(strstr(text, "token.reset"), "%s", text);
    free(text);
    json_decref(audit);
    free(out);
    free(err);
    code =
        pj(&s, &out, &err, NULL, "admin", "reset-token", "nobody@example.org", (const char *)NULL);
    cr_expect_eq(code, 3, "%s", err);
    free(out);
    free(err);
    scene_stop(&s);
}

Test(cli, doctor_finds_what_is_wrong_and_shows_no_secret)
{
    struct scene s;
    char *out, *err;

    scene_start(&s, NULL, 0);
    as_client(&s);
    int code = pj(&s, &out, &err, NULL, "doctor", (const char *)NULL);
    cr_expect_eq(code, 0, "%s%s", out, err);
    cr_expect_not_null(strstr(out, "knows your token"), "%s", out);
    cr_expect_null(strstr(out, MODEL_SERVER_KEY), "%s", out);
    cr_expect_null(strstr(out, WORLD_TOKEN), "%s", out);
    free(out);
    free(err);
    world_set(&s.w, "PJ_TASK_TIMEOUT", "soon");
    world_set(&s.w, "PJ_REDIS_URL", "unix:///nonexistent/redis.sock");
    code = pj(&s, &out, &err, NULL, "doctor", (const char *)NULL);
    cr_expect_eq(code, 1, "%s", out);
    cr_expect_not_null(strstr(out, "PJ_TASK_TIMEOUT"), "%s", out);
    cr_expect_not_null(strstr(out, "/nonexistent/redis.sock"), "%s", out);
    free(out);
    free(err);
    scene_stop(&s);
}

/* A port that was free a moment ago, as text. */
static char *free_port(void)
{
    struct stand_in *s = stand_in_start(0, NULL, NULL);
    char *text = pj_asprintf("%u", (unsigned)stand_in_port(s));

    stand_in_stop(s);
    return text;
}

static void assert_sample_came_out(struct scene *s, const char *out)
{
    const char *at = strstr(out, "branch\t");

    cr_assert_not_null(at, "%s", out);
    cr_expect_not_null(strstr(out, "status\tcompleted"), "%s", out);
    cr_expect_not_null(strstr(out, "Pithy Jaunt: Add --top N to tally.sh"), "%s", out);
    char *branch = pj_strndup(at + 7, strcspn(at + 7, "\n"));
    char *remote = pj_asprintf("%s/up/sample/tally.git", s->w.dir);
    char *spec = pj_asprintf("%s:tally.sh", branch);
    char *subject = gitfix_subject(remote, branch), *script = gitfix_show(remote, spec);
    cr_expect_str_eq(subject, "Pithy Jaunt: Add --top N to tally.sh");
    cr_expect_not_null(strstr(script, "--top"), "%s", script);
    free(subject);
    free(script);
    free(spec);
    free(remote);
    free(branch);
}

static void up_alone(struct scene *s)
{
    static const char *const own[] = {"PJ_REDIS_URL",   "PJ_SECRET_KEY", "PJ_BOOTSTRAP_TOKEN",
                                      "PJ_ADMIN_EMAIL", "PJ_LISTEN",     "PJ_PUBLIC_URL",
                                      "PJ_FORGES"};

    scene_prepare(s, NULL, 0);
    for (size_t i = 0; i < PJ_COUNT_OF(own); i++)
        world_set(&s->w, own[i], NULL);
}

Test(cli, up_once_runs_the_sample_without_a_key_and_again_faster)
{
    static const char *const model[] = {"MODEL_PROVIDER", "MODEL_NAME", "OPENAI_API_KEY",
                                        "OPENAI_BASE_URL"};
    struct scene s;
    struct stat st;
    char *out, *err, *port = free_port();

    up_alone(&s);
    for (size_t i = 0; i < PJ_COUNT_OF(model); i++)
        world_set(&s.w, model[i], NULL);
    int code = pj(&s, &out, &err, NULL, "up", "--once", "--port", port, "--data", "up",
                  (const char *)NULL);
    cr_assert_eq(code, 0, "%s%s", out, err);
    cr_expect_not_null(strstr(out, "replay"), "it says that no model is asked: %s", out);
    assert_sample_came_out(&s, out);
    free(out);
    free(err);
    char *token = pj_asprintf("%s/up/token", s.w.dir);
    cr_assert_eq(stat(token, &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    code = pj(&s, &out, &err, NULL, "up", "--once", "--port", port, "--data", "up",
              (const char *)NULL);
    cr_expect_eq(code, 0, "a second time: %s%s", out, err);
    assert_sample_came_out(&s, out);
    free(out);
    free(err);
    free(token);
    free(port);
    scene_stop(&s);
}

Test(cli, up_once_asks_the_configured_server)
{
    struct scene s;
    char *out, *err, *port = free_port();
    char *src = pj_asprintf("%s/api/cli/sample/replay.json", getenv("PJ_TEST_SRC"));
    struct pj_str script;
    struct pj_err e = {0};

    up_alone(&s);
    pj_str_init(&script, 1 << 20);
    cr_assert_eq(pj_fs_read(src, &script, &e), 0, "%s", e.message);
    cr_assert_eq(model_server_add_json(s.model, pj_str_cstr(&script), &e), 0, "%s", e.message);
    world_set(&s.w, "MODEL_PROVIDER", NULL);
    int code = pj(&s, &out, &err, NULL, "up", "--once", "--port", port, "--data", "up",
                  (const char *)NULL);
    cr_assert_eq(code, 0, "%s%s", out, err);
    cr_expect_null(strstr(out, "replay"), "%s", out);
    assert_sample_came_out(&s, out);
    cr_expect_eq(model_server_left(s.model), 0);
    free(out);
    free(err);
    pj_str_release(&script);
    free(src);
    free(port);
    scene_stop(&s);
}

Test(cli, sandbox_runs_a_command_in_a_box)
{
    struct scene s;
    char *out, *err;

    up_alone(&s);
    int code = pj(&s, &out, &err, NULL, "sandbox", "--env", "A=b", "--", "sh", "-c",
                  "echo $A; exit 7", (const char *)NULL);
    cr_expect_eq(code, 7, "%s", err);
    cr_expect_str_eq(out, "b\n");
    free(out);
    free(err);
    scene_stop(&s);
}

Test(cli, up_drains_at_ctrl_c)
{
    struct scene s;
    char *port = free_port();
    struct program up;

    up_alone(&s);
    const char *const args[] = {"up", "--no-sample", "--port", port, "--data", "up", NULL};
    program_start(&up, "pj", args, s.w.env, s.w.dir, "up");
    char *base = pj_asprintf("http://127.0.0.1:%s", port);
    /* The line with the address comes once everything is ready. */
    cr_assert(program_wait_log(&up, "Ctrl-C ends it", WORLD_SOON));
    struct http_answer a;
    http_call(base, "GET", "/readyz", NULL, NULL, NULL, &a);
    cr_expect_eq(a.status, 200, "%s", a.body);
    http_answer_release(&a);
    cr_expect_eq(program_stop(&up, SIGINT, WORLD_SOON), 0);
    cr_expect(program_wait_log(&up, "stopped\n", WORLD_SOON), "it says so");
    http_try(base, "GET", "/livez", NULL, NULL, NULL, &a);
    cr_expect_eq(a.status, 0, "nothing is left running");
    http_answer_release(&a);
    program_release(&up);
    free(base);
    free(port);
    scene_stop(&s);
}
