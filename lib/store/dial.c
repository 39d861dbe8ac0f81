#include "lib/store/dial.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "lib/crypto/tls.h"

struct pj_redis_options pj_redis_options_of(const struct pj_redis_settings *settings,
                                            const char *general_ca_file, const char *name)
{
    return (struct pj_redis_options){
        .url = settings->url,
        .password = settings->password,
        .sentinel_user = settings->sentinel_user,
        .sentinel_password = settings->sentinel_password,
        .name = name,
        .tls = {settings->ca_file, general_ca_file, settings->cert_file, settings->key_file},
    };
}

static bool given(const char *text)
{
    return text && text[0];
}

static int load_tls(const struct pj_redis_tls *files, struct pj_tls **out, struct pj_err *err)
{
    struct pj_tls_files named = {
        .ca = {files->ca_file, "PJ_REDIS_CA_FILE"},
        .cert = {files->cert_file, "PJ_REDIS_CERT_FILE"},
        .key = {files->key_file, "PJ_REDIS_KEY_FILE"},
    };

    if (!given(files->ca_file) && given(files->general_ca_file))
        named.ca = (struct pj_tls_file){files->general_ca_file, "PJ_CA_FILE"};
    return pj_tls_new(&named, out, err);
}

/* Whoever names files for TLS believes that it is used. */
static int refuse_unused(const struct pj_redis_tls *files, struct pj_err *err)
{
    const char *setting = given(files->ca_file)     ? "PJ_REDIS_CA_FILE"
                          : given(files->cert_file) ? "PJ_REDIS_CERT_FILE"
                          : given(files->key_file)  ? "PJ_REDIS_KEY_FILE"
                                                    : NULL;

    if (!setting)
        return 0;
    (void)pj_fail(err, PJ_E_INVALID, "%s is set, but PJ_REDIS_URL is not one with TLS", setting);
    return pj_err_remedy(err, "Write rediss:// or rediss-sentinel:// there, or unset %s.", setting);
}

int pj_redis_aim(const struct pj_redis_options *options, struct pj_redis_target *target,
                 struct pj_tls **tls, struct pj_err *err)
{
    int rc;

    *tls = NULL;
    if (pj_redis_target_parse(options, target, err) < 0)
        return -1;
    rc = target->tls ? load_tls(&options->tls, tls, err) : refuse_unused(&options->tls, err);
    if (rc < 0)
        pj_redis_target_release(target);
    return rc;
}

int pj_redis_check(const struct pj_redis_options *options, struct pj_err *err)
{
    struct pj_redis_target target;
    struct pj_tls *tls;

    if (pj_redis_aim(options, &target, &tls, err) < 0)
        return -1;
    pj_tls_free(tls);
    pj_redis_target_release(&target);
    return 0;
}

static void put_login(struct pj_cmd *cmd, const char *user, const char *password)
{
    pj_cmd_start(cmd, "AUTH");
    if (user)
        pj_cmd_text(cmd, user);
    pj_cmd_text(cmd, password);
}

size_t pj_redis_ask_primary(const struct pj_redis_target *target,
                            struct pj_cmd cmds[PJ_QUESTION_MAX])
{
    size_t n = 0;

    if (target->sentinel_password)
        put_login(&cmds[n++], target->sentinel_user, target->sentinel_password);
    pj_cmd_start(&cmds[n], "SENTINEL");
    pj_cmd_text(&cmds[n], "get-master-addr-by-name");
    pj_cmd_text(&cmds[n++], target->master);
    return n;
}

/* What the table of Redis's errors advises is meant for the primary. */
static int refused(const struct pj_redis_addr *sentinel, struct pj_err *err)
{
    static const char noauth[] = "Redis: NOAUTH", noperm[] = "Redis: NOPERM";

    if (strncmp(err->message, noauth, strlen(noauth)) == 0)
        (void)pj_err_remedy(err, "Set PJ_REDIS_SENTINEL_PASSWORD, and for a user of its own "
                                 "PJ_REDIS_SENTINEL_USER.");
    else if (strncmp(err->message, noperm, strlen(noperm)) == 0)
        (void)pj_err_remedy(err, "PJ_REDIS_SENTINEL_USER needs "
                                 "+sentinel|get-master-addr-by-name at the sentinels.");
    else if (strstr(err->message, "AUTH") || err->cls == PJ_E_AUTH)
        (void)pj_err_remedy(err, "Compare PJ_REDIS_SENTINEL_USER and PJ_REDIS_SENTINEL_PASSWORD "
                                 "with requirepass and the users of the sentinels.");
    else
        (void)pj_err_remedy(err, "See whether PJ_REDIS_URL names sentinels, with their ports.");
    return pj_err_wrap(err, "the sentinel %s:%d refuses", sentinel->host, sentinel->port);
}

int pj_redis_take_primary(const struct pj_redis_target *target, size_t nth,
                          const struct redisReply *reply, bool last, struct pj_redis_addr *primary,
                          struct pj_err *err)
{
    const struct pj_redis_addr *sentinel = &target->addr[nth];
    char *host;

    if (pj_reply_error(reply, err) < 0)
        return refused(sentinel, err);
    if (!last)
        return 0;
    host = pj_reply_count(reply) == 2 ? pj_reply_dup(pj_reply_at(reply, 0)) : NULL;
    if (!host) {
        (void)pj_fail(err, PJ_E_UNAVAILABLE, "the sentinel %s:%d does not know the master %s",
                      sentinel->host, sentinel->port, target->master);
        return pj_err_remedy(err,
                             "Compare the name in PJ_REDIS_URL with `sentinel monitor` there.");
    }
    free(primary->host);
    primary->host = host;
    primary->port = (int)pj_reply_int(pj_reply_at(reply, 1), PJ_REDIS_PORT);
    return 1;
}

size_t pj_redis_greeting(const struct pj_redis_target *target, const char *name,
                         struct pj_cmd cmds[PJ_GREETING_MAX])
{
    size_t n = 0;

    if (target->password)
        put_login(&cmds[n++], target->user, target->password);
    if (target->db) {
        pj_cmd_start(&cmds[n], "SELECT");
        pj_cmd_int(&cmds[n++], target->db);
    }
    if (name) {
        pj_cmd_start(&cmds[n], "CLIENT");
        pj_cmd_text(&cmds[n], "SETNAME");
        pj_cmd_text(&cmds[n++], name);
    }
    return n;
}

int pj_redis_pause_ms(unsigned n)
{
    int full = n >= 6 ? 2000 : 50 << n;
    uint16_t random;

    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        random = 0; /* no jitter, that once */
    return full / 2 + random % (full / 2 + 1);
}
