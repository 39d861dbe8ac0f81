/* Each verb of pj with what it is given wrongly and what it cannot do: the exit code to the letter, and a word of what is said. */
#include <stdio.h>
#include "tests/scenarios/scene.h"

#define WORDS_MAX 12

struct row {
    const char *line; /* words after `pj`, parted by one space; TASK stands for a task's id */
    int code;
    const char *said; /* in either stream; NULL: nothing at all is said */
};

/* Runs `pj LINE`. */
static void try_row(struct scene *s, const struct row *row, const char *task)
{
    PJ_CLEANUP(pj_freep) char *line = pj_strdup(row->line);
    const char *args[WORDS_MAX + 1] = {NULL};
    size_t count = 0;
    char *out, *err, *rest = NULL;

    for (char *w = strtok_r(line, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
        cr_assert_lt(count, (size_t)WORDS_MAX);
        args[count++] = strcmp(w, "TASK") == 0 ? task : w;
    }
    int code = program_run("pj", args, s->w.env, s->w.dir, NULL, &out, &err);
    cr_expect_eq(code, row->code, "pj %s: exit %d\n%s%s", row->line, code, out, err);
    if (row->said)
        cr_expect(strstr(out, row->said) || strstr(err, row->said), "pj %s: no \"%s\" in\n%s%s",
                  row->line, row->said, out, err);
    else
        cr_expect(!*out && !*err, "pj %s:\n%s%s", row->line, out, err);
    if (code >= 2 && code <= 5)
        cr_expect_str_empty(out, "pj %s: a pipe gets what was asked for and nothing else: %s",
                            row->line, out);
    free(out);
    free(err);
}

static void try_rows(struct scene *s, const struct row *rows, size_t count, const char *task)
{
    for (size_t i = 0; i < count; i++)
        try_row(s, &rows[i], task);
}

static void open_scene(struct scene *s)
{
    scene_start(s, NULL, 0);
    world_set(&s->w, "PJ_URL", s->w.base);
    world_set(&s->w, "PJ_TOKEN", WORLD_TOKEN);
}

/* clang-format off */
static const struct row words[] = {
    {"",                                             2,   "usage: pj"},
    {"--help",                                       0,   "Exit: 0 ok"},
    {"--version",                                    0,   "pj "},
    {"--nope",                                       78,  "--nope"},
    {"frobnicate",                                   2,   "no such command: frobnicate"},
    {"repo",                                         2,   "pj repo VERB"},
    {"repo --help",                                  0,   "Print the GitHub Actions workflow file"},
    {"repo frobnicate",                              2,   "no such command: repo frobnicate"},
    {"task create --help",                           0,   "--priority low|normal|high"},
    {"task create",                                  2,   "missing argument: REPO TITLE"},
    {"task create project",                          2,   "missing argument: REPO TITLE"},
    {"task create project a b",                      2,   "too many arguments"},
    {"run project",                                  2,   "missing argument: REPO TITLE"},
    {"task list --nope",                             2,   "unknown option --nope"},
    {"task list --limit",                            2,   "--limit needs a value"},
    {"task list --limit 0",                          2,   "--limit wants a number from 1"},
    {"run project x --follow=yes",                   2,   "--follow takes no value"},
    {"task create project x --timeout soon",         2,   "--timeout wants a duration"},
    {"task create project x --tokens many",          2,   "--tokens wants a number"},
    {"task create project x --model gpt",            2,   "--model wants PROVIDER/NAME"},
    {"task create project x -d a -f b",              2,   "exclude each other"},
    {"task create project x -f /nonexistent/text",   2,   "/nonexistent/text"},
    {"task answer TASK",                             2,   "the answer is missing"},
    {"task answer TASK -f /nonexistent/text",        2,   "/nonexistent/text"},
    {"completion tcsh",                              2,   "bash, zsh or fish"},
    {"repo connect",                                 2,   "missing argument: URL"},
    {"repo connect x --set url",                     2,   "NAME=VALUE"},
    {"sandbox --nope -- true",                       125, "unknown option --nope"},
    {"sandbox -- false",                             1,   NULL},
    {"sandbox -- true",                              0,   NULL},
};
static const struct row of_the_api[] = {
    {"task list --status nope",                      2,   "status"},
    {"task create project x --priority urgent",      2,   "low, normal, high"},
    {"task create project x --executor nope",        2,   "sandbox, github_actions"},
    {"task create project x --tokens -5",            2,   "limits.tokens"},
    {"task create nope x",                           3,   "no repository nope"},
    {"task list --repo nope",                        3,   "no repository nope"},
    {"task show nope",                               3,   "no such task"},
    {"task execute nope",                            3,   "no such task"},
    {"task cancel nope",                             3,   "no such task"},
    {"task patch nope",                              3,   "no such task"},
    {"task publish nope",                            3,   "no such task"},
    {"task retry nope",                              3,   "no such task"},
    {"task answer nope x",                           3,   "no such task"},
    {"logs nope",                                    3,   "no such task"},
    {"logs -f nope",                                 3,   "no such task"},
    {"repo show nope",                               3,   "no repository nope"},
    {"repo verify nope",                             3,   "no repository nope"},
    {"repo remove nope",                             3,   "no repository nope"},
    {"repo workflow nope --image r.example/i:1",                           3,   "no repository nope"},
    {"repo connect /nonexistent",                    1,   "PJ_FORGES"},
    {"repo connect https://elsewhere.example/o/r",   1,   "elsewhere.example"},
    {"runner drain nope",                            3,   "no such runner"},
    {"admin stats --from soon",                      2,   "from"},
    {"admin tokens --add ci --scopes nope",          2,   "nope"},
    {"admin tokens --revoke nope",                   3,   "no such token"},
    {"admin users --add nope",                       2,   "email"},
    {"admin users --remove nope",                    3,   "no such user"},
    {"admin users --add b@example.org",              0,   "pj_pat_"},
    {"admin users --add b@example.org",              5,   "another user"},
    {"admin reset-token nobody@example.org",         3,   "nobody@example.org"},
};
/* From one to the next the task goes from queued to ended. */
static const struct row of_a_task[] = {
    {"task show TASK",                               0,   "status\tqueued"},
    {"--json task show TASK",                        0,   "\"status\":\"queued\""},
    {"task show TASK --json",                        0,   "\"status\":\"queued\""},
    {"task patch TASK",                              3,   "no patch"},
    {"task publish TASK",                            5,   "queued"},
    {"task retry TASK",                              5,   "queued"},
    {"task answer TASK x",                           5,   "queued"},
    {"task cancel TASK",                             0,   "status\tcancelled"},
    {"task cancel TASK",                             5,   "cancelled"},
    {"task execute TASK",                            5,   "cancelled"},
    {"logs -f TASK",                                 1,   "cancelled"},
    {"task retry TASK",                              0,   "attempt\t2"},
    {"repo remove project",                          0,   NULL},
};
/* clang-format on */

Test(cli_verbs, what_is_typed_wrongly_is_2)
{
    struct scene s;

    open_scene(&s);
    char *task = world_task(&s.w, s.repo, "Wait", "For nothing.", "");
    try_rows(&s, words, PJ_COUNT_OF(words), task);
    free(task);
    scene_stop(&s);
}

Test(cli_verbs, what_the_api_refuses_has_its_own_code)
{
    struct scene s;

    open_scene(&s);
    try_rows(&s, of_the_api, PJ_COUNT_OF(of_the_api), NULL);
    scene_stop(&s);
}

Test(cli_verbs, what_a_task_cannot_do_now_is_5)
{
    struct scene s;

    open_scene(&s);
    char *task = world_task(&s.w, s.repo, "Wait", "For nothing.", "");
    try_rows(&s, of_a_task, PJ_COUNT_OF(of_a_task), task);
    free(task);
    scene_stop(&s);
}

static void threaten(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    (void)ctx;
    (void)r;
    stand_in_reply_text(x, 422, "application/problem+json",
                        "{\"status\":422,\"detail\":\"remote: \\u001b]0;owned\\u0007 \\u009b2J x\","
                        "\"remedy\":\"\\u001b[31mrun this\"}");
}

/* Words of a remote come through the API to a terminal: they do not drive it. */
Test(cli_verbs, an_error_drives_no_terminal)
{
    static const char *const verbs[][3] = {{"repo", "connect", "/x"},
                                           {"task", "show", "0123456789abcdefghij"},
                                           {"doctor", NULL, NULL}};
    struct stand_in *api = stand_in_start(0, threaten, NULL);
    struct world w;

    world_start(&w);
    world_set(&w, "PJ_URL", stand_in_url(api));
    world_set(&w, "PJ_TOKEN", WORLD_TOKEN);
    for (size_t i = 0; i < PJ_COUNT_OF(verbs); i++) {
        const char *const args[] = {verbs[i][0], verbs[i][1], verbs[i][2], NULL};
        char *out, *err;
        cr_expect_neq(program_run("pj", args, w.env, w.dir, NULL, &out, &err), 0);
        cr_expect(strstr(out, "owned") || strstr(err, "owned"), "%zu: %s%s", i, out, err);
        cr_expect(!strpbrk(out, "\033\007") && !strpbrk(err, "\033\007"), "%zu: %s%s", i, out, err);
        cr_expect(!strstr(out, "\xc2\x9b") && !strstr(err, "\xc2\x9b"), "%zu: %s%s", i, out, err);
        free(out);
        free(err);
    }
    world_stop(&w);
    stand_in_stop(api);
}

/* Every verb that asks the API, with no token, a wrong one, and no API. */
Test(cli_verbs, each_says_what_lacks_and_where)
{
    static const char *const lines[] = {
        "admin stats",
        "admin tokens",
        "admin users",
        "logs x",
        "logs -f x",
        "repo connect x",
        "repo list",
        "repo remove x",
        "repo show x",
        "repo verify x",
        "repo workflow x --image r.example/i:1",
        "run x y",
        "runner drain x",
        "runner list",
        "task answer x y",
        "task cancel x",
        "task create x y",
        "task execute x",
        "task list",
        "task patch x",
        "task publish x",
        "task retry x",
        "task show x",
    };
    struct scene s;

    open_scene(&s);
    for (size_t i = 0; i < PJ_COUNT_OF(lines); i++) {
        const struct row auth = {lines[i], 4, "pj login"}, away = {lines[i], 1, "pj-api running"};

        world_set(&s.w, "PJ_TOKEN", NULL);
        try_row(&s, &auth, NULL);
        world_set(&s.w, "PJ_TOKEN", "pj_pat_wrongwrongwrongwrongwrong");
        try_row(&s, &auth, NULL);
        world_set(&s.w, "PJ_URL", "http://127.0.0.1:1");
        try_row(&s, &away, NULL);
        world_set(&s.w, "PJ_URL", s.w.base);
    }
    scene_stop(&s);
}
