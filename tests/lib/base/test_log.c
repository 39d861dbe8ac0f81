/* One line an event, and nothing in it that a terminal would obey. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/log.h"

/* What is written to standard error for this detail; Criterion runs each test in a process of its own. */
static void log_of(enum pj_log_format format, const char *detail, char *out, size_t cap)
{
    int ends[2], saved = dup(STDERR_FILENO);

    cr_assert_eq(pipe(ends), 0);
    cr_assert_geq(dup2(ends[1], STDERR_FILENO), 0);
    pj_log_setup("test", PJ_LOG_INFO, format, NULL);
    pj_log(PJ_LOG_INFO, "happened", "detail", detail, NULL);
    cr_assert_geq(dup2(saved, STDERR_FILENO), 0);
    ssize_t n = read(ends[0], out, cap - 1);
    cr_assert_gt(n, 0);
    out[n] = '\0';
    close(ends[0]);
    close(ends[1]);
    close(saved);
}

Test(log, control_characters_are_written_out)
{
    static const enum pj_log_format formats[] = {PJ_LOG_TEXT, PJ_LOG_JSON};
    char line[1024];

    for (size_t i = 0; i < 2; i++) {
        log_of(formats[i],
               "a\033[2J\177\xc2\x9b"
               "1m\xc2\x80\xc2\xa7\nb",
               line, sizeof line);
        cr_expect_not_null(strstr(line, "\"a\\u001b[2J\\u007f\\u009b1m\\u0080\xc2\xa7\\nb\""), "%s",
                           line);
        cr_expect_eq(strchr(line, '\n'), line + strlen(line) - 1, "one line: %s", line);
    }
}
