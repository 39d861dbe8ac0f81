/* main.c - pj-remote: one question of pj-api on standard input, one answer on standard output, and out. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "api/remote/check.h"
#include "lib/base/mem.h"
#include "lib/base/proc.h"

static int read_all(struct pj_str *in, struct pj_err *err)
{
    char bytes[4096];

    for (;;) {
        ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pj_fail_errno(err, errno, "read the question");
        if (n == 0)
            return 0;
        int rc = pj_str_append(in, bytes, (size_t)n);
        pj_wipe(bytes, sizeof bytes);
        if (rc < 0)
            return pj_fail(err, PJ_E_LIMIT, "the question has more than %d bytes",
                           REMOTE_QUESTION_MAX);
    }
}

static int write_all(const struct pj_str *out, struct pj_err *err)
{
    for (size_t done = 0; done < out->len;) {
        ssize_t n = write(STDOUT_FILENO, out->data + done, out->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pj_fail_errno(err, errno, "write the answer");
        done += (size_t)n;
    }
    return 0;
}

static int serve(struct pj_err *err)
{
    struct remote_question question = {0};
    struct remote_answer answer = {0};
    struct pj_str in, out;

    pj_str_init(&in, REMOTE_QUESTION_MAX);
    pj_str_init(&out, REMOTE_ANSWER_MAX);
    int rc = read_all(&in, err);
    if (rc == 0)
        rc = remote_question_read(pj_view_n(in.data, in.len), &question, err);
    if (rc == 0) {
        remote_check(&question, &answer);
        rc = remote_answer_put(&answer, &out) < 0
                 ? pj_fail(err, PJ_E_LIMIT, "the answer has more than %d bytes", REMOTE_ANSWER_MAX)
                 : write_all(&out, err);
    }
    if (in.data != NULL)
        pj_wipe(in.data, in.len);
    pj_str_release(&in);
    pj_str_release(&out);
    remote_question_release(&question);
    remote_answer_release(&answer);
    return rc;
}

static void usage(FILE *to)
{
    fputs("Usage: pj-remote <question.json\n"
          "Reaches a repository's remote for pj-api, which starts it for one\n"
          "question at a time: not meant for people.\n"
          "  --check-config  it has no settings: all is in the question\n"
          "  --help          this text\n"
          "  --version       the version\n"
          "Exit: 0 answered, 1 not, 2 usage.\n",
          to);
}

int main(int argc, char **argv)
{
    struct pj_err err;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("pj-remote %s\n", PJ_VERSION);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--check-config") == 0) {
        printf("pj-remote: there are no settings to check\n");
        return 0;
    }
    if (argc > 1) {
        usage(stderr);
        return 2;
    }
    pj_forbid_core_files();
    signal(SIGPIPE, SIG_IGN);
    if (serve(&err) == 0)
        return 0;
    fprintf(stderr, "pj-remote: %s\n", err.message);
    return 1;
}
