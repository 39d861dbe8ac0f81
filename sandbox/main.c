/* pj-sandbox - runs one command in a fresh isolated environment. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "lib/base/err.h"
#include "lib/base/fs.h"
#include "sandbox/plan.h"
#include "sandbox/probe.h"
#include "sandbox/result.h"
#include "sandbox/run.h"
#include "sandbox/spec.h"
#include "sandbox/standby.h"

#define OUTPUT_MAX (4 << 20)

static void put(int fd, struct pj_str *text)
{
    pj_write_all(fd, pj_str_cstr(text), text->len);
    pj_str_release(text);
}

static int do_plan(const struct spec *spec)
{
    static struct plan plan;
    struct pj_err err = {0};
    struct pj_str out;
    int rc = plan_make(&plan, spec, &err);

    pj_str_init(&out, OUTPUT_MAX);
    if (rc == 0) {
        plan_print(&plan, &out);
        pj_str_putc(&out, '\n');
        put(1, &out);
    } else {
        run_complain(&err);
    }
    plan_release(&plan);
    return rc < 0 ? EXIT_SANDBOX : 0;
}

static int do_check(void)
{
    struct pj_str out;
    bool ok;

    pj_str_init(&out, OUTPUT_MAX);
    ok = probe_report(&out, isatty(1));
    put(1, &out);
    return ok ? 0 : 1;
}

/* Numbers 0 to 2 are taken, so that nothing of ours lands there and is read as the caller's. */
static void hold_standard_fds(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd < 3);
    if (fd >= 0)
        close(fd);
}

/* A descriptor that the caller names was open before we opened anything. */
static int check_given_fd(const char *option, int fd, struct pj_err *err)
{
    if (fd >= 0 && fcntl(fd, F_GETFD) < 0)
        return pj_fail(err, PJ_E_INVALID, "%s: descriptor %d is not open", option, fd);
    return 0;
}

int main(int argc, char **argv)
{
    static char **words; /* as long as the program */
    struct spec spec;
    struct pj_err err = {0};
    int rc;

    words = standby_words(argc, argv);
    hold_standard_fds();
    rc = spec_parse(&spec, argc, argv, &err);
    if (rc == 0 && spec.action == SPEC_RUN &&
        (check_given_fd("--result-fd", spec.result_fd, &err) < 0 ||
         check_given_fd("--standby", spec.standby_fd, &err) < 0 ||
         check_given_fd("--tree-fd", spec.tree_fd, &err) < 0)) {
        spec.result_fd = -1;
        rc = -1;
    }
    if (rc < 0) {
        run_complain(&err);
        return spec.action == SPEC_CHECK_CONFIG ? PJ_EXIT_CONFIG : EXIT_SANDBOX;
    }
    switch (spec.action) {
    case SPEC_RUN:
        return spec.standby_fd >= 0 ? standby_run(&spec, words) : run_box(&spec);
    case SPEC_PLAN:
        return do_plan(&spec);
    case SPEC_CHECK:
        return do_check();
    case SPEC_CHECK_CONFIG:
        return 0;
    case SPEC_HELP:
        spec_help(stdout);
        return 0;
    case SPEC_VERSION:
        puts("pj-sandbox " PJ_VERSION);
        return 0;
    }
    return EXIT_SANDBOX;
}
