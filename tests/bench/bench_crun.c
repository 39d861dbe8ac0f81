#include "tests/bench/bench_crun.h"

#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "lib/base/fs.h"

#define PROFILE "/usr/share/containers/seccomp.json"

/* A row of the profile holds for a process without capabilities on this machine. */
static bool applies(const json_t *row)
{
    const json_t *includes = json_object_get(row, "includes");
    const json_t *arches = json_object_get(includes, "arches"), *arch;
    size_t i;

    if (json_array_size(json_object_get(includes, "caps")) > 0)
        return false;
    if (json_array_size(arches) == 0)
        return true;
    json_array_foreach(arches, i, arch)
    {
        if (strcmp(json_string_value(arch), "amd64") == 0)
            return true;
    }
    return false;
}

static json_t *filter(const json_t *profile)
{
    json_t *rows = json_array(), *row;
    size_t i;

    json_array_foreach(json_object_get(profile, "syscalls"), i, row)
    {
        json_t *copy;

        if (!applies(row))
            continue;
        copy = json_pack("{s:O, s:O}", "names", json_object_get(row, "names"), "action",
                         json_object_get(row, "action"));
        if (json_array_size(json_object_get(row, "args")) > 0)
            json_object_set(copy, "args", json_object_get(row, "args"));
        if (json_is_integer(json_object_get(row, "errnoRet")))
            json_object_set(copy, "errnoRet", json_object_get(row, "errnoRet"));
        json_array_append_new(rows, copy);
    }
    return json_pack("{s:s, s:i, s:[s, s, s], s:o}", "defaultAction", "SCMP_ACT_ERRNO",
                     "defaultErrnoRet", 38, "architectures", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86",
                     "SCMP_ARCH_X32", "syscalls", rows);
}

/* As `crun spec` of 1.8 has it, but for control groups, a terminal and a shell. */
static const char spec[] =
    "{\"ociVersion\":\"1.0.0\",\"process\":{\"terminal\":false,\"user\":{\"uid\":0,\"gid\":0},"
    "\"args\":[\"/true\",\"nothing\"],\"env\":[\"PATH=/bin\"],\"cwd\":\"/\",\"capabilities\":{"
    "\"bounding\":[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"],\"effective\":[],"
    "\"permitted\":[]},\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":1024,\"soft\":1024}],"
    "\"noNewPrivileges\":true},\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":"
    "\"crun\",\"mounts\":["
    "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
    "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\","
    "\"strictatime\",\"mode=755\",\"size=65536k\"]},"
    "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":["
    "\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]},"
    "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":[\"nosuid\","
    "\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]},"
    "{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":["
    "\"nosuid\",\"noexec\",\"nodev\"]},"
    "{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"nosuid\","
    "\"noexec\",\"nodev\",\"ro\"]}],"
    "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"
    "{\"type\":\"uts\"},{\"type\":\"mount\"}],\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\","
    "\"/proc/kcore\",\"/proc/keys\",\"/proc/latency_stats\",\"/proc/timer_list\","
    "\"/proc/timer_stats\",\"/proc/sched_debug\",\"/sys/firmware\",\"/proc/scsi\"],"
    "\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\","
    "\"/proc/sysrq-trigger\"]}}";

static int copy_program(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), rc = -1;
    int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    char block[65536];
    ssize_t n = -1;

    while (in >= 0 && out >= 0 && (n = read(in, block, sizeof block)) > 0) {
        if (pj_write_all(out, block, (size_t)n) < 0)
            break;
    }
    if (n == 0)
        rc = 0;
    pj_fd_close(&in);
    pj_fd_close(&out);
    return rc;
}

int crun_bundle(const char *dir, const char *program)
{
    static const char *const dirs[] = {"", "/rootfs", "/rootfs/proc", "/rootfs/dev", "/rootfs/sys"};
    json_t *profile = json_load_file(PROFILE, 0, NULL), *config = json_loads(spec, 0, NULL);
    char path[300];
    int rc = -1;

    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        snprintf(path, sizeof path, "%s%s", dir, dirs[i]);
        (void)mkdir(path, 0755);
    }
    snprintf(path, sizeof path, "%s/rootfs/true", dir);
    if (profile && config && copy_program(program, path) == 0) {
        json_object_set_new(json_object_get(config, "linux"), "seccomp", filter(profile));
        snprintf(path, sizeof path, "%s/config.json", dir);
        rc = json_dump_file(config, path, 0);
    }
    json_decref(profile);
    json_decref(config);
    return rc;
}

int crun_view(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
        return 0;
    return umount2("/sys/fs/cgroup", MNT_DETACH) < 0
               ? -1
               : mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL);
}
