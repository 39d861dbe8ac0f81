#include "sandbox/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/base/view.h"
#include "sandbox/inside.h"
#include "sandbox/step.h"
#include "sandbox/weaken.h"

/* Read-only parts of the host's /etc that programs need to start and to check certificates. */
static const char *const etc_parts[] = {
    "/etc/alternatives", "/etc/ld.so.cache",     "/etc/pki/tls/certs",
    "/etc/ssl/certs",    "/etc/ssl/openssl.cnf",
};

/* What the root holds besides: made-up files, directories, links, the places of mounts. */
#define ROOT_BYTES (512 << 10)
#define ROOT_INODES 512

#define HOSTS "127.0.0.1 localhost pj\n"

static const struct {
    const char *path, *content;
} etc_files[] = {
    {"/etc/group", "root:x:0:\npj:x:1000:\nnogroup:x:65534:\n"},
    {"/etc/hosts", HOSTS},
    {"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
    {"/etc/passwd", "root:x:0:0:root:/:/bin/sh\npj:x:1000:1000:pj:/tmp:/bin/"
                    "sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"},
};

static const struct {
    const char *path;
    unsigned minor; /* of major 1; kernel: Documentation/admin-guide/devices.txt */
} devices[] = {
    {"/dev/full", 7}, {"/dev/null", 3}, {"/dev/random", 8}, {"/dev/urandom", 9}, {"/dev/zero", 5},
};

static const struct {
    const char *path, *target;
} dev_links[] = {
    {"/dev/fd", "/proc/self/fd"},       {"/dev/ptmx", "pts/ptmx"},
    {"/dev/stderr", "/proc/self/fd/2"}, {"/dev/stdin", "/proc/self/fd/0"},
    {"/dev/stdout", "/proc/self/fd/1"},
};

static const struct {
    const char *path;
    enum mount_kind kind;
} proc_covers[] = {
    {"/proc/acpi", MOUNT_MASK},          /* hardware */
    {"/proc/bus", MOUNT_COVER_RO},       /* device configuration space */
    {"/proc/fs", MOUNT_COVER_RO},        /* file systems' own switches */
    {"/proc/irq", MOUNT_COVER_RO},       /* interrupt affinity */
    {"/proc/kallsyms", MOUNT_MASK},      /* kernel addresses */
    {"/proc/kcore", MOUNT_MASK},         /* kernel memory */
    {"/proc/key-users", MOUNT_MASK},     /* other users' key counts */
    {"/proc/keys", MOUNT_MASK},          /* key ids */
    {"/proc/kmsg", MOUNT_MASK},          /* kernel log */
    {"/proc/latency_stats", MOUNT_MASK}, /* other processes */
    {"/proc/sched_debug", MOUNT_MASK},   /* other processes */
    {"/proc/scsi", MOUNT_MASK},          /* hardware */
    {"/proc/sys", MOUNT_COVER_RO}, /* core_pattern and its kin: root on the host by one write */
    {"/proc/sysrq-trigger", MOUNT_COVER_RO}, /* reboot by one write */
    {"/proc/timer_list", MOUNT_MASK},        /* other processes, kernel addresses */
    {"/proc/vmallocinfo", MOUNT_MASK},       /* kernel addresses */
};

static struct plan_mount *add(struct plan *plan, enum mount_kind kind, const char *src,
                              const char *dst, const char *data)
{
    struct plan_mount *m;

    if (plan->mount_count == PLAN_MOUNTS_MAX)
        return NULL;
    m = &plan->mounts[plan->mount_count++];
    *m = (struct plan_mount){.kind = kind,
                             .src = pj_strdup_or_null(src),
                             .dst = pj_strdup(dst),
                             .data = pj_strdup_or_null(data),
                             .ours = !plan->spec->rootfs,
                             .fd = -1,
                             .upper_fd = -1};
    return m;
}

/* A link of the host becomes the same link, anything else a read-only bind; absent is left out. */
static void add_as_on_host(struct plan *plan, const char *src, const char *dst)
{
    char target[PATH_MAX];
    struct stat st;

    if (lstat(src, &st) < 0)
        return;
    if (S_ISLNK(st.st_mode)) {
        ssize_t n = readlink(src, target, sizeof target - 1);

        if (n > 0) {
            target[n] = '\0';
            add(plan, MOUNT_SYMLINK, NULL, dst, target);
        }
    } else if (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)) {
        add(plan, MOUNT_BIND_RO, src, dst, NULL);
    }
}

static void add_host_system(struct plan *plan)
{
    static const char *const roots[] = {"/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin"};

    add(plan, MOUNT_BIND_RO, "/usr", "/usr", NULL);
    for (size_t i = 0; i < PJ_COUNT_OF(roots); i++)
        add_as_on_host(plan, roots[i], roots[i]);
    for (size_t i = 0; i < PJ_COUNT_OF(etc_parts); i++) {
        if (access(etc_parts[i], F_OK) == 0)
            add(plan, MOUNT_BIND_RO, etc_parts[i], etc_parts[i], NULL);
    }
    for (size_t i = 0; i < PJ_COUNT_OF(etc_files); i++)
        add(plan, MOUNT_FILE, NULL, etc_files[i].path, etc_files[i].content);
}

static bool is_ours(const char *name)
{
    static const char *const own[] = {".", "..", "dev", "proc", "sys", "tmp", "workspace", "run"};

    for (size_t i = 0; i < PJ_COUNT_OF(own); i++) {
        if (strcmp(name, own[i]) == 0)
            return true;
    }
    return false;
}

/* Is there an entry with this id (third field) in passwd or group? */
static bool has_id(struct pj_view text, const char *id)
{
    struct pj_view line, field;

    while (pj_view_cut(&text, '\n', &line)) {
        for (int i = 0; i < 3; i++) {
            if (!pj_view_cut(&line, ':', &field))
                break;
            if (i == 2 && pj_view_is(field, id))
                return true;
        }
    }
    return false;
}

/* The system's own passwd or group, with our user in it. */
static void add_user_to(struct plan *plan, int rootfs, const char *path, const char *line)
{
    char link[32];
    struct pj_str text;
    struct pj_err ignored = {0};
    int fd = inside_open(rootfs, path, 0), file = -1;

    pj_str_init(&text, 1 << 20);
    if (fd >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        file = open(link, O_RDONLY | O_CLOEXEC);
    }
    if (file >= 0 && pj_fs_read_fd(file, &text, &ignored) == 0 &&
        !has_id(pj_view_n(text.data, text.len), "1000")) {
        if (text.len && text.data[text.len - 1] != '\n')
            pj_str_putc(&text, '\n');
        pj_str_puts(&text, line);
        add(plan, MOUNT_COVER_FILE, NULL, path, pj_str_cstr(&text));
    }
    pj_str_release(&text);
    pj_fd_close(&file);
    pj_fd_close(&fd);
}

/* What an exported image leaves empty, and who we are. */
static void complete_rootfs(struct plan *plan, const char *rootfs)
{
    int fd = open(rootfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    add(plan, MOUNT_COVER_FILE, NULL, "/etc/hosts", HOSTS);
    add_user_to(plan, fd, "/etc/passwd", "pj:x:1000:1000:pj:/tmp:/bin/sh\n");
    add_user_to(plan, fd, "/etc/group", "pj:x:1000:\n");
    close(fd);
}

static int add_rootfs(struct plan *plan, const char *rootfs, struct pj_err *err)
{
    DIR *dir = opendir(rootfs);
    const struct dirent *entry;

    if (!dir)
        return step_fail(err, "rootfs", errno, "name a directory that holds a whole system",
                         "--rootfs %s", rootfs);
    while ((entry = readdir(dir))) {
        char *src, *dst;

        if (is_ours(entry->d_name))
            continue;
        src = pj_asprintf("%s/%s", rootfs, entry->d_name);
        dst = pj_asprintf("/%s", entry->d_name);
        add_as_on_host(plan, src, dst);
        free(src);
        free(dst);
    }
    closedir(dir);
    complete_rootfs(plan, rootfs);
    return 0;
}

static void add_dev(struct plan *plan)
{
    add(plan, MOUNT_DIR, NULL, "/dev", NULL);
    for (size_t i = 0; i < PJ_COUNT_OF(devices); i++) {
        struct plan_mount *m = add(plan, MOUNT_DEVICE, devices[i].path, devices[i].path, NULL);

        if (m)
            m->device = makedev(1, devices[i].minor);
    }
    for (size_t i = 0; i < PJ_COUNT_OF(dev_links); i++)
        add(plan, MOUNT_SYMLINK, NULL, dev_links[i].path, dev_links[i].target);
    add(plan, MOUNT_PTS, NULL, "/dev/pts", NULL);
    add(plan, MOUNT_SCRATCH, NULL, "/dev/shm", NULL);
}

static void add_tmp(struct plan *plan)
{
    /* One inode for every 4 KiB, at least 1024: files without content take memory too. What the
     * root itself holds comes on top. */
    int64_t inodes = plan->tmp_bytes / 4096 < 1024 ? 1024 : plan->tmp_bytes / 4096;

    add(plan, MOUNT_SCRATCH, NULL, "/tmp", NULL);
    plan->root_options =
        weakened("tmp-size")
            ? pj_strdup("source=pj-root,mode=0755")
            : pj_asprintf("source=pj-root,mode=0755,size=%" PRId64 ",nr_inodes=%" PRId64,
                          plan->tmp_bytes + ROOT_BYTES, inodes + ROOT_INODES);
}

static int add_workspace(struct plan *plan, struct pj_err *err)
{
    const struct spec *spec = plan->spec;
    char *size = pj_asprintf("mode=0755,size=%" PRId64 ",nr_inodes=%" PRId64, spec->disk_bytes,
                             spec->disk_bytes / 4096 < 1024 ? 1024 : spec->disk_bytes / 4096);

    if (spec->workspace_base && spec->workspace) {
        char real[PATH_MAX];

        if (!realpath(spec->workspace, real) || strcmp(real, "/") == 0) {
            free(size);
            return step_fail(err, "workspace", errno, NULL, "--workspace %s", spec->workspace);
        }
        plan->work_dir = pj_asprintf("%s.pj-work", real);
        add(plan, MOUNT_OVERLAY, spec->workspace_base, "/workspace", real);
    } else if (spec->workspace_base) {
        add(plan, MOUNT_OVERLAY, spec->workspace_base, "/workspace", size);
    } else if (spec->workspace) {
        add(plan, MOUNT_WORK, spec->workspace, "/workspace", NULL);
    } else if (spec->disk_bytes) {
        add(plan, MOUNT_TMPFS, NULL, "/workspace", size);
    }
    free(size);
    return 0;
}

/* Wherever the caller likes: within a rootfs, or the work tree. */
static void add_foreign(struct plan *plan, const struct spec_bind *bind)
{
    struct plan_mount *m = add(plan, MOUNT_BIND_RO, bind->src, bind->dst, NULL);

    if (m)
        m->ours = false;
}

int layout_make(struct plan *plan, struct pj_err *err)
{
    static const char *const empty[] = {"/home", "/mnt", "/opt", "/root", "/run", "/srv", "/var"};
    const struct spec *spec = plan->spec;
    size_t own;

    if (spec->rootfs) {
        if (add_rootfs(plan, spec->rootfs, err) < 0)
            return -1;
    } else {
        add_host_system(plan);
        for (size_t i = 0; i < PJ_COUNT_OF(empty); i++)
            add(plan, MOUNT_DIR, NULL, empty[i], NULL);
        add(plan, MOUNT_SYMLINK, NULL, "/var/tmp", "/tmp");
    }
    own = plan->mount_count;
    add_dev(plan);
    add(plan, MOUNT_PROC, NULL, "/proc", NULL);
    for (size_t i = 0; i < PJ_COUNT_OF(proc_covers); i++)
        add(plan, proc_covers[i].kind, NULL, proc_covers[i].path, NULL);
    add_tmp(plan);
    plan->system_count = plan->mount_count;
    if (add_workspace(plan, err) < 0)
        return -1;
    while (own < plan->mount_count)
        plan->mounts[own++].ours = true; /* also above a rootfs: is_ours() kept its own out */
    for (size_t i = 0; i < spec->bind_count; i++)
        add_foreign(plan, &spec->binds[i]);
    if (plan->mount_count == PLAN_MOUNTS_MAX)
        return step_fail(err, "plan", 0, "bind fewer paths", "more than %d mounts",
                         PLAN_MOUNTS_MAX - 1);
    return 0;
}
