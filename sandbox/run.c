#include "sandbox/run.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "lib/base/fs.h"
#include "sandbox/net.h"
#include "sandbox/probe.h"
#include "sandbox/supervise.h"

#define RESULT_BYTES_MAX (4 << 20)

void run_complain(const struct pj_err *err)
{
    fprintf(stderr, "pj-sandbox: %s%s%s\n", err->code, err->code[0] ? ": " : "", err->message);
    if (err->remedy[0])
        fprintf(stderr, "pj-sandbox: remedy: %s\n", err->remedy);
}

int run_report(struct plan *plan, const struct spec *spec, struct result *result)
{
    int code = result_exit_code(result);
    struct pj_str out;

    if (result->err.code[0])
        run_complain(&result->err);
    if (spec->result_fd >= 0) {
        pj_str_init(&out, RESULT_BYTES_MAX);
        result_print(result, plan, &out);
        pj_write_all(spec->result_fd, pj_str_cstr(&out), out.len);
        pj_str_release(&out);
    }
    if (result->exec_errno && !result->err.code[0])
        fprintf(stderr, "pj-sandbox: %s: %s\n", spec->command[0], strerror(result->exec_errno));
    result_release(result);
    plan_release(plan);
    return code;
}

int run_box(const struct spec *spec)
{
    static struct plan plan; /* large, and zero as it is */
    struct result result = {0};
    struct net *net = NULL;
    int code;

    /* What takes longest begins first, on the other processor. */
    if ((!probe_is_privileged() || net_begin(&net, spec, &result.err) == 0) &&
        plan_make(&plan, spec, &result.err) == 0)
        supervise(&plan, plan.root ? net : NULL, &result);
    code = run_report(&plan, spec, &result);
    if (net)
        waitpid(net->maker, NULL, 0);
    net_release(net);
    return code;
}
