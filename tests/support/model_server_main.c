/* model-server: the scripted provider as a program of its own.
 *
 *   model-server [--port N] SCRIPT.json      then: OPENAI_BASE_URL=… OPENAI_API_KEY=test-model-key-0123456789 ./dev up --once
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/view.h"
#include "tests/support/model_server.h"

int main(int argc, char **argv)
{
    struct pj_err err = {0};
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    int64_t port = 0;
    sigset_t stop;
    int got;

    pj_str_init(&text, 16 << 20);
    if (argc == 4 && strcmp(argv[1], "--port") == 0 &&
        pj_parse_i64(pj_view_of(argv[2]), &port) == 0 && port >= 0 && port < 65536) {
        argv += 2;
        argc -= 2;
    }
    if (argc != 2) {
        fputs("usage: model-server [--port N] SCRIPT.json\n", stderr);
        return 2;
    }
    sigemptyset(&stop);
    sigaddset(&stop, SIGINT);
    sigaddset(&stop, SIGTERM);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    struct model_server *m = model_server_start((uint16_t)port, NULL, 0);
    if (pj_fs_read(argv[1], &text, &err) < 0 ||
        model_server_add_json(m, pj_str_cstr(&text), &err) < 0) {
        fprintf(stderr, "model-server: %s\n", err.message);
        return 1;
    }
    printf("OPENAI_BASE_URL=%s\nANTHROPIC_BASE_URL=%s\nkey=%s\n", model_server_openai_url(m),
           model_server_anthropic_url(m), MODEL_SERVER_KEY);
    fflush(stdout);
    sigwait(&stop, &got);
    printf("%zu requests, %zu answers left\n%s", model_server_count(m), model_server_left(m),
           model_server_faults(m));
    bool faulty = *model_server_faults(m) != '\0';
    model_server_stop(m);
    return faulty ? 1 : 0;
}
