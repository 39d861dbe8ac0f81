#include "sandbox/carry.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include "sandbox/step.h"

struct carried *carry_new(void)
{
    void *p = mmap(NULL, sizeof(struct carried), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

void carry_free(struct carried *c)
{
    if (c)
        munmap(c, sizeof *c);
}

/* NULL when there is no room. */
static void *take(struct carried *c, size_t n)
{
    const size_t align = alignof(max_align_t);
    size_t at = (c->used + align - 1) / align * align;

    if (at > sizeof c->bytes || n > sizeof c->bytes - at)
        return NULL;
    c->used = at + n;
    return c->bytes + at;
}

/* False when there is no room. NULL stays NULL. */
static bool copy_text(struct carried *c, const char *text, char **out)
{
    size_t n = text ? strlen(text) + 1 : 0;

    *out = text ? take(c, n) : NULL;
    if (*out)
        memcpy(*out, text, n);
    return *out || !text;
}

static bool copy_list(struct carried *c, char *const *list, char ***out)
{
    size_t n = 0;

    while (list[n])
        n++;
    *out = take(c, (n + 1) * sizeof **out);
    if (!*out)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!copy_text(c, list[i], &(*out)[i]))
            return false;
    }
    (*out)[n] = NULL;
    return true;
}

static bool copy_mount(struct carried *c, const struct plan_mount *from, struct plan_mount *to)
{
    *to = *from;
    to->fd = to->upper_fd = -1;
    return copy_text(c, from->src, &to->src) && copy_text(c, from->dst, &to->dst) &&
           copy_text(c, from->data, &to->data);
}

static bool copy_all(struct carried *c, const struct plan *plan)
{
    char **command, *cwd;

    if (!copy_list(c, plan->spec->command, &command) || !copy_list(c, plan->envp, &c->plan.envp) ||
        !copy_text(c, plan->cwd, &cwd))
        return false;
    c->spec.command = command;
    c->plan.cwd = cwd;
    for (size_t i = plan->system_count; i < plan->mount_count; i++) {
        if (!copy_mount(c, &plan->mounts[i], &c->plan.mounts[i]))
            return false;
    }
    return true;
}

int carry_plan(struct carried *c, const struct plan *plan, struct pj_err *err)
{
    const struct spec *spec = plan->spec;

    c->spec.gateway_count = spec->gateway_count;
    for (size_t i = 0; i < spec->gateway_count; i++)
        c->spec.gateways[i].port = spec->gateways[i].port;
    c->spec.allow_count = spec->allow_count;
    c->spec.tree_fd = spec->tree_fd;
    c->plan.spec = &c->spec;
    c->plan.root = plan->root;
    c->plan.host_uid = plan->host_uid;
    c->plan.host_gid = plan->host_gid;
    c->plan.mount_count = plan->mount_count;
    c->plan.system_count = plan->system_count;
    c->plan.env_count = plan->env_count;
    c->plan.landlock_abi = plan->landlock_abi;
    if (!copy_all(c, plan))
        return step_fail(err, "order", E2BIG, "start such a box without --standby",
                         "the order is larger than a box that stands by can take");
    return 0;
}
