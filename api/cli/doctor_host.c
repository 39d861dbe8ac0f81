/* The host itself: which gates are open for boxes, Redis, the clock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/cli/doctor.h"
#include "api/cli/host.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "lib/store/meta.h"

#define OUTPUT_MAX (256u << 10)
#define SKEW_MS 5000

void doctor_check_clock(struct doctor *d, const char *whom, int64_t their_ms)
{
    int64_t skew = pj_now_ms() - their_ms;
    bool fine = skew > -SKEW_MS && skew < SKEW_MS;

    doctor_note(d, "clock", fine ? DOCTOR_FINE : DOCTOR_WARNING,
                fine ? NULL : "synchronise the clocks (chrony, systemd-timesyncd)",
                "this host and %s differ by %lld ms", whom, (long long)(skew < 0 ? -skew : skew));
}

/* ---- gates ---- */

enum engine { NO_ENGINE, DOCKER, PODMAN, KUBERNETES };

static enum engine engine_here(void)
{
    if (getenv("KUBERNETES_SERVICE_HOST"))
        return KUBERNETES;
    if (pj_fs_exists("/run/.containerenv"))
        return PODMAN;
    return pj_fs_exists("/.dockerenv") ? DOCKER : NO_ENGINE;
}

/* What opens a gate from outside of a container. The profile is helm/files/runner-seccomp.json, /usr/share/pithyjaunt in packages. */
static const struct {
    const char *gate, *docker, *podman, *kubernetes;
} flags[] = {
    {"identity", "docker run --user 1000", "podman run --user 1000", "runAsUser: 1000"},
    {"mount",
     "docker run --security-opt seccomp=runner-seccomp.json --security-opt apparmor=unconfined",
     "podman run --security-opt seccomp=runner-seccomp.json --security-opt apparmor=unconfined",
     "seccompProfile: Localhost with runner-seccomp.json, appArmorProfile: Unconfined"},
    {"namespaces", "docker run --security-opt seccomp=runner-seccomp.json",
     "podman run --security-opt seccomp=runner-seccomp.json",
     "seccompProfile: Localhost with runner-seccomp.json"},
    {"proc", "docker run --security-opt systempaths=unconfined",
     "podman run --security-opt unmask=ALL", "procMount: Unmasked with hostUsers: false"},
    {"time-namespace", "docker run --security-opt seccomp=runner-seccomp.json",
     "podman run --security-opt seccomp=runner-seccomp.json",
     "seccompProfile: Localhost with runner-seccomp.json"},
    {"uid-map", "docker run --security-opt apparmor=unconfined",
     "podman run --security-opt apparmor=unconfined", "appArmorProfile: Unconfined"},
    {"user-namespaces", "docker run --security-opt seccomp=runner-seccomp.json",
     "podman run --security-opt seccomp=runner-seccomp.json",
     "seccompProfile: Localhost with runner-seccomp.json"},
};

static const char *flag_for(const char *gate, const char *otherwise)
{
    enum engine engine = engine_here();

    for (size_t i = 0; engine != NO_ENGINE && i < PJ_COUNT_OF(flags); i++)
        if (strcmp(flags[i].gate, gate) == 0)
            return engine == DOCKER   ? flags[i].docker
                   : engine == PODMAN ? flags[i].podman
                                      : flags[i].kubernetes;
    return otherwise;
}

static void note_gate(struct doctor *d, const json_t *gate, size_t *closed)
{
    const char *name = pj_json_str(gate, "name", "?");
    bool needed = pj_json_bool(gate, "needed", true);

    if (pj_json_bool(gate, "open", false))
        return;
    *closed += needed;
    doctor_note(d, "box", needed && !d->client_only ? DOCTOR_WRONG : DOCTOR_WARNING,
                flag_for(name, pj_json_str(gate, "remedy", NULL)), "gate %s is closed: %s: %s; %s",
                name, pj_json_str(gate, "tried", ""), strerror((int)pj_json_i64(gate, "errno", 0)),
                pj_json_str(gate, "cause", ""));
}

void doctor_check_box(struct doctor *d)
{
    PJ_CLEANUP(pj_str_release) struct pj_str out;
    PJ_CLEANUP(pj_json_decrefp) json_t *report = NULL;
    struct pj_err err = {0};
    size_t i, closed = 0;
    json_t *gate;

    pj_str_init(&out, OUTPUT_MAX);
    int code = host_run("pj-sandbox", "--check", NULL, &out, &err);
    if (code < 0) {
        doctor_note(d, "box", DOCTOR_WRONG, err.remedy, "%s", err.message);
        return;
    }
    /* Not for a terminal, so it is JSON. */
    if (pj_json_parse(pj_view_trim(pj_view_n(pj_str_cstr(&out), out.len)), &report, &err) < 0) {
        doctor_note(d, "box", DOCTOR_WRONG, "`pj-sandbox --check` shows more",
                    "pj-sandbox --check ended with %d: %.2000s", code, pj_str_cstr(&out));
        return;
    }
    const json_t *gates = json_object_get(report, "gates");
    json_array_foreach(gates, i, gate) note_gate(d, gate, &closed);
    if (closed == 0)
        doctor_note(d, "box", DOCTOR_FINE, NULL, "a box can be made here, as %s",
                    strcmp(pj_json_str(report, "mode", ""), "root") == 0 ? "root"
                                                                         : "an ordinary user");
}

/* ---- Redis ---- */

static void check_time(struct doctor *d, struct pj_redis *redis)
{
    PJ_CLEANUP(pj_cmd_release) struct pj_cmd cmd = {0};
    PJ_CLEANUP(pj_reply_freep) struct redisReply *reply = NULL;
    struct pj_err err = {0};

    pj_cmd_start(&cmd, "TIME");
    if (pj_redis_do(redis, &cmd, &reply, &err) < 0)
        doctor_note(d, "clock", DOCTOR_WARNING, err.remedy, "%s", err.message);
    else
        doctor_check_clock(d, "Redis",
                           pj_reply_int(pj_reply_at(reply, 0), 0) * 1000 +
                               pj_reply_int(pj_reply_at(reply, 1), 0) / 1000);
}

void doctor_check_redis(struct doctor *d)
{
    struct pj_store_finding findings[PJ_STORE_FINDINGS_MAX];
    struct pj_redis *redis = NULL;
    struct pj_err err = {0};
    size_t count = 0;

    if (!d->has_settings || d->client_only)
        return;
    if (host_redis_at(&d->settings.redis, d->settings.ca_file, &redis, &err) < 0) {
        doctor_note(d, "redis", DOCTOR_WRONG, err.remedy, "%s", err.message);
        return;
    }
    if (pj_store_check(redis, findings, &count, &err) < 0)
        doctor_note(d, "redis", DOCTOR_WRONG, err.remedy, "%s", err.message);
    else if (count == 0)
        doctor_note(d, "redis", DOCTOR_FINE, NULL, "version, policy and persistence are right");
    for (size_t i = 0; i < count; i++)
        doctor_note(d, "redis", findings[i].level >= 2 ? DOCTOR_WRONG : DOCTOR_WARNING,
                    findings[i].remedy, "%s", findings[i].detail);
    check_time(d, redis);
    pj_redis_free(redis);
}
