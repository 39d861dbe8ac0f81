#include "sandbox/result.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "lib/base/mem.h"
#include "sandbox/jsonw.h"

void result_release(struct result *r)
{
    for (size_t i = 0; i < r->refused_count; i++)
        free(r->refused[i]);
    r->refused_count = 0;
}

void result_refuse(struct result *r, const char *host, unsigned port)
{
    char *entry = pj_asprintf("%.253s:%u", host, port);

    for (size_t i = 0; i < r->refused_count; i++) {
        if (strcmp(r->refused[i], entry) == 0) {
            free(entry);
            return;
        }
    }
    if (r->refused_count == RESULT_REFUSED_MAX)
        free(entry);
    else
        r->refused[r->refused_count++] = entry;
}

int result_exit_code(const struct result *r)
{
    if (r->err.code[0])
        return EXIT_SANDBOX;
    if (r->timed_out)
        return EXIT_TIMED_OUT;
    if (r->exec_errno)
        return r->exec_errno == ENOENT || r->exec_errno == ENOTDIR ? EXIT_NOT_FOUND
                                                                   : EXIT_NOT_EXECUTABLE;
    if (!r->ended)
        return EXIT_SANDBOX;
    return WIFSIGNALED(r->wait_status) ? 128 + WTERMSIG(r->wait_status)
                                       : WEXITSTATUS(r->wait_status);
}

static void print_error(const struct pj_err *err, struct pj_str *out)
{
    jsonw_key(out, "error");
    if (!err->code[0]) {
        pj_str_puts(out, "null");
        return;
    }
    pj_str_putc(out, '{');
    jsonw_member_string(out, "step", err->code);
    jsonw_member_int(out, "errno", err->sys_errno);
    jsonw_member_string(out, "detail", err->message);
    jsonw_member_string(out, "remedy", err->remedy[0] ? err->remedy : NULL);
    pj_str_putc(out, '}');
}

void result_print(const struct result *r, const struct plan *plan, struct pj_str *out)
{
    int signal = r->ended && WIFSIGNALED(r->wait_status) ? WTERMSIG(r->wait_status) : 0;

    pj_str_putc(out, '{');
    jsonw_member_int(out, "exitCode", result_exit_code(r));
    jsonw_member_limit(out, "signal", signal);
    jsonw_member_bool(out, "timedOut", r->timed_out);
    jsonw_member_bool(out, "oomKilled", r->oom_killed);
    jsonw_member_int(out, "wallMs", r->wall_ms);
    jsonw_member_int(out, "cpuMs", r->cpu_ms);
    jsonw_member_int(out, "maxRssBytes", r->max_rss_bytes);
    jsonw_member_int(out, "outputBytes", r->output_bytes);
    jsonw_member_bool(out, "outputTruncated", r->output_truncated);
    jsonw_key(out, "netRefused");
    pj_str_putc(out, '[');
    for (size_t i = 0; i < r->refused_count; i++) {
        jsonw_comma(out);
        jsonw_string(out, r->refused[i]);
    }
    pj_str_putc(out, ']');
    jsonw_member_bool(out, "policyKill", signal == SIGSYS);
    jsonw_key(out, "isolation");
    pj_str_putc(out, '[');
    for (size_t i = 0; plan && i < plan->isolation_count; i++) {
        jsonw_comma(out);
        jsonw_string(out, plan->isolation[i]);
    }
    pj_str_putc(out, ']');
    print_error(&r->err, out);
    pj_str_puts(out, "}\n");
}
