/* Mails and notifications: their words and signatures, and their delivery by the real runner to real servers on loopback. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/crypto/secret.h"
#include "lib/json/codec.h"
#include "lib/store/outbox.h"
#include "lib/store/users.h"
#include "runner/chore.h"
#include "runner/mail.h"
#include "runner/notify.h"
#include "runner/outbox.h"
#include "tests/runner/fleet.h"
#include "tests/support/stand_in.h"

/* ---- words ---- */

static void task_init(struct pj_task *task)
{
    pj_task_init(task);
    task->id = pj_strdup("0mwabcdefgh00abcdefghi");
    task->repository_id = pj_strdup("0mwrepository0");
    task->title = pj_strdup("Fix <b>the</b> greeting");
    task->status = PJ_TASK_FAILED;
    task->error.code = pj_strdup("llm_auth");
    task->error.title = pj_strdup("The model provider does not accept the key");
    task->error.detail = pj_strdup("openai answered 401");
    task->error.remedy = pj_strdup("Ask the operator to check the provider's API key.");
}

/* The decoded part of that content type; owned by the caller. */
static char *part(const char *message, const char *type)
{
    const char *at = strstr(message, type), *body;
    struct pj_str code;
    char *out = pj_alloc(1, 65536);
    size_t n = 0;

    cr_assert_not_null(at, "no %s", type);
    body = strstr(at, "\r\n\r\n");
    cr_assert_not_null(body);
    pj_str_init(&code, 65536);
    for (body += 4; *body != '-' && *body != '\0'; body++)
        if (*body != '\r' && *body != '\n')
            (void)pj_str_putc(&code, *body);
    cr_assert_eq(pj_base64_decode(pj_view_n(code.data, code.len), out, 65535, &n), 0);
    pj_str_release(&code);
    return out;
}

static void compose(const struct pj_task *task, const char *template_name, struct pj_str *out)
{
    const struct mail_facts facts = {
        .template_name = template_name,
        .task = task,
        .repository = "acme/greeter",
        .public_url = "https://pj.example.org",
        .message_id = "msg_1",
        .from = "Pithy Jaunt <pj@example.org>",
        .to = "dev@example.org",
        .date_ms = 1795353009123,
    };
    struct pj_err err;

    cr_assert_eq(mail_compose(&facts, out, &err), 0, "%s", err.message);
}

Test(mail, says_what_failed_why_and_what_to_do)
{
    struct pj_task task;
    struct pj_str message;
    char *text, *html;

    task_init(&task);
    compose(&task, "failed", &message);
    cr_assert_not_null(strstr(message.data, "Subject: Failed: Fix <b>the</b> greeting\r\n"), "%s",
                       message.data);
    cr_assert_not_null(strstr(message.data, "Date: Sun, 22 Nov 2026 "), "%s", message.data);
    cr_assert_not_null(strstr(message.data, "Message-ID: <msg_1@example.org>\r\n"));
    text = part(message.data, "text/plain");
    html = part(message.data, "text/html");
    cr_assert_not_null(strstr(text, "openai answered 401"));
    cr_assert_not_null(strstr(text, "check the provider's API key"));
    cr_assert_not_null(strstr(text, "https://pj.example.org/tasks/0mwabcdefgh00abcdefghi"));
    cr_assert_null(strstr(text, "The other side said"), "a line with nothing to show: %s", text);
    cr_assert_not_null(strstr(html, "Fix &lt;b&gt;the&lt;/b&gt; greeting"), "%s", html);
    cr_assert_null(strstr(html, "<b>"));
    free(text);
    free(html);
    pj_str_release(&message);
    pj_task_release(&task);
}

Test(mail, has_a_template_for_every_end_that_is_told)
{
    static const char *const names[] = {"completed", "failed", "needs_review",
                                        "needs_clarification"};
    struct pj_task task;

    task_init(&task);
    task.pr_url = pj_strdup("https://github.com/acme/greeter/pull/7");
    task.question = pj_strdup("Which greeting?");
    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        struct pj_str message;
        char *text;

        compose(&task, names[i], &message);
        text = part(message.data, "text/plain");
        cr_assert_null(strstr(text, "{{"), "%s: %s", names[i], text);
        cr_assert_not_null(strstr(text, "What to do next"), "%s: %s", names[i], text);
        free(text);
        pj_str_release(&message);
    }
    pj_task_release(&task);
}

Test(mail, r3_2_a_patch_that_does_not_apply_is_told_with_its_error_and_each_hunk)
{
    struct pj_task task;
    struct pj_str message;
    char *text;

    task_init(&task);
    pj_str_set(&task.error.detail,
               "2 places do not apply, the first: src/a.c, hunk 2: no such lines");
    task.rejects =
        json_pack("[{s:s, s:i, s:s}, {s:s, s:n, s:s}]", "path", "src/a.c", "hunk", 2, "reason",
                  "no such lines", "path", "src/b.c", "hunk", "reason", "does not exist");
    compose(&task, "needs_review", &message);
    text = part(message.data, "text/plain");
    cr_expect_not_null(strstr(text, "2 places do not apply"), "%s", text);
    cr_expect_not_null(strstr(text, "src/a.c, hunk 2: no such lines; src/b.c: does not exist"),
                       "%s", text);
    cr_expect_not_null(strstr(text, "The patch is kept"), "%s", text);
    cr_expect_not_null(strstr(text, "Task, patch and log: https://"), "%s", text);
    free(text);
    pj_str_release(&message);
    pj_task_release(&task);
}

Test(mail, no_title_can_add_a_header)
{
    static const char *const titles[] = {
        "a\r\nBcc: all@example.org",
        "Grüße an alle, und zwar so lange, dass es mehr als ein Wort braucht: äöüäöüäöü",
        "\x01\x7f"};
    for (size_t i = 0; i < PJ_COUNT_OF(titles); i++) {
        struct pj_task task;
        struct pj_str message;
        const char *end;

        task_init(&task);
        free(task.title);
        task.title = pj_strdup(titles[i]);
        compose(&task, "failed", &message);
        end = strstr(message.data, "\r\n\r\n");
        cr_assert_not_null(end);
        cr_assert_null(memmem(message.data, (size_t)(end - message.data), "Bcc", 3));
        for (const char *p = message.data; p < end; p++)
            cr_assert((unsigned char)*p < 0x7f &&
                      ((unsigned char)*p >= 0x20 || *p == '\r' || *p == '\n'));
        cr_assert_not_null(strstr(message.data, "=?UTF-8?B?"));
        pj_str_release(&message);
        pj_task_release(&task);
    }
}

Test(notify, signs_as_standard_webhooks_say)
{
    struct pj_str signature;
    struct pj_err err;

    /* The vector of the Standard Webhooks libraries' own tests. */
    pj_str_init(&signature, 256);
    cr_assert_eq(notify_sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                             "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                             pj_view_of("{\"test\": 2432232314}"), &signature, &err),
                 0);
    cr_assert_str_eq(signature.data, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    cr_assert_lt(notify_sign("secret", "m", 1, pj_view_of("{}"), &signature, &err), 0);
    pj_str_release(&signature);
}

Test(notify, r3_2_a_patch_that_does_not_apply_is_told_with_each_hunk)
{
    struct pj_task task;
    struct pj_str body;
    struct pj_err err;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    task_init(&task);
    task.rejects = json_array();
    for (int i = 0; i < 60; i++)
        json_array_append_new(task.rejects, json_pack("{s:s, s:i, s:s}", "path", "src/a.c", "hunk",
                                                      i, "reason", "the context is not there"));
    notify_body(&task, &body);
    cr_assert_eq(pj_json_parse(pj_view_n(body.data, body.len), &doc, &err), 0, "%s", err.message);
    const json_t *rejects = json_object_get(doc, "rejects");
    cr_expect_eq(json_array_size(rejects), 50, "the first of them");
    cr_expect_eq(pj_json_i64(json_array_get(rejects, 49), "hunk", -1), 49);
    cr_expect_str_eq(pj_json_str(json_array_get(rejects, 0), "path", ""), "src/a.c");
    pj_str_release(&body);
    pj_task_release(&task);
}

struct waits {
    int begun, until; /* ends of pipes */
};

static void wait_for_word(const void *ctx)
{
    const struct waits *w = ctx;
    char byte = 'b';

    (void)!write(w->begun, &byte, 1);
    (void)!read(w->until, &byte, 1);
}

/* Packing a mirror may take minutes: the one who owes it goes on, and there is one at a time. */
Test(chore, runs_beside_the_one_who_owes_it)
{
    int begun[2], until[2];
    char byte;

    cr_assert_eq(pipe(begun), 0);
    cr_assert_eq(pipe(until), 0);
    const struct waits w = {begun[1], until[0]};
    struct chore chore = {.work = wait_for_word, .ctx = &w};

    chore_tick(&chore);
    cr_assert_eq(read(begun[0], &byte, 1), 1);
    pid_t first = chore.pid;
    chore_tick(&chore);
    cr_expect_eq(chore.pid, first, "not a second one beside it");
    cr_assert_eq(write(until[1], "w", 1), 1);
    cr_assert_eq(waitid(P_PID, (id_t)first, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
    chore_tick(&chore);
    cr_expect_neq(chore.pid, first, "the next one");
    cr_assert_eq(read(begun[0], &byte, 1), 1);
    chore_stop(&chore);
    cr_expect_eq(chore.pid, 0);
    cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "nothing is left of it");
    chore.next_ms = pj_mono_ms() + 60000;
    chore_tick(&chore);
    cr_expect_eq(chore.pid, 0, "not before it is due");
}

Test(outbox, waits_longer_each_time_and_gives_up_after_three_days)
{
    int64_t first = outbox_retry_ms(1000, 0, 1),
            tenth = outbox_retry_ms(1000, INT64_C(2) * 3600 * 1000, 10),
            spared = outbox_retry_ms(1000, 60000, 10); /* tried less often than it was claimed */

    cr_assert(spared >= 52500 && spared <= 70000);
    cr_assert_gt(outbox_retry_ms(1000, -60000, 1), 0, "a clock behind that of Redis");
    cr_assert(first >= 7500 && first <= 10000);
    cr_assert(tenth > 60 * 60 * 1000 && tenth <= 4 * 60 * 60 * 1000);
    cr_assert_eq(outbox_retry_ms(1000, INT64_C(3) * 24 * 3600 * 1000, 20), -1);
}

static const struct {
    const char *url;
    bool allowed, plain;
} addresses[] = {
    {"https://8.8.8.8/hook", true, false},
    {"https://[2606:4700::1]:8443/x", true, false},
    {"http://8.8.8.8/hook", false, false},
    {"https://127.0.0.1/hook", false, false},
    {"https://10.1.2.3/", false, false},
    {"https://169.254.169.254/latest", false, false},
    {"https://[::1]/", false, false},
    {"https://[::ffff:10.0.0.1]/", false, false},
    {"https://user@8.8.8.8/", false, false},
    {"ftp://8.8.8.8/", false, false},
    {"http://inbox.internal:8080/x", true, true},
    {"https://inbox.internal:8080/x", true, false},
};

Test(notify, posts_to_public_addresses_and_to_hosts_that_the_operator_lists)
{
    char path[] = "/tmp/pj-test-forges-XXXXXX";
    const char text[] = "[{\"host\":\"inbox.internal:8080\",\"kind\":\"git\",\"insecure\":true}]";
    const struct pj_forges_spec spec = {.file = path};
    struct pj_forges *forges = NULL;
    struct pj_err err = {0};
    int fd = mkstemp(path);

    cr_assert_eq(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
    (void)close(fd);
    cr_assert_eq(pj_forges_load(&spec, &forges, &err), 0, "%s", err.message);
    for (size_t i = 0; i < PJ_COUNT_OF(addresses); i++) {
        struct notify_way way;

        cr_assert_eq(notify_guard(forges, addresses[i].url, &way, &err) == 0, addresses[i].allowed,
                     "%s: %s", addresses[i].url, err.message);
        cr_assert_eq(way.plain, addresses[i].plain, "%s", addresses[i].url);
    }
    pj_forges_free(forges);
    (void)unlink(path);
}

/* Its name was public when it was judged, and is ours when it is dialled. */
Test(notify, a_name_that_has_become_another_address_is_not_dialled)
{
    struct pj_forges *forges = NULL;
    const struct pj_forges_spec spec = {.file = NULL};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    static const char *const proxies[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
                                          "ALL_PROXY"};
    struct notify_way way;
    struct pj_task task;
    struct pj_err err;

    for (size_t i = 0; i < PJ_COUNT_OF(proxies); i++)
        (void)unsetenv(proxies[i]); /* it would dial */
    cr_assert_eq(bind(sock, (const struct sockaddr *)&at, sizeof(at)), 0);
    cr_assert_eq(listen(sock, 1), 0);
    cr_assert_eq(getsockname(sock, (struct sockaddr *)&at, &n), 0);
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("https://localhost:%d/", ntohs(at.sin_port));
    cr_assert_eq(pj_forges_load(&spec, &forges, &err), 0, "%s", err.message);
    cr_assert_eq(notify_guard(forges, "https://8.8.8.8/hook", &way, &err), 0);
    struct pj_http *http = pj_http_new(NULL);
    pj_task_init(&task);
    task.id = pj_strdup("0123456789abcdef0123ab");
    cr_expect_lt(notify_send(http, url, &way, "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "id", &task, &err),
                 0);
    cr_expect_eq(err.cls, PJ_E_INVALID, "%s", err.message);
    cr_expect_lt(accept(sock, NULL, NULL), 0, "somebody knocked");
    pj_task_release(&task);
    pj_http_free(http);
    pj_forges_free(forges);
    (void)close(sock);
}

/* ---- a mail server that takes one connection after another ---- */

struct smtp {
    int sock;
    uint16_t port;
    pthread_t thread;
    char *mail; /* what came after DATA */
    char rcpt[200];
    int refuse; /* so many deliveries are put off first */
};

static bool say(FILE *f, const char *text)
{
    return fprintf(f, "%s\r\n", text) > 0 && fflush(f) == 0;
}

static void take_data(struct smtp *s, FILE *in)
{
    char line[2000];
    struct pj_str mail;

    pj_str_init(&mail, 1 << 20);
    while (fgets(line, sizeof(line), in) != NULL && strcmp(line, ".\r\n") != 0)
        (void)pj_str_puts(&mail, line);
    s->mail = pj_str_take(&mail);
    pj_str_release(&mail);
}

/* One connection; true once a mail was taken. */
static bool converse(struct smtp *s, int fd)
{
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    char line[2000];
    bool taken = false;

    (void)say(out, "220 mail.example.org");
    while (!taken && fgets(line, sizeof(line), in) != NULL) {
        if (strncmp(line, "RCPT", 4) == 0)
            (void)snprintf(s->rcpt, sizeof(s->rcpt), "%.150s", line);
        if (strncmp(line, "MAIL", 4) == 0 && s->refuse > 0) {
            s->refuse--;
            (void)say(out, "451 try again later");
        } else if (strncmp(line, "DATA", 4) == 0) {
            (void)say(out, "354 go on");
            take_data(s, in);
            (void)say(out, "250 taken");
            taken = true;
        } else if (strncmp(line, "QUIT", 4) == 0) {
            (void)say(out, "221 bye");
            break;
        } else {
            (void)say(out, "250 fine");
        }
    }
    (void)fclose(in);
    (void)fclose(out);
    return taken;
}

static void *smtp_main(void *arg)
{
    struct smtp *s = arg;
    int fd;

    while ((fd = accept4(s->sock, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        if (converse(s, fd))
            break;
    return NULL;
}

static void smtp_start(struct smtp *s, int refuse)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(at);

    *s = (struct smtp){.sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .refuse = refuse};
    cr_assert_eq(bind(s->sock, (struct sockaddr *)&at, n), 0);
    cr_assert_eq(listen(s->sock, 4), 0);
    cr_assert_eq(getsockname(s->sock, (struct sockaddr *)&at, &n), 0);
    s->port = ntohs(at.sin_port);
    cr_assert_eq(pthread_create(&s->thread, NULL, smtp_main, s), 0);
}

/* Waits until the mail was taken. */
static void smtp_join(struct smtp *s)
{
    cr_assert_eq(pthread_join(s->thread, NULL), 0);
    (void)close(s->sock);
}

/* ---- delivery ---- */

static void add_owner(struct fleet *f)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    char id[] = "000000000userfleet0000", email[] = "owner@example.org",
         token_id[] = "0000000000tokenfleet00", name[] = "test";
    const struct pj_user user = {.id = id, .email = email, .role = PJ_ROLE_ADMIN};
    const struct pj_token token = {.id = token_id, .user_id = id, .name = name};
    char digest[65];
    struct pj_err err;

    pj_token_digest("pj_test_token_of_the_fleet", digest);
    pj_user_bootstrap_cmd(&cmd, &user, &token, digest);
    cr_assert_eq(pj_redis_do(f->store, &cmd, &reply, &err), 0, "%s", err.message);
}

/* State of the task's record of that kind, owned by the caller; NULL when there is none. */
static char *record_state(struct fleet *f, const char *task, const char *kind)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *list = NULL;
    size_t i;
    const json_t *item;
    struct pj_err err;
    char *state = NULL;

    pj_outbox_list_cmd(&cmd, 0, task, NULL, 10);
    cr_assert_eq(pj_redis_do(f->store, &cmd, &reply, &err), 0, "%s", err.message);
    cr_assert_eq(pj_outbox_list_reply(reply, &list, &err), 0, "%s", err.message);
    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        if (strcmp(pj_json_str(item, "kind", ""), kind) == 0)
            state = pj_strdup(pj_json_str(item, "state", ""));
    }
    return state;
}

static void refuse_once(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    int *left = ctx;

    (void)r;
    if ((*left)-- > 0)
        stand_in_reply_text(x, 503, "text/plain", "not now");
    else
        stand_in_reply_text(x, 204, "text/plain", "");
}

Test(outbox, r5_1_tells_the_owner_and_the_operators_address_of_an_end)
{
    struct fleet f;
    struct smtp mail;
    struct pj_task task;
    int refusals = 1;
    struct stand_in *inbox = stand_in_start(0, refuse_once, &refusals);
    const struct stand_in_request *first, *second;
    struct pj_str expected;
    struct pj_err err;

    fleet_start(&f);
    smtp_start(&mail, 1);
    PJ_CLEANUP(pj_freep) char *smtp_url = pj_asprintf("smtp://127.0.0.1:%u", mail.port);
    PJ_CLEANUP(pj_freep) char *hook = pj_asprintf("%s/ends", stand_in_url(inbox));
    add_owner(&f);
    fleet_set(&f, "PJ_SMTP_URL", smtp_url);
    fleet_set(&f, "PJ_MAIL_FROM", "Pithy Jaunt <pj@example.org>");
    fleet_set(&f, "PJ_NOTIFY_URL", hook);
    fleet_set(&f, "PJ_NOTIFY_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    fleet_set(&f, "PJ_RETRY_BASE", "10ms");
    fleet_runner(&f, 0);
    PJ_CLEANUP(pj_freep) char *remote = fleet_remote(&f, "sample");
    PJ_CLEANUP(pj_freep) char *repo = fleet_repo(&f, remote, NULL);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&f, repo, "Greet the world", NULL);
    fleet_wait_end(&f, id, &task);
    cr_assert_eq(task.status, PJ_TASK_COMPLETED);

    smtp_join(&mail);
    cr_assert_not_null(strstr(mail.rcpt, "<owner@example.org>"), "%s", mail.rcpt);
    cr_assert_not_null(strstr(mail.mail, "Subject: Done: Greet the world"), "%s", mail.mail);

    cr_assert(stand_in_wait(inbox, 2, FLEET_SOON_MS));
    first = stand_in_request_at(inbox, 0);
    second = stand_in_request_at(inbox, 1);
    cr_assert_str_eq(stand_in_header(first, "webhook-id"), stand_in_header(second, "webhook-id"));
    cr_assert_not_null(strstr(second->body, "\"type\":\"task.completed\""), "%s", second->body);
    pj_str_init(&expected, 256);
    cr_assert_eq(notify_sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                             stand_in_header(second, "webhook-id"),
                             strtoll(stand_in_header(second, "webhook-timestamp"), NULL, 10),
                             pj_view_n(second->body, second->body_len), &expected, &err),
                 0);
    cr_assert_str_eq(stand_in_header(second, "webhook-signature"), expected.data);
    pj_str_release(&expected);

    fleet_stop(&f);
    stand_in_stop(inbox);
    free(mail.mail);
    pj_task_release(&task);
}

Test(outbox, without_a_mail_server_a_mail_is_recorded_as_skipped)
{
    struct fleet f;
    struct pj_task task;
    int refusals = 0;
    struct stand_in *inbox = stand_in_start(0, refuse_once, &refusals);

    fleet_start(&f);
    PJ_CLEANUP(pj_freep) char *hook = pj_asprintf("%s/ends", stand_in_url(inbox));
    add_owner(&f);
    fleet_set(&f, "PJ_NOTIFY_URL", hook);
    fleet_set(&f, "PJ_NOTIFY_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    fleet_runner(&f, 0);
    PJ_CLEANUP(pj_freep) char *remote = fleet_remote(&f, "sample");
    PJ_CLEANUP(pj_freep) char *repo = fleet_repo(&f, remote, NULL);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&f, repo, "Greet the world", NULL);
    fleet_wait_end(&f, id, &task);
    pj_task_release(&task);
    /* The webhook's record is made by the mail's, and served after the mail was settled. */
    cr_assert(stand_in_wait(inbox, 1, FLEET_SOON_MS));
    PJ_CLEANUP(pj_freep) char *state = record_state(&f, id, "mail");
    cr_assert_str_eq(state, "skipped");
    fleet_stop(&f);
    stand_in_stop(inbox);
}

#define REPOSITORY_SECRET "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
static const char *inbox_url;

/* The keys of fleet.c's PJ_SECRET_KEY. */
static void with_notify_url(struct pj_repo *repo)
{
    PJ_CLEANUP(pj_freep) char *context = pj_asprintf("repo:%s:webhook", repo->id);
    struct pj_keyring *ring = NULL;
    struct pj_str sealed;
    struct pj_err err;

    cr_assert_eq(pj_keyring_new("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", &ring, &err), 0);
    pj_str_init(&sealed, 4096);
    cr_assert_eq(pj_seal(ring, context, pj_view_of(REPOSITORY_SECRET), &sealed, &err), 0);
    repo->webhook_sealed = pj_str_take(&sealed);
    repo->notify_url = pj_strdup(inbox_url);
    pj_str_release(&sealed);
    pj_keyring_free(ring);
}

Test(outbox, tells_the_repositorys_own_address_under_its_secret)
{
    struct fleet f;
    struct pj_task task;
    int refusals = 0;
    struct stand_in *inbox = stand_in_start(0, refuse_once, &refusals);
    const struct stand_in_request *r;
    struct pj_str expected;
    struct pj_err err;

    fleet_start(&f);
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("%s/mine", stand_in_url(inbox));
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/forges.json", f.dir);
    PJ_CLEANUP(pj_freep)
    char *forges = pj_asprintf("[{\"kind\":\"git\",\"root\":\"%s\"},"
                               "{\"host\":\"127.0.0.1:%u\",\"kind\":\"git\",\"insecure\":true}]",
                               f.remotes, stand_in_port(inbox));
    cr_assert_eq(pj_fs_write_atomic(path, forges, strlen(forges), 0600, &err), 0);
    inbox_url = url;
    add_owner(&f);
    fleet_runner(&f, 0);
    PJ_CLEANUP(pj_freep) char *remote = fleet_remote(&f, "sample");
    PJ_CLEANUP(pj_freep) char *repo = fleet_repo(&f, remote, with_notify_url);
    PJ_CLEANUP(pj_freep) char *id = fleet_task(&f, repo, "Greet the world", NULL);
    fleet_wait_end(&f, id, &task);
    pj_task_release(&task);
    cr_assert(stand_in_wait(inbox, 1, FLEET_SOON_MS));
    r = stand_in_request_at(inbox, 0);
    cr_assert_str_eq(r->path, "/mine");
    pj_str_init(&expected, 256);
    cr_assert_eq(notify_sign(REPOSITORY_SECRET, stand_in_header(r, "webhook-id"),
                             strtoll(stand_in_header(r, "webhook-timestamp"), NULL, 10),
                             pj_view_n(r->body, r->body_len), &expected, &err),
                 0);
    cr_assert_str_eq(stand_in_header(r, "webhook-signature"), expected.data);
    pj_str_release(&expected);
    fleet_stop(&f);
    stand_in_stop(inbox);
}
