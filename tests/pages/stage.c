#include "tests/pages/stage.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"

#define SAID_MAX (1 << 20)

static bool on_path(const char *name)
{
    PJ_CLEANUP(pj_freep) char *path = pj_strdup(getenv("PATH"));
    char *rest = path, *dir;

    while ((dir = strsep(&rest, ":")) != NULL) {
        PJ_CLEANUP(pj_freep) char *file = pj_asprintf("%s/%s", dir, name);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

const char *stage_missing(void)
{
    if (!on_path("node"))
        return "node is not installed";
    if (!on_path("chromium"))
        return "chromium is not installed";
    if (access(PAGES_MODULES "/fetched", R_OK) != 0)
        return "npm could not fetch playwright-core and axe-core when this was built";
    return NULL;
}

struct play {
    pid_t pid;
    int in, out; /* its standard input and output, our ends */
    struct pj_str said, line;
    const struct stage_cue *cues;
    void *ctx;
};

static void begin(struct play *p, const char *name, const char *facts)
{
    PJ_CLEANUP(pj_freep)
    char *script = pj_asprintf("%s/tests/pages/play.mjs", getenv("PJ_TEST_SRC"));
    int in[2], out[2];

    cr_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    p->pid = fork();
    cr_assert_geq(p->pid, 0);
    if (p->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setpgid(0, 0);
        setenv("PJ_PAGES_MODULES", PAGES_MODULES, 1);
        setenv("PJ_PAGES_SHOTS", PAGES_SHOTS, 1);
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        execlp("node", "node", script, name, facts, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    p->in = in[1];
    p->out = out[0];
}

static void run_cue(struct play *p, char *text)
{
    char *arg = strchr(text, ' ');
    PJ_CLEANUP(pj_str_release) struct pj_str answer;

    if (arg != NULL)
        *arg++ = '\0';
    pj_str_init(&answer, SAID_MAX);
    for (const struct stage_cue *cue = p->cues; cue != NULL && cue->name != NULL; cue++) {
        if (strcmp(cue->name, text) != 0)
            continue;
        cue->run(p->ctx, arg != NULL ? arg : "", &answer);
        pj_str_putc(&answer, '\n');
        cr_assert_eq(pj_write_all(p->in, answer.data, answer.len), 0, "the play has left");
        return;
    }
    cr_assert_fail("no cue '%s'", text);
}

static void hear(struct play *p, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n') {
            pj_str_putc(&p->line, bytes[i]);
            continue;
        }
        PJ_CLEANUP(pj_freep) char *line = pj_strdup(pj_str_cstr(&p->line));
        pj_str_clear(&p->line);
        if (strncmp(line, "cue ", 4) == 0)
            run_cue(p, line + 4);
        else
            pj_str_putf(&p->said, "%s\n", line);
    }
}

/* True when it closed its output before the deadline. */
static bool listen_to(struct play *p, int64_t deadline)
{
    char bytes[4096];

    for (;;) {
        int64_t left = deadline - pj_mono_ms();
        struct pollfd fd = {.fd = p->out, .events = POLLIN};
        if (left <= 0 || poll(&fd, 1, (int)left) <= 0)
            return false;
        ssize_t n = read(p->out, bytes, sizeof bytes);
        if (n <= 0)
            return n == 0;
        hear(p, bytes, (size_t)n);
    }
}

void stage_play(struct world *w, const char *name, json_t *facts, const struct stage_cue *cues,
                void *ctx, int seconds)
{
    struct play p = {.cues = cues, .ctx = ctx};
    int status = 0;

    json_object_set_new(facts, "base", json_string(w->base));
    json_object_set_new(facts, "token", json_string(WORLD_TOKEN));
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(facts);
    json_decref(facts);
    pj_str_init(&p.said, SAID_MAX);
    pj_str_init(&p.line, SAID_MAX);
    begin(&p, name, text);
    bool ended = listen_to(&p, pj_mono_ms() + seconds * 1000);
    if (!ended)
        kill(-p.pid, SIGKILL);
    while (waitpid(p.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    close(p.in);
    close(p.out);
    if (!ended || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        PJ_CLEANUP(pj_freep) char *logs = world_logs(w);
        size_t n = strlen(logs), show = n < 6000 ? n : 6000;
        cr_assert_fail("%s %s:\n%s\n%s", name, ended ? "failed" : "has not ended",
                       pj_str_cstr(&p.said), logs + n - show);
    }
    if (p.said.len > 0)
        fputs(pj_str_cstr(&p.said), stderr);
    pj_str_release(&p.said);
    pj_str_release(&p.line);
}
