/* pj doctor: what an operator would check by hand, each with its remedy. No value of a secret is ever printed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "api/cli/cli.h"
#include "api/cli/client.h"
#include "api/cli/host.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/meta.h"

#define OUTPUT_MAX (256u << 10)
#define SKEW_MS 5000

enum level { FINE, WARNING, WRONG };

struct doctor {
    struct cli *cli;
    json_t *findings;
    size_t wrong;
};

static void note(struct doctor *d, const char *check, enum level level, const char *detail,
                 const char *remedy)
{
    static const char *const words[] = {"ok", "warning", "wrong"};
    static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
    bool colour = d->cli->colour;

    d->wrong += level == WRONG;
    json_array_append_new(d->findings, json_pack("{s:s, s:s, s:s, s:s?}", "check", check, "level",
                                                 words[level], "detail", detail, "remedy", remedy));
    if (d->cli->json)
        return;
    (void)printf("%s%-8s%s %-10s %s\n", colour ? colours[level] : "", words[level],
                 colour ? "\033[0m" : "", check, detail);
    if (remedy && *remedy)
        (void)printf("%20s-> %s\n", "", remedy);
}

/* ---- settings of the programs, and the gates of this host ---- */

static char *trimmed(const struct pj_str *text)
{
    struct pj_view v = pj_view_n(pj_str_cstr(text), text->len);

    while (v.n > 0 && strchr("\r\n ", v.p[v.n - 1]))
        v.n--;
    return pj_strndup(v.p, v.n);
}

static void check_program(struct doctor *d, const char *program)
{
    PJ_CLEANUP(pj_str_release) struct pj_str out;
    struct pj_err err = {0};

    pj_str_init(&out, OUTPUT_MAX);
    int code = host_run(program, "--check-config", &out, &err);
    PJ_CLEANUP(pj_freep) char *said = trimmed(&out);
    if (code < 0)
        note(d, program, WRONG, err.message, err.remedy);
    else
        note(d, program, code == 0 ? FINE : WRONG, code == 0 ? "settings are right" : said, NULL);
}

static void check_sandbox(struct doctor *d)
{
    PJ_CLEANUP(pj_str_release) struct pj_str out;
    struct pj_err err = {0};

    pj_str_init(&out, OUTPUT_MAX);
    int code = host_run("pj-sandbox", "--check", &out, &err);
    PJ_CLEANUP(pj_freep) char *said = trimmed(&out);
    if (code < 0)
        note(d, "sandbox", WRONG, err.message, err.remedy);
    else if (code == 0)
        note(d, "sandbox", FINE, "a box can be made on this host", NULL);
    else
        note(d, "sandbox", WRONG, said,
             "open the gates named above; `pj-sandbox --check` shows them again");
}

/* ---- Redis ---- */

static void check_skew(struct doctor *d, struct pj_redis *redis)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err = {0};
    char text[120];

    pj_cmd_start(&cmd, "TIME");
    if (pj_redis_do(redis, &cmd, &reply, &err) < 0) {
        note(d, "clock", WARNING, err.message, err.remedy);
        return;
    }
    int64_t skew = pj_now_ms() - pj_reply_int(pj_reply_at(reply, 0), 0) * 1000;
    bool fine = skew > -SKEW_MS && skew < SKEW_MS;
    (void)snprintf(text, sizeof text, "this host and Redis differ by %lld ms",
                   (long long)(skew < 0 ? -skew : skew));
    note(d, "clock", fine ? FINE : WARNING, text,
         fine ? NULL : "synchronise the clocks (chrony, systemd-timesyncd)");
}

static void check_redis(struct doctor *d)
{
    struct pj_store_finding findings[PJ_STORE_FINDINGS_MAX];
    struct pj_redis *redis = NULL;
    struct pj_err err = {0};
    size_t count = 0;

    if (host_redis(&redis, &err) < 0) {
        note(d, "redis", WRONG, err.message, err.remedy);
        return;
    }
    if (pj_store_check(redis, findings, &count, &err) < 0)
        note(d, "redis", WRONG, err.message, err.remedy);
    else if (count == 0)
        note(d, "redis", FINE, "version, policy and persistence are right", NULL);
    for (size_t i = 0; i < count; i++)
        note(d, "redis", findings[i].level >= 2 ? WRONG : WARNING, findings[i].detail,
             findings[i].remedy);
    check_skew(d, redis);
    pj_redis_free(redis);
}

/* ---- keys, by name only ---- */

static void check_key(struct doctor *d, const char *name, const char *what)
{
    PJ_CLEANUP(pj_freep) char *file_name = pj_asprintf("%s_FILE", name);
    const char *value = getenv(name), *file = getenv(file_name);
    char text[300];
    struct stat st;

    if (value && *value) {
        (void)snprintf(text, sizeof text, "%s is set (%s)", name, what);
        note(d, "keys", FINE, text, NULL);
    } else if (file && *file && stat(file, &st) < 0) {
        (void)snprintf(text, sizeof text, "%s: %s: %s", file_name, file, strerror(errno));
        note(d, "keys", WRONG, text, "put the key into that file, or unset the variable");
    } else if (file && *file) {
        bool open_to_others = (st.st_mode & 077) != 0;

        (void)snprintf(text, sizeof text, "%s is set (%s)%s", file_name, what,
                       open_to_others ? ", and others may read the file" : "");
        note(d, "keys", open_to_others ? WARNING : FINE, text,
             open_to_others ? "chmod 600 the file" : NULL);
    }
}

/* ---- the API ---- */

static void check_api(struct doctor *d)
{
    struct client *c =
        client_new(d->cli->settings.url, d->cli->settings.token, d->cli->settings.ca_file);
    PJ_CLEANUP(pj_json_decrefp) json_t *me = NULL;
    struct pj_err err = {0};

    if (client_alive(c, &err) < 0) {
        note(d, "api", WARNING, err.message, err.remedy);
    } else if (!d->cli->settings.token) {
        note(d, "api", WARNING, "it answers, but there is no token to ask it with",
             "pj login, or set PJ_TOKEN");
    } else if (client_call(c, "GET", "/me", NULL, &me, &err) < 0) {
        note(d, "api", WRONG, err.message, err.remedy);
    } else {
        note(d, "api", FINE, "it answers and knows your token", NULL);
    }
    client_free(c);
}

int cmd_doctor(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    struct doctor d = {.cli = cli, .findings = json_array()};

    (void)args;
    (void)err;
    check_program(&d, "pj-api");
    check_program(&d, "pj-runner");
    check_redis(&d);
    check_sandbox(&d);
    check_key(&d, "ANTHROPIC_API_KEY", "model provider");
    check_key(&d, "GITHUB_TOKEN", "github.com");
    check_key(&d, "OPENAI_API_KEY", "model provider");
    check_key(&d, "PJ_SECRET_KEY", "seals credentials");
    check_api(&d);
    if (cli->json) {
        PJ_CLEANUP(pj_freep) char *text = pj_json_text(d.findings);

        (void)puts(text);
    }
    json_decref(d.findings);
    return d.wrong > 0 ? EXIT_FAILED : 0;
}
