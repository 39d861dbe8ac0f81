/* main.c - pj-api: settings, parts, loop, drain. */
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "api/api.h"
#include "api/auth.h"
#include "api/bootstrap.h"
#include "api/cidr.h"
#include "api/fanout.h"
#include "api/guard.h"
#include "api/helpers.h"
#include "api/limits.h"
#include "api/pages.h"
#include "api/remote/wire.h"
#include "api/server.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/notify.h"
#include "lib/base/proc.h"
#include "lib/crypto/secret.h"
#include "lib/forge/hosts.h"
#include "lib/model/prices.h"
#include "lib/store/async.h"
#include "lib/store/gather.h"
#include "lib/store/meta.h"
#include "lib/store/users.h"

#define DRAIN_MAX_MS 30000
#define TRIM_ABOVE ((size_t)4 << 20)
#define SPARE_FILES 128 /* Redis, log, helpers */
/* A helper makes two calls of at most 20 s each. */
#define HELPER_WAIT_MS 30000
#define HELPER_RUN_MS 45000

struct program {
    struct api api;
    struct event *on_term, *on_int, *drain_begin, *drain_tick, *trim, *ready;
    int64_t drain_until_ms;
};

static enum pj_log_level level_of(const char *word)
{
    static const char *const words[] = {"debug", "info", "warn", "error"};

    for (size_t i = 0; i < PJ_COUNT_OF(words); i++)
        if (strcmp(word, words[i]) == 0)
            return (enum pj_log_level)i;
    return PJ_LOG_INFO;
}

static enum pj_log_format format_of(const char *word)
{
    return strcmp(word, "json") == 0   ? PJ_LOG_JSON
           : strcmp(word, "text") == 0 ? PJ_LOG_TEXT
                                       : PJ_LOG_AUTO;
}

/* One line for people; a mistake in the settings is 78. */
static int complain(const struct pj_err *err, int status)
{
    fprintf(stderr, "pj-api: %s%s%s\n", err->message, err->remedy[0] != '\0' ? "; " : "",
            err->remedy);
    return status;
}

/* What can be judged without a server: also --check-config. */
static int check_settings(struct api *api, struct pj_err *err)
{
    const struct settings *s = &api->settings;
    const struct pj_redis_options redis = pj_redis_options_of(&s->redis, s->ca_file, NULL);

    if (s->secret_key == NULL) {
        pj_fail(err, PJ_E_INVALID, "PJ_SECRET_KEY is not set");
        return pj_err_remedy(err, "make one with: head -c 32 /dev/urandom | base64");
    }
    if (pj_keyring_new(s->secret_key, &api->keyring, err) < 0 || pj_redis_check(&redis, err) < 0)
        return -1;
    if (s->bootstrap_token != NULL && !pj_token_is_plausible(s->bootstrap_token)) {
        pj_fail(err, PJ_E_INVALID, "PJ_BOOTSTRAP_TOKEN is not 16 to 200 visible ASCII characters");
        return pj_err_remedy(err, "make one with: head -c 24 /dev/urandom | base64");
    }
    if (s->public_url != NULL && strncmp(s->public_url, "http://", 7) != 0 &&
        strncmp(s->public_url, "https://", 8) != 0)
        return pj_fail(err, PJ_E_INVALID,
                       "PJ_PUBLIC_URL: '%s' does not start with http:// or https://",
                       s->public_url);
    if (s->ca_file != NULL && access(s->ca_file, R_OK) != 0) {
        pj_fail_errno(err, errno, "PJ_CA_FILE: cannot read %s", s->ca_file);
        return pj_err_remedy(err, "name a readable PEM file, or unset it");
    }
    if ((s->github_app_id == NULL) != (s->github_app_private_key == NULL)) {
        pj_fail(err, PJ_E_INVALID, "GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY go together");
        return pj_err_remedy(err, "set both, or neither");
    }
    if (server_address_check(s->listen, "PJ_LISTEN", err) < 0 ||
        (s->metrics_listen != NULL &&
         server_address_check(s->metrics_listen, "PJ_METRICS_LISTEN", err) < 0))
        return -1;
    if (cidr_list_new(s->trusted_proxies, &api->trusted, err) < 0)
        return pj_err_wrap(err, "PJ_TRUSTED_PROXIES");
    if (pj_prices_load(s->prices, &api->prices, err) < 0)
        return -1;
    const struct pj_forges_spec forges = {s->forges, s->github_api_url, api->redact};
    return pj_forges_load(&forges, &api->forges, err);
}

/* Before the loop: the store is there and fit, and somebody can log in. */
static int open_store(struct api *api, struct pj_err *err)
{
    const struct pj_redis_options options =
        pj_redis_options_of(&api->settings.redis, api->settings.ca_file, "pj-api-start");
    PJ_CLEANUP(pj_redis_freep) struct pj_redis *redis = NULL;
    struct pj_store_finding finding[PJ_STORE_FINDINGS_MAX];
    struct pj_meta meta;
    size_t count = 0;

    if (pj_redis_new(&options, &redis, err) < 0 || pj_redis_connect(redis, err) < 0)
        return pj_err_wrap(err, "PJ_REDIS_URL");
    /* First: the scripts say nothing that helps to a Redis that is too old for them. */
    if (pj_store_check(redis, finding, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (finding[i].level >= 2) {
            pj_fail(err, PJ_E_UNAVAILABLE, "this Redis cannot be used: %s", finding[i].detail);
            return pj_err_remedy(err, "%s", finding[i].remedy);
        }
        pj_log(PJ_LOG_WARN, finding[i].event, "detail", finding[i].detail, "remedy",
               finding[i].remedy, NULL);
    }
    if (pj_store_open(redis, (unsigned)api->settings.partitions, &meta, err) < 0)
        return -1;
    api->partitions = meta.partitions;
    return bootstrap(redis, &api->settings, err);
}

/* Each client is a descriptor: take what the host allows. */
static void raise_file_limit(size_t connections)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    rlim_t want = (rlim_t)connections + SPARE_FILES;
    if (limit.rlim_cur >= want)
        return;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < want)
        pj_log(PJ_LOG_WARN, "file_limit", "detail", "fewer descriptors than PJ_MAX_CONNECTIONS",
               "limit", PJ_I64((int64_t)limit.rlim_cur), NULL);
}

static int start_servers(struct api *api, struct pj_err *err)
{
    const struct settings *s = &api->settings;
    struct server_options options = {.listen = s->listen,
                                     .setting = "PJ_LISTEN",
                                     .max_connections = (size_t)s->max_connections,
                                     .max_per_address = (size_t)s->max_per_address,
                                     .trusted = api->trusted};

    if (server_new(api, api->base, &options, &api->server, err) < 0)
        return -1;
    if (s->metrics_listen == NULL)
        return 0;
    options.listen = s->metrics_listen;
    options.setting = "PJ_METRICS_LISTEN";
    options.metrics_only = true;
    return server_new(api, api->base, &options, &api->metrics_server, err);
}

static void note_public_url(struct api *api)
{
    const char *address = server_address(api->server);

    if (api->settings.public_url == NULL) {
        api->public_url = strncmp(address, "unix:", 5) == 0 ? pj_strdup("http://localhost")
                                                            : pj_asprintf("http://%s", address);
        return;
    }
    api->public_url = pj_strdup(api->settings.public_url);
    for (size_t n = strlen(api->public_url); n > 0 && api->public_url[n - 1] == '/'; n--)
        api->public_url[n - 1] = '\0';
}

static int build(struct api *api, struct pj_err *err)
{
    const struct pj_redis_options redis =
        pj_redis_options_of(&api->settings.redis, api->settings.ca_file, "pj-api");
    const struct helpers_options helpers = {.program = "pj-remote",
                                            .proxy = api->settings.proxy,
                                            .no_proxy = api->settings.no_proxy,
                                            .answer_max = REMOTE_ANSWER_MAX,
                                            .wait_ms = HELPER_WAIT_MS,
                                            .run_ms = HELPER_RUN_MS};

    api->base = event_base_new();
    api->auth = auth_new();
    api->pages = pages_new();
    api->limits = limits_new(api->settings.rate_limit);
    /* An address that is taken is found before anything is written to the store; clients wait until the loop runs. */
    if (helpers_new(api->base, &helpers, &api->helpers, err) < 0 || start_servers(api, err) < 0 ||
        open_store(api, err) < 0 || pj_aredis_new(api->base, &redis, &api->redis, err) < 0 ||
        fanout_new(api, &api->fanout, err) < 0)
        return -1;
    api->gather = pj_gather_new(api->base, api->redis);
    api->guard = guard_new(api);
    note_public_url(api);
    return 0;
}

/* Clients first, then work under way, then what answers it. */
static void tear_down(struct api *api)
{
    server_free(api->server);
    server_free(api->metrics_server);
    helpers_free(api->helpers);
    pj_gather_free(api->gather);
    pj_aredis_free(api->redis);
    fanout_free(api->fanout);
    guard_free(api->guard);
    limits_free(api->limits);
    auth_free(api->auth);
    pages_free(api->pages);
    free(api->public_url);
    if (api->base != NULL)
        event_base_free(api->base);
}

static void on_drain_tick(evutil_socket_t fd, short what, void *arg)
{
    struct program *p = arg;

    (void)fd;
    (void)what;
    if (server_connections(p->api.server) == 0 || pj_mono_ms() >= p->drain_until_ms)
        event_base_loopbreak(p->api.base);
}

static void on_drain_begin(evutil_socket_t fd, short what, void *arg)
{
    struct program *p = arg;
    const struct timeval tick = {0, 20000};

    (void)fd;
    (void)what;
    p->drain_until_ms = pj_mono_ms() + DRAIN_MAX_MS;
    server_drain(p->api.server);
    event_add(p->drain_tick, &tick);
}

static void on_signal(evutil_socket_t signal_number, short what, void *arg)
{
    struct program *p = arg;
    const int64_t delay = p->api.settings.drain_delay_ms;
    const struct timeval wait = {delay / 1000, (delay % 1000) * 1000};

    (void)what;
    if (p->api.draining) { /* asked twice: now */
        event_base_loopbreak(p->api.base);
        return;
    }
    p->api.draining = true;
    pj_log(PJ_LOG_INFO, "draining", "signal", PJ_I64((int64_t)signal_number), "connections",
           PJ_I64((int64_t)server_connections(p->api.server)), NULL);
    pj_notify("STOPPING=1\nSTATUS=draining");
    event_add(p->drain_begin, &wait);
}

/* Thousands of streams that opened at once leave holes behind, which only this gives back (mallinfo(3), malloc_trim(3)). */
static void on_trim(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    if (mallinfo2().fordblks > TRIM_ABOVE)
        malloc_trim(0);
}

/* Ready means that a request is served: the loop's own connection to the store stands. */
static void on_ready_tick(evutil_socket_t fd, short what, void *arg)
{
    struct program *p = arg;
    const char *address = server_address(p->api.server);

    (void)fd;
    (void)what;
    if (!pj_aredis_is_up(p->api.redis))
        return;
    event_del(p->ready);
    pj_log(PJ_LOG_INFO, "listening", "address", address, "publicUrl", p->api.public_url, NULL);
    pj_notify("READY=1\nSTATUS=listening on %s", address);
}

static void serve(struct program *p)
{
    struct event_base *base = p->api.base;
    const struct timeval every = {10, 0}, soon = {0, 2000};

    p->trim = event_new(base, -1, EV_PERSIST, on_trim, NULL);
    event_add(p->trim, &every);
    p->ready = event_new(base, -1, EV_PERSIST, on_ready_tick, p);
    event_add(p->ready, &soon);
    p->on_term = evsignal_new(base, SIGTERM, on_signal, p);
    p->on_int = evsignal_new(base, SIGINT, on_signal, p);
    p->drain_begin = evtimer_new(base, on_drain_begin, p);
    p->drain_tick = event_new(base, -1, EV_PERSIST, on_drain_tick, p);
    event_add(p->on_term, NULL);
    event_add(p->on_int, NULL);
    event_base_dispatch(base);
    event_free(p->trim);
    event_free(p->ready);
    event_free(p->on_term);
    event_free(p->on_int);
    event_free(p->drain_begin);
    event_free(p->drain_tick);
    pj_log(PJ_LOG_INFO, "stopped", NULL);
}

static int run(struct program *p)
{
    struct pj_err err;
    int status = 0;

    signal(SIGPIPE, SIG_IGN);
    raise_file_limit((size_t)p->api.settings.max_connections);
    if (build(&p->api, &err) < 0)
        status = complain(&err, err.cls == PJ_E_INVALID ? PJ_EXIT_CONFIG : 1);
    else
        serve(p);
    tear_down(&p->api);
    return status;
}

static void usage(FILE *to, bool all)
{
    (void)fputs(
        "usage: pj-api [OPTION]...\n"
        "The HTTP API of Pithy Jaunt: log streams and pages too. Settings come from options,\n"
        "the environment, or the file that PJ_CONFIG names. --public-url is PJ_PUBLIC_URL.\n\n",
        to);
    pj_settings_help(settings_table, settings_count, all, to);
    fprintf(to,
            "  --check-config --help --version\n"
            "  --help-all       every setting with its meaning and default; so does man "
            "pithyjaunt.conf\n"
            "\nExit: 0 stopped by a signal, 1 cannot run, %d a mistake in the settings.\n",
            PJ_EXIT_CONFIG);
}

int main(int argc, char **argv)
{
    static struct program p;
    struct api *api = &p.api;
    struct pj_settings_args args = {.argc = argc, .argv = argv};
    struct pj_err err;
    int status = 0;

    pj_forbid_core_files();
    api->redact = pj_redact_new();
    if (pj_settings_load(settings_table, settings_count, &api->settings, &args, api->redact, &err) <
        0) {
        pj_redact_free(api->redact);
        return complain(&err, PJ_EXIT_CONFIG);
    }
    if (args.help || args.version) { /* nothing else was filled */
        if (args.help)
            usage(stdout, args.help_all);
        else
            printf("pj-api %s\n", PJ_VERSION);
        pj_redact_free(api->redact);
        return 0;
    }
    pj_log_setup("pj-api", level_of(api->settings.log_level), format_of(api->settings.log_format),
                 api->redact);
    if (args.rest < argc && argv[args.rest] != NULL) {
        pj_fail(&err, PJ_E_INVALID, "'%s' is no option; see --help", argv[args.rest]);
        status = complain(&err, PJ_EXIT_CONFIG);
    } else if (check_settings(api, &err) < 0)
        status = complain(&err, PJ_EXIT_CONFIG);
    else if (args.check)
        printf("pj-api: the settings are fine\n");
    else
        status = run(&p);
    pj_prices_free(api->prices);
    pj_forges_free(api->forges);
    pj_keyring_free(api->keyring);
    cidr_list_free(api->trusted);
    pj_settings_release(settings_table, settings_count, &api->settings);
    pj_redact_free(api->redact);
    return status;
}
