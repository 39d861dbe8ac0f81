#include "api/settings.h"

#include <stddef.h>

#define AT(field) offsetof(struct settings, field)

static const char *const executors[] = {"sandbox", "github_actions", NULL};
static const char *const formats[] = {"auto", "text", "json", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

/* Sorted by name. */
const struct pj_setting settings_table[] = {
    {"GITHUB_API_URL", PJ_SET_STR, AT(github_api_url), "https://api.github.com", 0, 0, NULL,
     "GitHub's REST API"},
    {"GITHUB_APP_ID", PJ_SET_STR, AT(github_app_id), NULL, 0, 0, NULL,
     "GitHub App that gives credentials"},
    {"GITHUB_APP_PRIVATE_KEY", PJ_SET_SECRET, AT(github_app_private_key), NULL, 0, 0, NULL,
     "private key of that App, PEM"},
    {"GITHUB_TOKEN", PJ_SET_SECRET, AT(github_token), NULL, 0, 0, NULL,
     "credential for GitHub repositories that have none of their own"},
    {"GITHUB_WEBHOOK_SECRET", PJ_SET_SECRET, AT(github_webhook_secret), NULL, 0, 0, NULL,
     "secret of GitHub's webhook at /api/v1/webhooks/github"},
    {"HTTPS_PROXY", PJ_SET_STR, AT(proxy), NULL, 0, 0, NULL, "proxy for outgoing calls"},
    {"NO_PROXY", PJ_SET_STR, AT(no_proxy), NULL, 0, 0, NULL, "hosts that are reached without it"},
    {"PJ_ADMIN_EMAIL", PJ_SET_STR, AT(admin_email), "admin@localhost", 0, 0, NULL,
     "address of the first admin"},
    {"PJ_ALLOW_LOOPBACK_CALLBACK", PJ_SET_BOOL, AT(allow_loopback_callback), "0", 0, 0, NULL,
     "let github_actions tasks run although PJ_PUBLIC_URL is a loopback address"},
    {"PJ_BOOTSTRAP_TOKEN", PJ_SET_SECRET, AT(bootstrap_token), NULL, 0, 0, NULL,
     "when no user exists: token of the first admin, 16 to 200 visible characters"},
    {"PJ_CA_FILE", PJ_SET_STR, AT(ca_file), NULL, 0, 0, NULL,
     "certificates trusted by outgoing calls, PEM"},
    {"PJ_DRAIN_DELAY", PJ_SET_DURATION, AT(drain_delay_ms), "0", 0, 600000, NULL,
     "after SIGTERM: answer for so long with a red /readyz before the listener closes"},
    {"PJ_EXECUTOR", PJ_SET_WORD, AT(executor), "sandbox", 0, 0, executors,
     "where tasks run that name no executor: sandbox or github_actions"},
    {"PJ_FORGES", PJ_SET_STR, AT(forges), NULL, 0, 0, NULL,
     "JSON file of the forges that may be connected"},
    {"PJ_LISTEN", PJ_SET_STR, AT(listen), "127.0.0.1:8080", 0, 0, NULL,
     "host:port or unix:/path to serve on"},
    {"PJ_LOG_FORMAT", PJ_SET_WORD, AT(log_format), "auto", 0, 0, formats, "auto, text or json"},
    {"PJ_LOG_LEVEL", PJ_SET_WORD, AT(log_level), "info", 0, 0, levels,
     "debug, info, warn or error"},
    {"PJ_MAX_CONNECTIONS", PJ_SET_INT, AT(max_connections), "10000", 1, 1000000, NULL,
     "client connections at once"},
    {"PJ_MAX_CONNECTIONS_PER_ADDRESS", PJ_SET_INT, AT(max_per_address), "500", 0, 1000000, NULL,
     "of one client address (0: no cap; loopback and trusted proxies have none)"},
    {"PJ_METRICS_LISTEN", PJ_SET_STR, AT(metrics_listen), NULL, 0, 0, NULL,
     "serve /metrics here, without a token, instead of on PJ_LISTEN"},
    {"PJ_PARTITIONS", PJ_SET_INT, AT(partitions), "1", 1, 256, NULL,
     "partitions of a store at its first start; fixed afterwards"},
    {"PJ_PRICES", PJ_SET_STR, AT(prices), NULL, 0, 0, NULL,
     "JSON file of model prices; built in when unset"},
    {"PJ_PUBLIC_URL", PJ_SET_STR, AT(public_url), NULL, 0, 0, NULL,
     "address of this API as others reach it; from PJ_LISTEN when unset"},
    {"PJ_RATE_LIMIT", PJ_SET_INT, AT(rate_limit), "6000", 0, 100000000, NULL,
     "requests a minute of one token, or of one address without (0: no limit)"},
    {"PJ_REDIS_CA_FILE", PJ_SET_STR, AT(redis.ca_file), NULL, 0, 0, NULL,
     "authorities that may sign the certificate of Redis, PEM; default: PJ_CA_FILE, the system's"},
    {"PJ_REDIS_CERT_FILE", PJ_SET_STR, AT(redis.cert_file), NULL, 0, 0, NULL,
     "client certificate for a Redis that asks for one, PEM"},
    {"PJ_REDIS_KEY_FILE", PJ_SET_STR, AT(redis.key_file), NULL, 0, 0, NULL,
     "key of that certificate, PEM, without a passphrase"},
    {"PJ_REDIS_PASSWORD", PJ_SET_SECRET, AT(redis.password), NULL, 0, 0, NULL,
     "password when PJ_REDIS_URL has none"},
    {"PJ_REDIS_URL", PJ_SET_STR, AT(redis.url), "redis://127.0.0.1:6379/0", 0, 0, NULL,
     "redis://, rediss:// (TLS), unix:///path?db=0, redis-sentinel:// or rediss-sentinel://"},
    {"PJ_SECRET_KEY", PJ_SET_SECRET, AT(secret_key), NULL, 0, 0, NULL,
     "32 bytes base64 that seal credentials in Redis; several, comma separated, for rotation"},
    {"PJ_TOKEN_ALERT", PJ_SET_INT, AT(token_alert), "50000", 0, 1000000000000, NULL,
     "tokens of one task above which a warning is logged (0: never)"},
    {"PJ_TRUSTED_PROXIES", PJ_SET_STR, AT(trusted_proxies), NULL, 0, 0, NULL,
     "address ranges whose X-Forwarded-* headers count"},
};

const size_t settings_count = PJ_COUNT_OF(settings_table);
