/* settings.h - the settings of pj-api (CONTRACT.md section 2). */
#ifndef API_SETTINGS_H
#define API_SETTINGS_H

#include "lib/base/settings.h"
#include "lib/store/conn.h"

struct settings {
    struct pj_redis_settings redis;
    char *listen, *metrics_listen, *trusted_proxies;
    char *public_url;
    bool allow_loopback_callback;
    char *secret_key;
    char *bootstrap_token, *admin_email;
    char *executor;
    char *forges, *ca_file, *proxy, *no_proxy;
    char *github_token, *github_api_url, *github_webhook_secret;
    char *github_app_id, *github_app_private_key;
    char *prices;
    int64_t token_alert;
    int64_t rate_limit;
    int64_t max_connections, max_per_address;
    int64_t partitions;
    int64_t drain_delay_ms;
    char *log_format, *log_level;
};

extern const struct pj_setting settings_table[];
extern const size_t settings_count;

#endif
