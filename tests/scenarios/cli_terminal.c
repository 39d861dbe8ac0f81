/* pj on a terminal: the live line while a task runs, and what stays on the screen afterwards. */
#include <signal.h>
#include <unistd.h>
#include "lib/base/cleanup.h"
#include "tests/scenarios/scene.h"

#define COLUMNS 60

static const struct model_answer write_and_finish_gated[] = {
    {.trouble = MODEL_GATE,
     .text = "I write.",
     .calls = {{"write_file", "{\"path\":\"new.txt\",\"content\":\"x\\n\"}"}}},
    SCENE_FINISH,
};

static void open_at_a_terminal(struct scene *s, struct program *pj, int *terminal)
{
    static const char *const args[] = {"run", "project", "Write a file", "--follow", NULL};

    scene_prepare(s, write_and_finish_gated, 2);
    scene_open_forge(s, ",\"codeRabbit\":\"off\"");
    world_set(&s->w, "PJ_URL", s->w.base);
    world_set(&s->w, "PJ_TOKEN", WORLD_TOKEN);
    world_set(&s->w, "TERM", "xterm");
    program_start_tty(pj, "pj", args, s->w.env, s->w.dir, COLUMNS, terminal);
    cr_assert(model_server_wait(s->model, 1, WORLD_SOON));
}

/* What is left on the screen: a carriage return and "erase to the end" take back what stands on the line. */
static char *screen_of(const char *bytes)
{
    struct pj_str out;
    size_t line = 0; /* where the present line starts */

    pj_str_init(&out, 1 << 20);
    for (const char *p = bytes; *p; p++) {
        if (strncmp(p, "\r\033[K", 4) == 0) {
            out.len = line;
            if (out.data)
                out.data[line] = '\0';
            p += 3;
        } else if (*p == '\033') {
            p += strcspn(p, "mK");
        } else if (*p != '\r') {
            pj_str_putc(&out, *p);
            if (*p == '\n')
                line = out.len;
        }
    }
    return pj_str_take(&out);
}

/* Drawn lines: from an erase to the next one. None may be wider than the terminal. */
static void assert_narrow(const char *bytes)
{
    for (const char *p = bytes; (p = strstr(p, "\r\033[K")); p++) {
        size_t columns = 0;

        for (const char *q = p + 4; *q && *q != '\r' && *q != '\n'; q++) {
            if (*q == '\033')
                q += strcspn(q, "mK");
            else
                columns += ((unsigned char)*q & 0xc0) != 0x80;
        }
        if (strncmp(p + 4, "\033[36m", 5) == 0) /* the spinner: a log line may wrap, this may not */
            cr_expect_leq(columns, (size_t)COLUMNS, "%zu columns: %.120s", columns, p + 4);
    }
}

Test(cli_terminal, run_follow_has_a_live_line_and_ends_with_address_and_exit_code)
{
    struct scene s;
    struct program pj;
    struct pj_str seen;
    int terminal = -1;

    pj_str_init(&seen, 1 << 22);
    open_at_a_terminal(&s, &pj, &terminal);
    /* Two pictures of the spinner while the model thinks: it moves by itself. */
    cr_assert(program_tty_wait(terminal, &seen, "generating 0:0", WORLD_SOON), "%s",
              pj_str_cstr(&seen));
    cr_expect(program_tty_wait(terminal, &seen, "\033[36m/\033[0m generating", WORLD_SOON) &&
                  program_tty_wait(terminal, &seen, "\033[36m-\033[0m generating", WORLD_SOON),
              "%s", pj_str_cstr(&seen));
    model_server_release(s.model);
    cr_assert(program_tty_wait(terminal, &seen, NULL, WORLD_SOON), "%s", pj_str_cstr(&seen));
    cr_expect_eq(program_wait(&pj, WORLD_SOON), 0);
    char *screen = screen_of(pj_str_cstr(&seen));
    cr_expect_not_null(strstr(screen, "-- generating\n"), "%s", screen);
    cr_expect_not_null(strstr(screen, "-- completed\n"), "%s", screen);
    cr_expect_null(strstr(screen, "generating 0:0"), "the live line leaves no trace: %s", screen);
    const char *pull = strstr(screen, "\npull request  http");
    cr_assert_not_null(pull, "%s", screen);
    const char *last = strchr(pull + 1, '\n');
    cr_expect_str_eq(last, "\nexit code     0\n", "the last two lines: %s", screen);
    assert_narrow(pj_str_cstr(&seen));
    free(screen);
    pj_str_release(&seen);
    (void)close(terminal);
    program_release(&pj);
    scene_stop(&s);
}

Test(cli_terminal, ctrl_c_leaves_the_task_to_itself_and_says_how_to_come_back)
{
    struct scene s;
    struct program pj;
    struct pj_str seen;
    int terminal = -1;

    pj_str_init(&seen, 1 << 22);
    open_at_a_terminal(&s, &pj, &terminal);
    cr_assert(program_tty_wait(terminal, &seen, "generating 0:0", WORLD_SOON), "%s",
              pj_str_cstr(&seen));
    cr_assert_eq(kill(pj.pid, SIGINT), 0);
    cr_assert(program_tty_wait(terminal, &seen, NULL, WORLD_SOON), "%s", pj_str_cstr(&seen));
    cr_expect_eq(program_wait(&pj, WORLD_SOON), 130);
    const char *at = strstr(pj_str_cstr(&seen), "`pj logs -f ");
    cr_assert_not_null(at, "%s", pj_str_cstr(&seen));
    char *task = pj_strndup(at + 12, strcspn(at + 12, "`"));
    model_server_release(s.model);
    json_decref(world_wait_status(&s.w, task, "completed"));
    free(task);
    pj_str_release(&seen);
    (void)close(terminal);
    program_release(&pj);
    scene_stop(&s);
}
