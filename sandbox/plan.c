#include "sandbox/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "sandbox/jsonw.h"
#include "sandbox/landlock.h"
#include "sandbox/layout.h"
#include "sandbox/probe.h"
#include "sandbox/step.h"
#include "sandbox/userns.h"
#include "sandbox/weaken.h"

#define TMP_DEFAULT_BYTES (512LL << 20)

void plan_isolates(struct plan *plan, const char *fmt, ...)
{
    struct pj_str word;
    va_list ap;

    if (plan->isolation_count == PLAN_ISOLATION_MAX)
        return;
    pj_str_init(&word, 120);
    va_start(ap, fmt);
    pj_str_vputf(&word, fmt, ap);
    va_end(ap);
    plan->isolation[plan->isolation_count++] = pj_str_take(&word);
}

void plan_env(struct plan *plan, const char *name, const char *value)
{
    size_t name_len = strlen(name);
    char *entry = pj_asprintf("%s=%s", name, value);

    for (size_t i = 0; i < plan->env_count; i++) {
        if (strncmp(plan->envp[i], name, name_len) == 0 && plan->envp[i][name_len] == '=') {
            free(plan->envp[i]);
            plan->envp[i] = entry;
            return;
        }
    }
    plan->envp = pj_realloc(plan->envp, plan->env_count + 2, sizeof *plan->envp);
    plan->envp[plan->env_count++] = entry;
    plan->envp[plan->env_count] = NULL;
}

extern char **environ;

static void plan_environment(struct plan *plan)
{
    const struct spec *spec = plan->spec;

    for (char **var = environ; *var && weakened("environment"); var++)
        plan_env(plan, "PJ_LEAK", *var);
    plan_env(plan, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    plan_env(plan, "HOME", "/tmp");
    plan_env(plan, "TERM", "dumb");
    plan_env(plan, "LANG", "C.UTF-8");
    for (size_t i = 0; i < spec->env_count; i++) {
        const char *eq = strchr(spec->env[i], '=');
        char *name = pj_strndup(spec->env[i], (size_t)(eq - spec->env[i]));

        plan_env(plan, name, eq + 1);
        free(name);
    }
}

/* A directory the caller named: it exists, is one, and who owns it is known. */
static int look_at_dir(const char *option, const char *path, struct plan_owner *owner,
                       struct pj_err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return step_fail(err, "workspace", errno, "name a directory that exists", "%s %s", option,
                         path);
    if (!S_ISDIR(st.st_mode))
        return step_fail(err, "workspace", ENOTDIR, "name a directory", "%s %s", option, path);
    *owner = (struct plan_owner){st.st_uid, st.st_gid};
    return 0;
}

static int plan_workspace(struct plan *plan, struct pj_err *err)
{
    const struct spec *spec = plan->spec;

    if (spec->workspace && look_at_dir("--workspace", spec->workspace, &plan->work_owner, err) < 0)
        return -1;
    if (spec->workspace_base &&
        look_at_dir("--workspace-base", spec->workspace_base, &plan->base_owner, err) < 0)
        return -1;
    if (spec->disk_bytes && spec->workspace)
        return step_fail(err, "disk", 0,
                         "leave --workspace out: --workspace-base DIR --disk SIZE writes to a "
                         "sized layer in memory, read "
                         "back through --tree-fd",
                         "--disk: %s is a plain directory without project quota, so its growth "
                         "cannot be bounded",
                         spec->workspace);
    if (!plan->root && spec->workspace_base &&
        (plan->base_owner.uid != plan->host_uid || plan->base_owner.gid != plan->host_gid))
        return step_fail(err, "workspace", EPERM,
                         "give it to this user and group (chown), or run pj-sandbox as root",
                         "--workspace-base %s belongs to another user or group, whose files could "
                         "not be changed inside",
                         spec->workspace_base);
    if (!plan->root && spec->workspace && access(spec->workspace, R_OK | W_OK | X_OK) < 0)
        return step_fail(err, "workspace", errno,
                         "make the directory writable for this user, or run as its owner",
                         "--workspace %s", spec->workspace);
    return 0;
}

int plan_make(struct plan *plan, const struct spec *spec, struct pj_err *err)
{
    const char *const namespaces[] = {"user", "mount", "pid",    "net",
                                      "ipc",  "uts",   "cgroup", "time"};

    plan->spec = spec;
    plan->root = probe_is_privileged() && userns_can_lease();
    if (!plan->root && userns_is_host_root())
        return step_fail(
            err, "userns", EPERM,
            "run it as an ordinary user, or give root CAP_SYS_ADMIN and a range of uids (Docker: "
            "--cap-add SYS_ADMIN --cap-add NET_ADMIN)",
            "root without the right to mount would make the box's user root on the host");
    plan->host_uid = getuid();
    plan->host_gid = getgid();
    plan->tmp_bytes = spec->tmp_bytes ? spec->tmp_bytes : TMP_DEFAULT_BYTES;
    plan->cwd =
        spec->cwd
            ? spec->cwd
            : (spec->workspace || spec->workspace_base || spec->disk_bytes ? "/workspace" : "/tmp");
    plan_environment(plan);
    if (plan_workspace(plan, err) < 0 || layout_make(plan, err) < 0)
        return -1;
    for (size_t i = 0; i < PJ_COUNT_OF(namespaces); i++)
        plan_isolates(plan, "%s", namespaces[i]);
    plan_isolates(plan, "read-only-root");
    plan_isolates(plan, "no-capabilities");
    plan_isolates(plan, "no-new-privs");
    plan_isolates(plan, "seccomp");
    plan->landlock_abi = landlock_abi();
    if (plan->landlock_abi > 0)
        plan_isolates(plan, "landlock:%d", plan->landlock_abi);
    if (plan->root && spec->workspace)
        plan_isolates(plan, "idmapped-workspace");
    return 0;
}

void plan_release(struct plan *plan)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        free(plan->mounts[i].src);
        free(plan->mounts[i].dst);
        free(plan->mounts[i].data);
    }
    for (size_t i = 0; i < plan->env_count; i++)
        free(plan->envp[i]);
    free(plan->envp);
    for (size_t i = 0; i < plan->isolation_count; i++)
        free(plan->isolation[i]);
    free(plan->work_dir);
    free(plan->root_options);
    *plan = (struct plan){0};
}

void plan_identify(struct plan *plan)
{
    struct stat st;

    for (size_t i = 0; i < plan->system_count; i++) {
        struct plan_mount *m = &plan->mounts[i];

        if (m->kind == MOUNT_BIND_RO && stat(m->src, &st) == 0) {
            m->src_dev = st.st_dev;
            m->src_ino = st.st_ino;
        }
    }
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool plan_same_system(const struct plan *a, const struct plan *b)
{
    if (a->root != b->root || a->system_count != b->system_count ||
        !same_text(a->root_options, b->root_options))
        return false;
    for (size_t i = 0; i < a->system_count; i++) {
        const struct plan_mount *x = &a->mounts[i], *y = &b->mounts[i];

        if (x->kind != y->kind || x->ours != y->ours || !same_text(x->src, y->src) ||
            !same_text(x->dst, y->dst) || !same_text(x->data, y->data) ||
            x->src_dev != y->src_dev || x->src_ino != y->src_ino)
            return false;
    }
    return true;
}

static const char *mount_word(enum mount_kind kind)
{
    switch (kind) {
    case MOUNT_DIR:
        return "dir";
    case MOUNT_FILE:
        return "file";
    case MOUNT_SYMLINK:
        return "symlink";
    case MOUNT_BIND_RO:
        return "ro-bind";
    case MOUNT_WORK:
        return "workspace";
    case MOUNT_DEVICE:
        return "device";
    case MOUNT_SCRATCH:
        return "scratch";
    case MOUNT_TMPFS:
        return "tmpfs";
    case MOUNT_PROC:
        return "proc";
    case MOUNT_PTS:
        return "devpts";
    case MOUNT_COVER_RO:
        return "cover-read-only";
    case MOUNT_MASK:
        return "mask";
    case MOUNT_COVER_FILE:
        return "cover-file";
    case MOUNT_OVERLAY:
        return "overlay";
    }
    return "?";
}

static void print_mounts(const struct plan *plan, struct pj_str *out)
{
    jsonw_key(out, "mounts");
    pj_str_putc(out, '[');
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct plan_mount *m = &plan->mounts[i];

        jsonw_comma(out);
        pj_str_putc(out, '{');
        jsonw_member_string(out, "kind", mount_word(m->kind));
        jsonw_member_string(out, "at", m->dst);
        if (m->src)
            jsonw_member_string(out, "from", m->src);
        if (m->data)
            jsonw_member_string(
                out, m->kind == MOUNT_FILE || m->kind == MOUNT_COVER_FILE ? "content" : "data",
                m->data);
        pj_str_putc(out, '}');
    }
    pj_str_putc(out, ']');
}

static void print_network(const struct spec *spec, struct pj_str *out)
{
    jsonw_key(out, "network");
    pj_str_puts(out, "{\"interfaces\":[\"lo\"],\"gateways\":[");
    for (size_t i = 0; i < spec->gateway_count; i++) {
        jsonw_comma(out);
        pj_str_putc(out, '{');
        jsonw_member_string(out, "socket", spec->gateways[i].path);
        jsonw_member_int(out, "port", spec->gateways[i].port);
        pj_str_putc(out, '}');
    }
    pj_str_puts(out, "],\"allow\":[");
    for (size_t i = 0; i < spec->allow_count; i++) {
        jsonw_comma(out);
        pj_str_putc(out, '{');
        jsonw_member_string(out, "host", spec->allows[i].host);
        jsonw_member_int(out, "port", spec->allows[i].port);
        pj_str_putc(out, '}');
    }
    pj_str_puts(out, "]}");
}

static void print_strings(struct pj_str *out, const char *name, char *const *list)
{
    jsonw_key(out, name);
    pj_str_putc(out, '[');
    for (size_t i = 0; list && list[i]; i++) {
        jsonw_comma(out);
        jsonw_string(out, list[i]);
    }
    pj_str_putc(out, ']');
}

void plan_print(const struct plan *plan, struct pj_str *out)
{
    const struct spec *spec = plan->spec;

    pj_str_putc(out, '{');
    jsonw_member_string(out, "mode", plan->root ? "root" : "user");
    jsonw_key(out, "identity");
    pj_str_putc(out, '{');
    jsonw_member_string(out, "user", "pj");
    jsonw_member_int(out, "uid", BOX_UID);
    if (plan->root)
        jsonw_member_string(out, "hostUid", "leased at start, owns nothing");
    else
        jsonw_member_int(out, "hostUid", plan->host_uid);
    pj_str_putc(out, '}');
    print_strings(out, "command", spec->command);
    jsonw_member_string(out, "cwd", plan->cwd);
    print_strings(out, "environment", plan->envp);
    jsonw_member_string(out, "root", plan->root_options);
    print_mounts(plan, out);
    print_network(spec, out);
    jsonw_key(out, "limits");
    pj_str_putc(out, '{');
    jsonw_member_limit(out, "timeoutMs", spec->timeout_ms);
    jsonw_member_limit(out, "memoryBytes", spec->memory_bytes);
    jsonw_member_limit(out, "pids", spec->pids);
    jsonw_member_limit(out, "cpuMilli", spec->cpu_milli);
    jsonw_member_limit(out, "tmpBytes", plan->tmp_bytes);
    jsonw_member_limit(out, "diskBytes", spec->disk_bytes);
    jsonw_member_limit(out, "outputBytes", spec->output_bytes);
    pj_str_putc(out, '}');
    jsonw_key(out, "isolation");
    pj_str_putc(out, '[');
    for (size_t i = 0; i < plan->isolation_count; i++) {
        jsonw_comma(out);
        jsonw_string(out, plan->isolation[i]);
    }
    pj_str_puts(out, "]}");
}
