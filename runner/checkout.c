#include "runner/checkout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/crypto/hmac.h"
#include "lib/http/client.h"

#define DEPTH_MAX 260 /* pj_git_export() makes no deeper ones */
#define WAIT_STEP_MS 20
#define WAIT_MAX_MS ((int64_t)2 * 60 * 1000) /* for another process that writes out */
#define SEAL_MAX 512
#define SEAL_VERSION 1

struct seal {
    char tree[PJ_SHA_SIZE];
    char boot[40]; /* /proc/sys/kernel/random/boot_id */
    char digest[65];
    int64_t files, size; /* of regular files */
    int64_t blocks;      /* bytes on the disk */
};

/* ---- what the inodes look like ---- */

struct look {
    struct pj_str text; /* not hashed yet */
    uint8_t state[PJ_SHA256_SIZE];
    int64_t files, size, blocks;
};

static void look_fold(struct look *look)
{
    (void)pj_str_append(&look->text, look->state, sizeof(look->state));
    pj_sha256(look->text.data, look->text.len, look->state);
    pj_str_clear(&look->text);
}

static void look_add(struct look *look, const char *name, const struct stat *st)
{
    struct {
        uint64_t ino, mode, size, links;
        int64_t mtime, mtime_ns, ctime, ctime_ns;
    } seen = {
        .ino = st->st_ino,
        .mode = st->st_mode,
        .size = S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size,
        .links = S_ISDIR(st->st_mode) ? 0 : st->st_nlink,
        .mtime = st->st_mtim.tv_sec,
        .mtime_ns = st->st_mtim.tv_nsec,
        .ctime = st->st_ctim.tv_sec,
        .ctime_ns = st->st_ctim.tv_nsec,
    };

    (void)pj_str_append(&look->text, name, strlen(name) + 1);
    (void)pj_str_append(&look->text, &seen, sizeof(seen));
    if (look->text.len > look->text.max / 2)
        look_fold(look);
    if (S_ISREG(st->st_mode)) {
        look->files++;
        look->size += st->st_size;
    }
    look->blocks += (int64_t)st->st_blocks * 512;
}

/* Takes `fd`. */
static int look_at_folder(struct look *look, int fd, unsigned depth, struct pj_err *err)
{
    DIR *dir = fdopendir(fd);
    const struct dirent *entry = NULL;
    int rc = 0;

    if (dir == NULL) {
        close(fd);
        return pj_fail_errno(err, errno, "read a folder of the checkout");
    }
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            rc = pj_fail_errno(err, errno, "look at %s", entry->d_name);
            break;
        }
        look_add(look, entry->d_name, &st);
        if (!S_ISDIR(st.st_mode))
            continue;
        int sub =
            openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0 || depth >= DEPTH_MAX) {
            pj_fd_close(&sub);
            rc = pj_fail(err, PJ_E_INTERNAL, "cannot enter %s", entry->d_name);
        } else {
            rc = look_at_folder(look, sub, depth + 1, err);
            look_add(look, "..", &st); /* so that the depth at which a name stands counts */
        }
    }
    closedir(dir);
    return rc;
}

static int read_boot(char out[40], struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str text;

    pj_str_init(&text, 256);
    if (pj_fs_read("/proc/sys/kernel/random/boot_id", &text, err) < 0)
        return -1;
    (void)snprintf(out, 40, "%.*s", (int)strcspn(pj_str_cstr(&text), " \n"), pj_str_cstr(&text));
    return 0;
}

static int make_seal(const char *dir, const char *tree, struct seal *out, struct pj_err *err)
{
    struct look look = {0};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    memset(out, 0, sizeof(*out));
    if (fd < 0)
        return pj_fail_errno(err, errno, "open %s", dir);
    if (read_boot(out->boot, err) < 0) {
        close(fd);
        return -1;
    }
    pj_str_init(&look.text, (size_t)64 << 10);
    int rc = look_at_folder(&look, fd, 0, err);
    look_fold(&look);
    pj_str_release(&look.text);
    pj_hex(look.state, sizeof(look.state), out->digest);
    (void)snprintf(out->tree, sizeof(out->tree), "%s", tree);
    out->files = look.files;
    out->size = look.size;
    out->blocks = look.blocks;
    return rc;
}

/* ---- the seal's file ---- */

static int read_seal(const char *dir, struct seal *out)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s.seal", dir);
    PJ_CLEANUP(pj_str_release) struct pj_str text;
    struct pj_err ignored;
    long long files = 0;
    long long size = 0;
    long long blocks = 0;
    int version = 0;

    memset(out, 0, sizeof(*out));
    pj_str_init(&text, SEAL_MAX);
    if (pj_fs_read(path, &text, &ignored) < 0)
        return PJ_NONE;
    if (sscanf(pj_str_cstr(&text), "%d %40s %39s %lld %lld %lld %64s", &version, out->tree,
               out->boot, &files, &size, &blocks, out->digest) != 7 ||
        version != SEAL_VERSION)
        return PJ_NONE;
    out->files = files;
    out->size = size;
    out->blocks = blocks;
    return 0;
}

static int write_seal(const char *dir, const struct seal *seal, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s.seal", dir);
    PJ_CLEANUP(pj_freep)
    char *text = pj_asprintf("%d %s %s %lld %lld %lld %s\n", SEAL_VERSION, seal->tree, seal->boot,
                             (long long)seal->files, (long long)seal->size, (long long)seal->blocks,
                             seal->digest);

    return pj_fs_write_atomic(path, text, strlen(text), 0600, err);
}

int checkout_unseal(const char *dir, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s.seal", dir);

    if (unlink(path) < 0 && errno != ENOENT)
        return pj_fail_errno(err, errno, "remove %s", path);
    return 0;
}

int64_t checkout_sealed_bytes(const char *dir)
{
    struct seal seal;

    return read_seal(dir, &seal) == 0 ? seal.blocks : -1;
}

bool checkout_is_name(const char *name)
{
    static const char mark[] = ".tree";
    size_t n = strlen(name);

    return n > sizeof(mark) && strncmp(name + n - sizeof(mark), mark, sizeof(mark) - 1) == 0 &&
           name[n - 1] >= '0' && name[n - 1] < '0' + CHECKOUT_SLOTS;
}

/* ---- slots ---- */

struct slots {
    char *stem; /* the mirror's path without .git */
    struct pj_git_repo *repo;
    const char *tree;
    const struct pj_git_net *net;
    struct pj_err *err;
};

static char *slot_dir(const struct slots *s, unsigned slot)
{
    return pj_asprintf("%s.tree%u", s->stem, slot);
}

/* -1: it cannot be had now. */
static int lock_slot(const char *dir, int how)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s.use", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0 && flock(fd, how | LOCK_NB) < 0)
        pj_fd_close(&fd);
    return fd;
}

/* With the shared lock held: is it what we want, and as it was left? */
static bool is_sound(const struct slots *s, const char *dir, struct seal *seal)
{
    struct seal now;
    struct pj_err ignored;

    return read_seal(dir, seal) == 0 && strcmp(seal->tree, s->tree) == 0 &&
           make_seal(dir, s->tree, &now, &ignored) == 0 && strcmp(now.boot, seal->boot) == 0 &&
           strcmp(now.digest, seal->digest) == 0;
}

/* Use slot `dir` if it holds our tree; takes `use`, a descriptor with the shared lock. */
static int take_slot(const struct slots *s, char **dir, int use, struct checkout *out)
{
    struct seal seal;

    if (use < 0 || !is_sound(s, *dir, &seal)) {
        pj_fd_close(&use);
        return PJ_NONE;
    }
    (void)futimens(use, NULL);
    out->dir = *dir;
    *dir = NULL;
    out->use = use;
    out->files = seal.files;
    out->size = seal.size;
    return 0;
}

static int find(const struct slots *s, struct checkout *out)
{
    for (unsigned i = 0; i < CHECKOUT_SLOTS; i++) {
        PJ_CLEANUP(pj_freep) char *dir = slot_dir(s, i);
        struct seal seal;
        if (read_seal(dir, &seal) == 0 && strcmp(seal.tree, s->tree) == 0 &&
            take_slot(s, &dir, lock_slot(dir, LOCK_SH), out) == 0)
            return 0;
    }
    return PJ_NONE;
}

/* The slot nobody uses that holds a broken copy of ours, else nothing, else what was used longest ago; locked exclusively. */
static int pick_slot(const struct slots *s, char **dir, int *use)
{
    int64_t best = INT64_MAX;

    for (unsigned i = 0; i < CHECKOUT_SLOTS; i++) {
        PJ_CLEANUP(pj_freep) char *path = slot_dir(s, i);
        struct seal seal;
        struct stat st;
        int fd = lock_slot(path, LOCK_EX);
        if (fd < 0)
            continue;
        int64_t used = fstat(fd, &st) == 0 ? (int64_t)st.st_mtim.tv_sec : 0;
        if (read_seal(path, &seal) != 0)
            used = -1;
        else if (strcmp(seal.tree, s->tree) == 0)
            used = -2;
        if (used >= best) {
            close(fd);
            continue;
        }
        best = used;
        pj_fd_close(use);
        free(*dir);
        *dir = path;
        path = NULL;
        *use = fd;
    }
    return *use >= 0 ? 0 : PJ_NONE;
}

static int write_out(const struct slots *s, const char *dir)
{
    struct seal seal;

    if (checkout_unseal(dir, s->err) < 0 || pj_fs_remove_tree(dir, s->err) < 0 ||
        pj_fs_mkdirs(dir, 0755, s->err) < 0)
        return -1;
    PJ_CLEANUP(pj_closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return pj_fail_errno(s->err, errno, "open %s", dir);
    if (pj_git_export(s->repo, s->tree, fd, s->net, s->err) < 0) {
        struct pj_err left;
        if (pj_fs_remove_tree(dir, &left) < 0) /* half of a repository is of no use to anybody */
            (void)pj_err_wrap(s->err, "(and %s is left)", dir);
        return -1;
    }
    if (make_seal(dir, s->tree, &seal, s->err) < 0)
        return -1;
    return write_seal(dir, &seal, s->err);
}

/* With the lock of writers held. */
static int make(const struct slots *s, struct checkout *out)
{
    PJ_CLEANUP(pj_freep) char *dir = NULL;
    PJ_CLEANUP(pj_closep) int use = -1;

    if (find(s, out) == 0)
        return 0; /* who had the lock before us made it */
    if (pick_slot(s, &dir, &use) != 0)
        return PJ_NONE;
    if (write_out(s, dir) < 0)
        return -1;
    /* Between the two locks somebody may clear the cache: hence the second look. */
    int shared = use;
    use = -1;
    if (flock(shared, LOCK_SH | LOCK_NB) < 0)
        pj_fd_close(&shared);
    return take_slot(s, &dir, shared, out);
}

static int lock_writers(const struct slots *s, int *out)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s.tree.lock", s->stem);
    PJ_CLEANUP(pj_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int64_t until = pj_mono_ms() + WAIT_MAX_MS;

    if (fd < 0)
        return pj_fail_errno(s->err, errno, "open %s", path);
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return pj_fail_errno(s->err, errno, "lock %s", path);
        if (pj_mono_ms() >= until)
            return PJ_NONE;
        if (pj_http_pause(WAIT_STEP_MS, s->net->pump, s->err) < 0)
            return -1;
    }
    *out = fd;
    fd = -1;
    return 0;
}

int checkout_open(const char *mirror, struct pj_git_repo *repo, const char *tree,
                  const struct pj_git_net *net, struct checkout *out, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *stem = pj_strndup(mirror, strlen(mirror) - strlen(".git"));
    PJ_CLEANUP(pj_closep) int writers = -1;
    struct slots slots = {.stem = stem, .repo = repo, .tree = tree, .net = net, .err = err};

    *out = (struct checkout){.use = -1};
    if (find(&slots, out) == 0)
        return 0;
    int rc = lock_writers(&slots, &writers);
    return rc != 0 ? rc : make(&slots, out);
}

void checkout_close(struct checkout *checkout)
{
    pj_fd_close(&checkout->use);
    free(checkout->dir);
    checkout->dir = NULL;
}
