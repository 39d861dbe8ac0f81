#include "sandbox/spec.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include "lib/base/view.h"

enum kind {
    K_PATH,     /* const char *, not empty */
    K_DURATION, /* int64_t ms */
    K_SIZE,     /* int64_t bytes */
    K_COUNT,    /* int64_t */
    K_CORES,    /* int64_t thousandths */
    K_FD,       /* int */
    K_FLAG,     /* bool, no value */
    K_BIND,
    K_ENV,
    K_GATEWAY,
    K_ALLOW,
    K_ACTION, /* no value; `offset` is the action */
};

struct option {
    const char *name;
    enum kind kind;
    size_t offset;
    const char *value; /* how --help names it */
    const char *help;
};

#define AT(field) offsetof(struct spec, field)

static const struct option options[] = {
    {"--check", K_ACTION, SPEC_CHECK, NULL,
     "say which gates of this host are open, with cause and remedy for each closed one"},
    {"--check-config", K_ACTION, SPEC_CHECK_CONFIG, NULL,
     "read the command line, do nothing; 78 when it is wrong"},
    {"--cpu", K_CORES, AT(cpu_milli), "CORES", "processor time, in cores: 0.5, 2"},
    {"--cwd", K_PATH, AT(cwd), "DIR",
     "where the command starts; default /workspace, or /tmp without one"},
    {"--disk", K_SIZE, AT(disk_bytes), "SIZE",
     "at most this much is written to /workspace: a layer in memory over --workspace-base"},
    {"--env", K_ENV, 0, "K=V", "a variable for the command; repeatable"},
    {"--gateway", K_GATEWAY, 0, "PATH:PORT",
     "127.0.0.1:PORT inside leads to the Unix socket PATH; repeatable"},
    {"--help", K_ACTION, SPEC_HELP, NULL, "this list"},
    {"--memory", K_SIZE, AT(memory_bytes), "SIZE", "memory of all processes together"},
    {"--net-allow", K_ALLOW, 0, "HOST[:PORT]",
     "a filtering proxy lets this host through (443 when no port); repeatable"},
    {"--net-allow-private", K_FLAG, AT(allow_private), NULL,
     "hosts of --net-allow may have private addresses (never loopback or link-local)"},
    {"--output-limit", K_SIZE, AT(output_bytes), "SIZE",
     "standard output and error together; what is more is dropped and reported"},
    {"--pids", K_COUNT, AT(pids), "N", "processes and threads at once"},
    {"--plan", K_ACTION, SPEC_PLAN, NULL, "print what would be done as JSON, do nothing"},
    {"--result-fd", K_FD, AT(result_fd), "N",
     "write the result, one JSON object, to this descriptor"},
    {"--ro-bind", K_BIND, 0, "SRC:DST", "show SRC of the host at DST, read-only; repeatable"},
    {"--rootfs", K_PATH, AT(rootfs), "DIR",
     "the system seen inside, read-only; default: the host's /usr"},
    {"--standby", K_FD, AT(standby_fd), "N",
     "build a box ahead of need and take one order over this Unix socket: pj-sandbox(1)"},
    {"--timeout", K_DURATION, AT(timeout_ms), "TIME", "kill everything after this long: 30s, 10m"},
    {"--tmp-size", K_SIZE, AT(tmp_bytes), "SIZE", "size of /tmp, in memory; default 512M"},
    {"--tree-fd", K_FD, AT(tree_fd), "N",
     "send a descriptor of /workspace as the box sees it over this Unix socket"},
    {"--version", K_ACTION, SPEC_VERSION, NULL, "the version"},
    {"--workspace", K_PATH, AT(workspace), "DIR",
     "read-write at /workspace; what is written keeps the owner of DIR"},
    {"--workspace-base", K_PATH, AT(workspace_base), "DIR",
     "read-only layer beneath /workspace; what is written lands in --workspace"},
};

void spec_help(FILE *to)
{
    fputs("Usage: pj-sandbox [options] -- command [argument ...]\n\n"
          "Runs one command in a fresh isolated environment: own namespaces, a read-only system, "
          "no capabilities,\n"
          "a system-call filter, limits, and no network but what the options open.\n\nOptions:\n",
          to);
    for (size_t i = 0; i < PJ_COUNT_OF(options); i++) {
        char left[64];

        snprintf(left, sizeof left, "%s%s%s", options[i].name, options[i].value ? " " : "",
                 options[i].value ? options[i].value : "");
        fprintf(to, "  %-26s %s\n", left, options[i].help);
    }
    fputs("\nExit: the command's code; 124 timed out; 125 the sandbox itself failed; 126 cannot be "
          "executed;\n"
          "127 not found; 128+n ended by signal n.\n",
          to);
}

static int invalid(struct pj_err *err, const struct option *opt, const char *value,
                   const char *want)
{
    return pj_fail(err, PJ_E_INVALID, "%s: '%s' is not %s", opt->name, value, want);
}

static int too_many(struct pj_err *err, const struct option *opt, size_t max)
{
    return pj_fail(err, PJ_E_LIMIT, "%s: more than %zu of them", opt->name, max);
}

static int parse_port(const char *text, uint16_t *out)
{
    int64_t port;

    if (pj_parse_i64(pj_view_of(text), &port) < 0 || port < 1 || port > 65535)
        return -1;
    *out = (uint16_t)port;
    return 0;
}

static int add_bind(struct spec *spec, const struct option *opt, char *value, struct pj_err *err)
{
    char *colon = strrchr(value, ':');

    if (spec->bind_count == SPEC_BINDS_MAX)
        return too_many(err, opt, SPEC_BINDS_MAX);
    if (!colon || colon == value || colon[1] != '/' || strstr(colon, "/../"))
        return invalid(err, opt, value, "SRC:DST with an absolute DST");
    *colon = '\0';
    spec->binds[spec->bind_count++] = (struct spec_bind){.src = value, .dst = colon + 1};
    return 0;
}

static int add_env(struct spec *spec, const struct option *opt, const char *value,
                   struct pj_err *err)
{
    const char *eq = strchr(value, '=');

    if (spec->env_count == SPEC_ENV_MAX)
        return too_many(err, opt, SPEC_ENV_MAX);
    if (!eq || eq == value)
        return invalid(err, opt, value, "K=V");
    spec->env[spec->env_count++] = value;
    return 0;
}

static int add_gateway(struct spec *spec, const struct option *opt, char *value, struct pj_err *err)
{
    char *colon = strrchr(value, ':');
    struct spec_gateway *gw = &spec->gateways[spec->gateway_count];

    if (spec->gateway_count == SPEC_GATEWAYS_MAX)
        return too_many(err, opt, SPEC_GATEWAYS_MAX);
    if (!colon || colon == value || parse_port(colon + 1, &gw->port) < 0)
        return invalid(err, opt, value, "PATH:PORT");
    if ((size_t)(colon - value) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return invalid(err, opt, value, "a path short enough for a Unix socket (107 bytes)");
    *colon = '\0';
    gw->path = value;
    for (size_t i = 0; i < spec->gateway_count; i++) {
        if (spec->gateways[i].port == gw->port)
            return pj_fail(err, PJ_E_INVALID, "%s: port %u is given twice", opt->name,
                           (unsigned)gw->port);
    }
    spec->gateway_count++;
    return 0;
}

static int add_allow(struct spec *spec, const struct option *opt, char *value, struct pj_err *err)
{
    struct spec_allow *allow = &spec->allows[spec->allow_count];
    char *colon = strrchr(value, ':');

    if (spec->allow_count == SPEC_ALLOWS_MAX)
        return too_many(err, opt, SPEC_ALLOWS_MAX);
    allow->port = 443;
    if (value[0] == '[') {
        char *end = strchr(value, ']');

        if (!end || (end[1] != '\0' && end[1] != ':'))
            return invalid(err, opt, value, "HOST[:PORT]");
        colon = end[1] == ':' ? end + 1 : NULL;
        *end = '\0';
        value++;
    } else if (colon && strchr(value, ':') != colon) {
        colon = NULL; /* a bare IPv6 address */
    }
    if (colon) {
        if (parse_port(colon + 1, &allow->port) < 0)
            return invalid(err, opt, value, "HOST[:PORT]");
        *colon = '\0';
    }
    if (value[0] == '\0' || strlen(value) > 253)
        return invalid(err, opt, value, "HOST[:PORT]");
    allow->host = value;
    spec->allow_count++;
    return 0;
}

static int parse_cores(const char *value, int64_t *out)
{
    char *end;
    double cores = strtod(value, &end);

    if (end == value || *end != '\0' || !(cores >= 0.01 && cores <= 4096))
        return -1;
    *out = (int64_t)(cores * 1000 + 0.5);
    return 0;
}

static int parse_number(const struct option *opt, const char *value, int64_t *out,
                        struct pj_err *err)
{
    struct pj_view v = pj_view_of(value);

    if (opt->kind == K_DURATION && (pj_parse_duration_ms(v, out) < 0 || *out <= 0))
        return invalid(err, opt, value, "a duration like 30s or 10m");
    if (opt->kind == K_SIZE && (pj_parse_size(v, out) < 0 || *out <= 0))
        return invalid(err, opt, value, "a size like 64K or 2G");
    if (opt->kind == K_COUNT && (pj_parse_i64(v, out) < 0 || *out < 1 || *out > 4194304))
        return invalid(err, opt, value, "a number from 1 to 4194304");
    if (opt->kind == K_CORES && parse_cores(value, out) < 0)
        return invalid(err, opt, value, "a number of cores like 0.5 or 2");
    return 0;
}

static int parse_fd(const struct option *opt, const char *value, int *out, struct pj_err *err)
{
    int64_t fd;

    if (pj_parse_i64(pj_view_of(value), &fd) < 0 || fd < 0 || fd > INT_MAX)
        return invalid(err, opt, value, "a descriptor number");
    *out = (int)fd;
    return 0;
}

static int apply(struct spec *spec, const struct option *opt, char *value, struct pj_err *err)
{
    void *field = (char *)spec + opt->offset;

    switch (opt->kind) {
    case K_PATH:
        if (value[0] == '\0')
            return invalid(err, opt, value, "a path");
        *(const char **)field = value;
        return 0;
    case K_DURATION:
    case K_SIZE:
    case K_COUNT:
    case K_CORES:
        return parse_number(opt, value, field, err);
    case K_FD:
        return parse_fd(opt, value, field, err);
    case K_FLAG:
        *(bool *)field = true;
        return 0;
    case K_BIND:
        return add_bind(spec, opt, value, err);
    case K_ENV:
        return add_env(spec, opt, value, err);
    case K_GATEWAY:
        return add_gateway(spec, opt, value, err);
    case K_ALLOW:
        return add_allow(spec, opt, value, err);
    case K_ACTION:
        spec->action = (enum spec_action)opt->offset;
        return 0;
    }
    return 0;
}

static const struct option *find(const char *word, size_t name_len)
{
    for (size_t i = 0; i < PJ_COUNT_OF(options); i++) {
        if (strlen(options[i].name) == name_len && strncmp(options[i].name, word, name_len) == 0)
            return &options[i];
    }
    return NULL;
}

static int check_whole(const struct spec *spec, struct pj_err *err)
{
    if (spec->standby_fd >= 0 &&
        (spec->action != SPEC_RUN || spec->command || spec->result_fd >= 0 || spec->tree_fd >= 0))
        return pj_fail(err, PJ_E_INVALID,
                       "--standby: the command and the descriptors of --result-fd and --tree-fd "
                       "come with the order");
    if (spec->standby_fd < 0 && (spec->action == SPEC_RUN || spec->action == SPEC_PLAN) &&
        !spec->command)
        return pj_fail(err, PJ_E_INVALID,
                       "no command: pj-sandbox [options] -- command [argument ...]");
    if (spec->workspace_base && !spec->workspace && !spec->disk_bytes)
        return pj_fail(err, PJ_E_INVALID,
                       "--workspace-base needs --workspace DIR for what is written, or --disk SIZE "
                       "for a layer in memory");
    if (spec->cwd && spec->cwd[0] != '/')
        return pj_fail(err, PJ_E_INVALID, "--cwd: '%s' is not an absolute path", spec->cwd);
    return 0;
}

int spec_parse(struct spec *spec, int argc, char **argv, struct pj_err *err)
{
    int i;

    *spec = (struct spec){.result_fd = -1, .tree_fd = -1, .standby_fd = -1};
    for (i = 1; i < argc; i++) {
        char *word = argv[i];
        char *eq = strchr(word, '=');
        const struct option *opt;
        char *value = NULL;

        if (strcmp(word, "--") == 0) {
            i++;
            break;
        }
        if (word[0] != '-')
            break; /* the command, without "--" before it */
        opt = find(word, eq ? (size_t)(eq - word) : strlen(word));
        if (!opt)
            return pj_fail(err, PJ_E_INVALID, "unknown option %s; pj-sandbox --help lists them",
                           word);
        if (opt->kind == K_ACTION || opt->kind == K_FLAG) {
            if (eq)
                return pj_fail(err, PJ_E_INVALID, "%s takes no value", opt->name);
        } else if (eq) {
            value = eq + 1;
        } else if (++i < argc) {
            value = argv[i];
        } else {
            return pj_fail(err, PJ_E_INVALID, "%s needs a value", opt->name);
        }
        if (apply(spec, opt, value, err) < 0)
            return -1;
        if (spec->action == SPEC_HELP || spec->action == SPEC_VERSION)
            return 0;
    }
    if (i < argc)
        spec->command = argv + i;
    return check_whole(spec, err);
}
