/* plan.h - what will be done, decided before anything is done: the spec, and how this host lets us
 * do it.
 *
 * Everything that needs a decision is decided here, so that `--plan` shows exactly what a run
 * applies. The plan is built in the outer process; process 1 of the box inherits it by fork and
 * only reads it. */
#ifndef SANDBOX_PLAN_H
#define SANDBOX_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "sandbox/spec.h"

#define PLAN_MOUNTS_MAX 256
#define PLAN_ISOLATION_MAX 40
#define BOX_UID 1000 /* the user `pj` as the box sees it */
#define BOX_GID 1000

enum mount_kind {
    MOUNT_DIR,        /* mkdir dst */
    MOUNT_FILE,       /* a file with content `data` */
    MOUNT_SYMLINK,    /* dst -> data */
    MOUNT_BIND_RO,    /* src, read-only, recursive */
    MOUNT_WORK,       /* src, read-write, idmapped when root */
    MOUNT_DEVICE,     /* src is a harmless device node of the host, `device` its number */
    MOUNT_SCRATCH,    /* writable by all, in the memory of the root, whose size bounds it */
    MOUNT_TMPFS,      /* `data` are its options */
    MOUNT_PROC,       /* a new instance for the box's pid namespace */
    MOUNT_PTS,        /* a new instance of devpts */
    MOUNT_COVER_RO,   /* dst exists: laid over itself, read-only; absent is fine */
    MOUNT_MASK,       /* dst exists: laid over with something empty, read-only; absent is fine */
    MOUNT_COVER_FILE, /* dst exists: laid over with a file of content `data`; absent is fine */
    MOUNT_OVERLAY, /* src is the lower layer, data the upper directory or NULL for a sized tmpfs */
};

struct plan_mount {
    enum mount_kind kind;
    char *src;
    char *dst; /* inside, absolute */
    char *data;
    bool ours; /* nothing above dst is anybody's but ours: no link can stand in the way */
    dev_t device;
    dev_t src_dev; /* which src it was, once plan_identify() has looked */
    ino_t src_ino;
    int fd;       /* process 1: the detached mount */
    int upper_fd; /* process 1, overlay: the mount that holds its writable layer */
};

struct plan_owner {
    uid_t uid;
    gid_t gid;
};

struct plan {
    const struct spec *spec;
    bool root; /* mounts are made with the host's privilege, then the user namespace is entered */
    uid_t host_uid; /* what the box's user is on the host */
    gid_t host_gid;
    char *root_options; /* of the tmpfs that is the root, and holds all that is scratch */
    struct plan_mount mounts[PLAN_MOUNTS_MAX];
    size_t mount_count;
    size_t system_count; /* the first so many depend neither on the work tree nor on binds */
    char
        *work_dir; /* overlay's scratch folder beside --workspace, removed at the end; NULL: none */
    struct plan_owner work_owner; /* of --workspace (root mode: the idmap's host side) */
    struct plan_owner base_owner;
    const char *cwd;
    char **envp; /* of the command, NULL-terminated */
    size_t env_count;
    int64_t tmp_bytes;
    int landlock_abi; /* 0: the kernel has none */
    char *isolation[PLAN_ISOLATION_MAX];
    size_t isolation_count;
};

/* Decide. *plan is all zero before. Fails with the step and the remedy when something asked for cannot be had. Release
 * with plan_release() in either case. */
int plan_make(struct plan *plan, const struct spec *spec, struct pj_err *err) PJ_MUST_CHECK;
void plan_release(struct plan *plan);
/* Note which files the system's mounts are made of. A box built ahead of need fits an order only if its plan, made anew, has the same
 * system of the same files. */
void plan_identify(struct plan *plan);
bool plan_same_system(const struct plan *a, const struct plan *b);
/* One more word for the result's `isolation`. */
void plan_isolates(struct plan *plan, const char *fmt, ...) PJ_PRINTF(2, 3);
/* Add a variable to the command's environment; a later one replaces an earlier one of the same
 * name. */
void plan_env(struct plan *plan, const char *name, const char *value);
/* The plan as JSON. */
void plan_print(const struct plan *plan, struct pj_str *out);

#endif
