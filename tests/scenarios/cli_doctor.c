/* pj doctor: what is right, what is wrong, with whom each key was tried, and no secret on the screen. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "tests/scenarios/scene.h"

#define TOKEN "ghp_classic_token_0123456789abcdef"

/* A forge that only says who asks: what scopes the token has and when it ends. */
struct says {
    const char *scopes;  /* NULL: a fine-grained token */
    const char *expires; /* NULL: never */
    int64_t clock_ms;    /* how far its clock is ahead */
    bool knows;
};

static void on_rate_limit(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    const struct says *says = ctx;
    const char *auth = stand_in_header(r, "authorization");
    time_t now = (time_t)((pj_now_ms() + says->clock_ms) / 1000);
    char date[80];
    struct tm tm;

    cr_expect_str_eq(auth ? auth : "", "Bearer " TOKEN);
    (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    stand_in_add_header(x, "Date", date);
    if (says->scopes)
        stand_in_add_header(x, "X-OAuth-Scopes", says->scopes);
    if (says->expires)
        stand_in_add_header(x, "GitHub-Authentication-Token-Expiration", says->expires);
    stand_in_reply_text(x, says->knows ? 200 : 401, "application/json", "{}");
}

/* The findings; the caller decrefs. */
static json_t *doctor(struct scene *s, int code)
{
    static const char *const args[] = {"doctor", "--json", NULL};
    char *out, *err;
    int got = program_run("pj", args, s->w.env, s->w.dir, NULL, &out, &err);
    json_t *doc = json_loads(out, 0, NULL);

    cr_assert_not_null(doc, "%s%s", out, err);
    cr_expect_eq(got, code, "exit %d: %s", got, out);
    cr_expect_null(strstr(out, TOKEN), "%s", out);
    cr_expect_null(strstr(out, MODEL_SERVER_KEY), "%s", out);
    cr_expect_null(strstr(out, WORLD_TOKEN), "%s", out);
    cr_expect_null(strstr(out, FORGE_TOKEN), "%s", out);
    free(out);
    free(err);
    return doc;
}

/* The finding of that check whose detail holds the text. */
static const json_t *finding(const json_t *doc, const char *check, const char *text)
{
    size_t i;
    json_t *f;

    json_array_foreach(doc, i, f)
    {
        if (strcmp(pj_json_str(f, "check", ""), check) == 0 &&
            strstr(pj_json_str(f, "detail", ""), text))
            return f;
    }
    char *all = pj_json_text(doc);
    cr_assert_fail("no finding %s with \"%s\": %s", check, text, all);
    free(all);
    return NULL;
}

static void expect(const json_t *doc, const char *check, const char *text, const char *level)
{
    const json_t *f = finding(doc, check, text);
    const char *remedy = pj_json_str(f, "remedy", "");

    cr_expect_str_eq(pj_json_str(f, "level", ""), level, "%s: %s", check, text);
    if (strcmp(level, "ok") != 0)
        cr_expect_str_not_empty(remedy, "%s: %s", check, text);
}

static void as_client(struct scene *s)
{
    world_set(&s->w, "PJ_URL", s->w.base);
    world_set(&s->w, "PJ_TOKEN", WORLD_TOKEN);
}

Test(cli_doctor, says_of_everything_that_it_is_right)
{
    struct scene s;

    scene_prepare(&s, NULL, 0);
    scene_open_forge(&s, "");
    as_client(&s);
    json_t *doc = doctor(&s, 0);
    expect(doc, "pj-api", "settings are right", "ok");
    expect(doc, "pj-runner", "settings are right", "ok");
    expect(doc, "redis", "append-only file", "warning");
    expect(doc, "clock", "Redis differ by", "ok");
    expect(doc, "box", "a box can be made here", "ok");
    expect(doc, "api", "knows your token", "ok");
    expect(doc, "runners", "1 at work", "ok");
    expect(doc, "keys", "PJ_SECRET_KEY is a key", "ok");
    expect(doc, "keys", "OPENAI_API_KEY is accepted by", "ok");
    expect(doc, "keys", "the token of 127.0.0.1", "ok");
    expect(doc, "repository", "acme/project: may be read, pushed to", "ok");
    json_decref(doc);

    forge_server_fail(s.forge, "GET", "project.git/info/refs", 1, 403, NULL, NULL);
    doc = doctor(&s, 1);
    expect(doc, "repository", "Contents: read and write", "wrong");
    json_decref(doc);
    scene_stop(&s);
}

Test(cli_doctor, names_scopes_that_lack_or_are_too_many_and_a_clock_that_is_off)
{
    struct scene s;
    struct says says = {.scopes = "read:org, gist", .knows = true};
    struct stand_in *forge = stand_in_start(0, on_rate_limit, &says);

    scene_start(&s, NULL, 0);
    as_client(&s);
    world_set(&s.w, "PJ_FORGES", NULL);
    world_set(&s.w, "GITHUB_API_URL", stand_in_url(forge));
    world_set(&s.w, "GITHUB_TOKEN", TOKEN);
    json_t *doc = doctor(&s, 1);
    expect(doc, "keys",
           "GITHUB_TOKEN may not push at github.com: its scopes are \"read:org, gist\"", "wrong");
    expect(doc, "clock", "github.com differ by", "ok");
    json_decref(doc);

    says.scopes = "repo, admin:org, delete_repo";
    says.clock_ms = 600000;
    doc = doctor(&s, 0);
    expect(doc, "keys", "GITHUB_TOKEN may more at github.com than is needed", "warning");
    expect(doc, "clock", "github.com differ by", "warning");
    json_decref(doc);

    says = (struct says){.expires = "2020-01-31 10:00:00 UTC", .knows = true};
    doc = doctor(&s, 0);
    expect(doc, "keys", "a fine-grained token", "ok");
    expect(doc, "keys", "GITHUB_TOKEN ends on 2020-01-31", "warning");
    json_decref(doc);

    says.knows = false;
    doc = doctor(&s, 1);
    expect(doc, "keys", "GITHUB_TOKEN is not known to github.com", "wrong");
    json_decref(doc);
    stand_in_stop(forge);
    scene_stop(&s);
}

Test(cli_doctor, names_wrong_keys_open_files_and_an_api_or_redis_that_is_away)
{
    struct scene s;
    struct pj_err err;

    scene_start(&s, NULL, 0);
    as_client(&s);
    char *path = pj_asprintf("%s/openai.key", s.w.dir);
    cr_assert_eq(pj_fs_write_atomic(path, "sk-mistyped-0123456789\n", 23, 0644, &err), 0);
    cr_assert_eq(chmod(path, 0644), 0);
    world_set(&s.w, "OPENAI_API_KEY", NULL);
    world_set(&s.w, "OPENAI_API_KEY_FILE", path);
    cr_expect_eq(program_stop(&s.w.runner[0], SIGTERM, WORLD_SOON), 0);
    json_t *doc = doctor(&s, 1);
    expect(doc, "keys", "OPENAI_API_KEY_FILE: others may read", "warning");
    expect(doc, "keys", "OPENAI_API_KEY is refused by", "wrong");
    expect(doc, "runners", "no runner is there", "warning");
    json_decref(doc);

    world_set(&s.w, "OPENAI_API_KEY_FILE", NULL);
    world_set(&s.w, "PJ_TASK_TIMEOUT", "soon");
    doc = doctor(&s, 1);
    expect(doc, "pj-runner", "PJ_TASK_TIMEOUT", "wrong");
    json_decref(doc);

    world_set(&s.w, "OPENAI_API_KEY_FILE", "/nonexistent/key");
    doc = doctor(&s, 1);
    expect(doc, "keys", "/nonexistent/key", "wrong");
    json_decref(doc);

    world_set(&s.w, "OPENAI_API_KEY_FILE", NULL);
    world_set(&s.w, "PJ_REDIS_URL", "unix:///nonexistent/redis.sock");
    world_set(&s.w, "PJ_URL", "http://127.0.0.1:1");
    doc = doctor(&s, 1);
    expect(doc, "redis", "/nonexistent/redis.sock", "wrong");
    expect(doc, "api", "127.0.0.1", "warning");
    json_decref(doc);
    free(path);
    scene_stop(&s);
}

Test(cli_doctor, asks_nobody_for_a_servers_settings_who_only_uses_one)
{
    struct scene s;

    scene_start(&s, NULL, 0);
    as_client(&s);
    world_set(&s.w, "PJ_SECRET_KEY", NULL);
    world_set(&s.w, "PJ_REDIS_URL", NULL);
    json_t *doc = doctor(&s, 0);
    expect(doc, "settings", "needs none to use http://127.0.0.1", "ok");
    expect(doc, "api", "knows your token", "ok");
    json_decref(doc);

    /* Where nothing answers, it may be a server that was never set up. */
    world_set(&s.w, "PJ_URL", "http://127.0.0.1:1");
    doc = doctor(&s, 1);
    expect(doc, "pj-api", "PJ_SECRET_KEY is not set", "wrong");
    json_decref(doc);
    scene_stop(&s);
}
