#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <git2.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/git/remote.h"
#include "tests/lib/git/tls_server.h"
#include "tests/support/forge_server.h"
#include "tests/support/gitfix.h"
#include "tests/support/localhost.h"

static char *root;
static char *bare;
static struct forge_server *server;

static void begin(void)
{
    static const struct gitfix_file files[] = {
        {"README.md", "hello\n", false},
    };
    char template[] = "/tmp/pj-test-XXXXXX";
    struct pj_err err;

    cr_assert_not_null(mkdtemp(template));
    root = pj_strdup(template);
    PJ_CLEANUP(pj_freep) char *owner = pj_asprintf("%s/o", root);
    cr_assert_eq(pj_fs_mkdirs(owner, 0755, &err), 0);
    bare = gitfix_bare(owner, "r", files, 1);
    free(gitfix_commit(bare, "other", files, 1, "other"));
}

static void end(void)
{
    struct pj_err err;

    if (server != NULL)
        forge_server_stop(server);
    cr_expect_eq(pj_fs_remove_tree(root, &err), 0);
    free(root);
    free(bare);
}

TestSuite(remote, .init = begin, .fini = end);

static int check(const char *url, const char *token, const char *branch,
                 struct pj_remote_head *head, struct pj_err *err)
{
    struct pj_credential credential = {.token = token};
    struct pj_git_net net = {.credential = &credential, .timeout_ms = 10000};

    return pj_remote_check(url, &net, branch, head, err);
}

Test(remote, a_path_tells_its_default_branch_and_tip)
{
    struct pj_remote_head head;
    struct pj_err err;

    cr_assert_eq(check(bare, NULL, NULL, &head, &err), 0, "%s", err.message);
    char *tip = gitfix_rev(bare, "refs/heads/main");
    cr_assert_str_eq(head.branch, "main");
    cr_assert_str_eq(head.default_branch, "main");
    cr_assert_str_eq(head.sha, tip);
    free(tip);
    cr_assert_eq(check(bare, NULL, "other", &head, &err), 0, "%s", err.message);
    cr_assert_str_eq(head.branch, "other");
    cr_assert_str_eq(head.default_branch, "main");
}

Test(remote, over_http_with_the_right_token_and_with_none)
{
    struct pj_remote_head head;
    struct pj_err err;

    server = forge_server_start(root);
    PJ_CLEANUP(pj_freep) char *url = forge_server_repo_url(server, "o/r");
    cr_assert_eq(check(url, FORGE_TOKEN, NULL, &head, &err), 0, "%s", err.message);
    cr_assert_str_eq(head.branch, "main");
    cr_assert_eq(check(url, "wrong-wrong-wrong", NULL, &head, &err), -1);
    cr_assert_eq(err.cls, PJ_E_AUTH, "%s", err.message);
    cr_assert_not_null(strstr(err.remedy, "refused"));
    cr_assert_null(strstr(err.message, "wrong-wrong"));
    cr_assert_eq(check(url, NULL, NULL, &head, &err), -1);
    cr_assert_eq(err.cls, PJ_E_AUTH, "%s", err.message);
    cr_assert_not_null(strstr(err.remedy, "asks for a credential"));
    PJ_CLEANUP(pj_freep) char *none = forge_server_repo_url(server, "o/none");
    cr_assert_eq(check(none, FORGE_TOKEN, NULL, &head, &err), -1);
    cr_assert_eq(err.cls, PJ_E_NOT_FOUND, "%s", err.message);
    cr_assert_str_eq(err.code, "repository_not_found");
    forge_server_fail(server, NULL, "info/refs", 1, 500, NULL, NULL);
    cr_assert_eq(check(url, FORGE_TOKEN, NULL, &head, &err), -1);
    cr_assert_eq(err.cls, PJ_E_UNAVAILABLE, "%s", err.message);
}

Test(remote, missing_branches_repositories_and_hosts_are_told_apart)
{
    struct pj_remote_head head;
    struct pj_err err;
    PJ_CLEANUP(pj_freep) char *empty = pj_asprintf("%s/o/empty.git", root);
    PJ_CLEANUP(pj_freep) char *none = pj_asprintf("%s/o/none.git", root);

    cr_assert_eq(check(bare, NULL, "nowhere", &head, &err), -1);
    cr_assert_str_eq(err.code, "branch_not_found");
    cr_assert_not_null(strstr(err.message, "nowhere"));
    cr_assert_eq(check(bare, NULL, "bad..name", &head, &err), -1);
    cr_assert_eq(err.cls, PJ_E_INVALID);
    char *made = gitfix_run(empty, NULL, "init", "--bare", "-q", NULL);
    cr_assert_not_null(made);
    free(made);
    cr_assert_eq(check(empty, NULL, NULL, &head, &err), -1);
    cr_assert_str_eq(err.code, "branch_not_found", "%s", err.message);
    cr_assert_not_null(strstr(err.message, "empty"), "%s", err.message);
    cr_assert_eq(check(none, NULL, NULL, &head, &err), -1);
    cr_assert_str_eq(err.code, "repository_not_found");
    cr_assert_eq(check(root, NULL, NULL, &head, &err), -1);
    cr_assert_eq(err.cls, PJ_E_NOT_FOUND, "%s", err.message);
    cr_assert_eq(check("http://no-such-host.invalid/o/r", NULL, NULL, &head, &err), -1);
    cr_assert_str_eq(err.code, "host_unreachable", "%s", err.message);
    cr_assert_eq(check("ssh://git@localhost/o/r", NULL, NULL, &head, &err), -1);
    cr_assert_eq(err.cls, PJ_E_INVALID);
}

/* A socket on loopback that listens and never answers. Returns its port. */
static int silent_listener(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(bind(fd, (struct sockaddr *)&address, n), 0);
    cr_assert_eq(listen(fd, 8), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &n), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

Test(remote, a_host_that_never_answers_ends_at_the_deadline)
{
    struct pj_git_net net = {.timeout_ms = 300};
    struct pj_remote_head head;
    struct pj_err err;
    uint16_t port = 0;
    int fd = silent_listener(&port);
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("http://127.0.0.1:%u/o/r", port);
    int64_t start = pj_mono_ms();

    cr_assert_eq(pj_remote_check(url, &net, NULL, &head, &err), -1);
    cr_assert_eq(err.cls, PJ_E_TIMEOUT, "%s", err.message);
    cr_assert_lt(pj_mono_ms() - start, 5000);
    close(fd);
}

struct cancel {
    int fd; /* readable: cancelled */
};

static size_t want(void *ctx, struct pollfd *fds, size_t cap, int *timeout_ms)
{
    const struct cancel *cancel = ctx;

    (void)timeout_ms;
    cr_assert_gt(cap, 0);
    fds[0] = (struct pollfd){.fd = cancel->fd, .events = POLLIN};
    return 1;
}

static int ready(void *ctx, const struct pollfd *fds, size_t n, struct pj_err *err)
{
    (void)ctx;
    return n == 1 && (fds[0].revents & POLLIN) != 0
               ? pj_fail(err, PJ_E_CANCELLED, "cancelled by a person")
               : 0;
}

Test(remote, the_pump_can_end_a_wait)
{
    struct cancel cancel;
    struct pj_pump pump = {.ctx = &cancel, .want = want, .ready = ready};
    struct pj_git_net net = {.timeout_ms = 20000, .pump = &pump};
    struct pj_remote_head head;
    struct pj_err err;
    uint16_t port = 0;
    int pipefd[2];
    int fd = silent_listener(&port);
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("http://127.0.0.1:%u/o/r", port);

    cr_assert_eq(pipe(pipefd), 0);
    cancel.fd = pipefd[0];
    cr_assert_eq(write(pipefd[1], "c", 1), 1);
    cr_assert_eq(pj_remote_check(url, &net, NULL, &head, &err), -1);
    cr_assert_eq(err.cls, PJ_E_CANCELLED, "%s", err.message);
    close(pipefd[0]);
    close(pipefd[1]);
    close(fd);
}

static bool refuse_loopback(void *ctx, const struct sockaddr *address, socklen_t n)
{
    (void)n;
    ++*(int *)ctx;
    return address->sa_family != AF_INET;
}

Test(remote, addresses_the_guard_refuses_are_not_connected)
{
    int asked = 0;
    struct pj_git_net net = {.timeout_ms = 5000, .allow = refuse_loopback, .allow_ctx = &asked};
    struct pj_remote_head head;
    struct pj_err err;

    server = forge_server_start(root);
    PJ_CLEANUP(pj_freep) char *url = forge_server_repo_url(server, "o/r");
    cr_assert_eq(pj_remote_check(url, &net, NULL, &head, &err), -1);
    cr_assert_eq(err.cls, PJ_E_FORBIDDEN, "%s", err.message);
    cr_assert_eq(asked, 1);
    cr_assert_eq(forge_server_count(server, NULL, "info/refs"), 0);
}

Test(remote, only_a_certificate_that_is_trusted_gets_a_request)
{
    if (!localhost_is_known())
        cr_skip_test(LOCALHOST_MISSING);
    PJ_CLEANUP(pj_freep) char *ca = pj_asprintf("%s/ca.pem", root);
    struct tls_server *tls = tls_server_start(ca);
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("https://localhost:%u/o/r", tls_server_port(tls));
    PJ_CLEANUP(pj_freep)
    char *other_name = pj_asprintf("https://127.0.0.1:%u/o/r", tls_server_port(tls));
    struct pj_credential credential = {.token = "a-secret-token"};
    struct pj_git_net net = {.credential = &credential, .timeout_ms = 10000};
    struct pj_remote_head head;
    struct pj_err err = {0};

    cr_assert_eq(pj_remote_check(url, &net, NULL, &head, &err), -1);
    cr_expect_str_eq(err.code, "host_unreachable", "%s", err.message);
    cr_expect_not_null(strstr(err.remedy, "PJ_CA_FILE"), "%s", err.remedy);
    cr_expect_eq(tls_server_requests(tls), 0);
    net.ca_file = ca;
    cr_assert_eq(pj_remote_check(url, &net, NULL, &head, &err), -1);
    cr_expect_str_eq(err.code, "repository_not_found", "%s", err.message);
    cr_expect_eq(tls_server_requests(tls), 1);
    cr_assert_eq(pj_remote_check(other_name, &net, NULL, &head, &err), -1);
    cr_expect_str_eq(err.code, "host_unreachable", "%s", err.message);
    cr_expect_eq(tls_server_requests(tls), 1);
    tls_server_stop(tls);
}

static void *check_in_thread(void *arg)
{
    struct pj_remote_head head;
    struct pj_err err;

    for (int i = 0; i < 10; i++) {
        if (check(arg, NULL, i % 2 == 0 ? NULL : "nowhere", &head, &err) != (i % 2 == 0 ? 0 : -1))
            return arg;
    }
    return NULL;
}

Test(remote, two_threads_may_check_at_once)
{
    pthread_t threads[2];

    for (size_t i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, check_in_thread, bare), 0);
    for (size_t i = 0; i < 2; i++) {
        void *failed = NULL;
        cr_assert_eq(pthread_join(threads[i], &failed), 0);
        cr_assert_null(failed);
    }
}

Test(remote, branch_names_are_judged_as_git_does)
{
    static const char *const good[] = {"main", "feature/x", "pj/0a1b2c", "v1.0", "@x", "\xC3\xA4"};
    static const char *const bad[] = {"",       "a..b", "a b", "-x",   "a/", "/a", "a//b",
                                      "a.lock", "a~1",  "a^",  "a:b",  "a?", "a*", "a[",
                                      "@{",     "HEAD", ".a",  "a\\b", "a\n"};

    for (size_t i = 0; i < PJ_COUNT_OF(good); i++)
        cr_expect(pj_branch_name_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < PJ_COUNT_OF(bad); i++)
        cr_expect_not(pj_branch_name_valid(bad[i]), "%s", bad[i]);
}

/* Names of the characters that matter, thrown together: libgit2 judges all of them alike. (A DEL is left out: git refuses
 * it, libgit2 does not.) */
Test(remote, random_branch_names_are_judged_as_libgit2_does)
{
    static const char letters[] = "aak.@{/-~^: ?*[\\\001l\xC3ock";
    unsigned seed = 5;
    size_t good = 0;

    cr_assert_gt(git_libgit2_init(), 0);
    for (int i = 0; i < 200000; i++) {
        char name[16], ref[32];
        int valid = 0;
        size_t n = 1 + (size_t)rand_r(&seed) % 9;
        for (size_t k = 0; k < n; k++)
            name[k] = letters[(size_t)rand_r(&seed) % (sizeof letters - 1)];
        memcpy(name + n, i % 7 == 0 ? ".lock" : "", i % 7 == 0 ? 6 : 1);
        snprintf(ref, sizeof ref, "refs/heads/%s", name);
        cr_assert_eq(git_reference_name_is_valid(&valid, ref), 0);
        bool expected = valid == 1 && name[0] != '-';
        cr_assert_eq(pj_branch_name_valid(name), expected, "%s", name);
        good += expected;
    }
    cr_expect_gt(good, 1000);
    cr_assert_geq(git_libgit2_shutdown(), 0);
}
