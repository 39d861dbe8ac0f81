/* GitHub's REST API, as far as clients of ours use it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/support/forge_impl.h"

static char *bare_path(const struct forge_server *f, const char *repo)
{
    return pj_asprintf("%s/%s.git", f->root, repo);
}

static void repo_get(struct forge_server *f, const char *repo, struct stand_in_exchange *x)
{
    PJ_CLEANUP(pj_freep) char *head_path = pj_asprintf("%s/%s.git/HEAD", f->root, repo);
    PJ_CLEANUP(pj_str_release) struct pj_str head;
    struct pj_err err = {0};
    char branch[200] = "main";

    pj_str_init(&head, 1000);
    if (pj_fs_read(head_path, &head, &err) < 0) {
        forge_error(f, x, 404, "Not Found");
        return;
    }
    (void)sscanf(pj_str_cstr(&head), "ref: refs/heads/%199s", branch);
    forge_json(f, x, 200,
               json_pack("{s:i, s:s, s:s, s:b, s:b, s:{s:b, s:b, s:b}}", "id", 1, "full_name", repo,
                         "default_branch", branch, "private", 1, "archived", 0, "permissions",
                         "admin", 0, "push", 1, "pull", 1));
}

bool forge_has_file(struct forge_server *f, const char *repo, const char *ref, const char *path)
{
    PJ_CLEANUP(pj_freep) char *bare = bare_path(f, repo);
    PJ_CLEANUP(pj_freep)
    char *command = pj_asprintf("git -c safe.directory='*' --git-dir='%s' cat-file -e '%s:%s' "
                                "2>/dev/null",
                                bare, ref, path);
    FILE *p = strpbrk(path, "'\\") || strpbrk(ref, "'\\") ? NULL : popen(command, "re");

    return p && pclose(p) == 0;
}

/* Under the lock; borrowed. */
json_t *forge_pulls_of(struct forge_server *f, const char *repo)
{
    json_t *list = json_object_get(f->pulls, repo);

    if (!list) {
        list = json_array();
        json_object_set_new(f->pulls, repo, list);
    }
    return list;
}

bool forge_query(const char *query, const char *name, char *out, size_t size)
{
    struct pj_view rest = pj_view_of(query), part;
    size_t n = strlen(name);

    while (pj_view_cut(&rest, '&', &part)) {
        if (part.n <= n || strncmp(part.p, name, n) != 0 || part.p[n] != '=')
            continue;
        size_t k = 0;
        for (size_t i = n + 1; i < part.n && k + 1 < size; i++) {
            unsigned byte;

            if (part.p[i] == '%' && i + 2 < part.n && sscanf(part.p + i + 1, "%2x", &byte) == 1) {
                out[k++] = (char)byte;
                i += 2;
            } else {
                out[k++] = part.p[i];
            }
        }
        out[k] = '\0';
        return true;
    }
    return false;
}

static void pulls_list(struct forge_server *f, const char *repo, const char *query,
                       struct stand_in_exchange *x)
{
    char head[300] = "", state[20] = "open";
    json_t *found = json_array(), *pull;
    size_t i;

    forge_query(query, "head", head, sizeof head);
    forge_query(query, "state", state, sizeof state);
    const char *branch = strchr(head, ':');
    pthread_mutex_lock(&f->lock);
    json_array_foreach(forge_pulls_of(f, repo), i, pull)
    {
        const char *ref = pj_json_str(json_object_get(pull, "head"), "ref", "");

        if (*head && strcmp(ref, branch ? branch + 1 : head) != 0)
            continue;
        if (strcmp(state, "all") != 0 && strcmp(pj_json_str(pull, "state", ""), state) != 0)
            continue;
        json_array_append_new(found, json_deep_copy(pull));
    }
    pthread_mutex_unlock(&f->lock);
    forge_json(f, x, 200, found);
}

static bool has_branch(struct forge_server *f, const char *repo, const char *branch)
{
    PJ_CLEANUP(pj_freep)
    char *command = pj_asprintf("git -c safe.directory='*' --git-dir='%s/%s.git' rev-parse -q "
                                "--verify 'refs/heads/%s' >/dev/null 2>&1",
                                f->root, repo, branch);
    FILE *p = strchr(branch, '\'') ? NULL : popen(command, "re");

    return p && pclose(p) == 0;
}

static json_t *new_pull(struct forge_server *f, const char *repo, const json_t *want)
{
    char url[400];
    const char *slash = strchr(repo, '/');
    char *owner = pj_strndup(repo, (size_t)(slash - repo));
    int number = f->next_number++;

    snprintf(url, sizeof url, "%s/%s/pull/%d", stand_in_url(f->http), repo, number);
    json_t *pull = json_pack(
        "{s:i, s:i, s:s, s:s, s:s?, s:s, s:b, s:{s:s, s:{s:s}}, s:{s:s}, s:b}", "id", 1000 + number,
        "number", number, "state", "open", "title", pj_json_str(want, "title", ""), "body",
        pj_json_str(want, "body", NULL), "html_url", url, "draft",
        pj_json_bool(want, "draft", false), "head", "ref", pj_json_str(want, "head", ""), "user",
        "login", owner, "base", "ref", pj_json_str(want, "base", ""), "merged", 0);
    free(owner);
    json_array_append_new(forge_pulls_of(f, repo), pull);
    return pull;
}

static const json_t *open_pull_of(struct forge_server *f, const char *repo, const char *branch)
{
    size_t i;
    json_t *pull;

    json_array_foreach(forge_pulls_of(f, repo), i, pull)
    {
        if (strcmp(pj_json_str(json_object_get(pull, "head"), "ref", ""), branch) == 0 &&
            strcmp(pj_json_str(pull, "state", ""), "open") == 0)
            return pull;
    }
    return NULL;
}

static void validation_failed(struct forge_server *f, struct stand_in_exchange *x,
                              const char *field, const char *message)
{
    forge_json(f, x, 422,
               json_pack("{s:s, s:[{s:s, s:s, s:s, s:s}], s:s}", "message", "Validation Failed",
                         "errors", "resource", "PullRequest", "code", "custom", "field", field,
                         "message", message, "documentation_url", "https://docs.github.com/rest"));
}

static void pulls_create(struct forge_server *f, const char *repo, const struct stand_in_request *r,
                         struct stand_in_exchange *x)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *want = json_loadb(r->body, r->body_len, 0, NULL);
    const char *head = pj_json_str(want, "head", ""), *colon = strchr(head, ':');
    const char *branch = colon ? colon + 1 : head;
    char message[300];

    if (!*pj_json_str(want, "title", "")) {
        validation_failed(f, x, "title", "title is missing");
        return;
    }
    if (!has_branch(f, repo, branch) || !has_branch(f, repo, pj_json_str(want, "base", ""))) {
        validation_failed(f, x, "head", "head or base is no branch");
        return;
    }
    json_object_set_new(want, "head", json_string(branch));
    pthread_mutex_lock(&f->lock);
    if (open_pull_of(f, repo, pj_json_str(want, "head", ""))) {
        pthread_mutex_unlock(&f->lock);
        snprintf(message, sizeof message, "A pull request already exists for %s:%s.", "owner",
                 pj_json_str(want, "head", ""));
        validation_failed(f, x, "head", message);
        return;
    }
    json_t *made = json_deep_copy(new_pull(f, repo, want));
    bool cut = f->cut_after_create;
    f->cut_after_create = false;
    pthread_mutex_unlock(&f->lock);
    if (cut) {
        json_decref(made);
        stand_in_cut(x);
        return;
    }
    forge_json(f, x, 201, made);
}

/* Under the lock; borrowed. */
json_t *forge_pull_numbered(struct forge_server *f, const char *repo, int number)
{
    size_t i;
    json_t *pull;

    json_array_foreach(forge_pulls_of(f, repo), i, pull)
    {
        if (pj_json_i64(pull, "number", 0) == number)
            return pull;
    }
    return NULL;
}

static void pull_get(struct forge_server *f, const char *repo, int number,
                     struct stand_in_exchange *x)
{
    pthread_mutex_lock(&f->lock);
    json_t *pull = json_deep_copy(forge_pull_numbered(f, repo, number));
    pthread_mutex_unlock(&f->lock);
    if (pull)
        forge_json(f, x, 200, pull);
    else
        forge_error(f, x, 404, "Not Found");
}

/* ---- comments, of issues and pull requests alike ---- */

/* Under the lock; borrowed. */
static json_t *comments_of(struct forge_server *f, const char *repo, int number)
{
    PJ_CLEANUP(pj_freep) char *key = pj_asprintf("%s#%d", repo, number);
    json_t *list = json_object_get(f->comments, key);

    if (!list) {
        list = json_array();
        json_object_set_new(f->comments, key, list);
    }
    return list;
}

json_t *forge_server_comments(struct forge_server *f, const char *repo, int number)
{
    pthread_mutex_lock(&f->lock);
    json_t *copy = json_deep_copy(comments_of(f, repo, number));
    pthread_mutex_unlock(&f->lock);
    return copy;
}

static void comment_create(struct forge_server *f, const char *repo, int number,
                           const struct stand_in_request *r, struct stand_in_exchange *x)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *want = json_loadb(r->body, r->body_len, 0, NULL);
    json_t *made = json_pack("{s:s}", "body", pj_json_str(want, "body", ""));

    pthread_mutex_lock(&f->lock);
    json_array_append_new(comments_of(f, repo, number), json_deep_copy(made));
    pthread_mutex_unlock(&f->lock);
    forge_json(f, x, 201, made);
}

static void comments_get(struct forge_server *f, const char *repo, int number,
                         struct stand_in_exchange *x)
{
    pthread_mutex_lock(&f->lock);
    json_t *list = json_deep_copy(comments_of(f, repo, number));
    pthread_mutex_unlock(&f->lock);
    forge_json(f, x, 200, list);
}

static void permission_get(struct forge_server *f, const char *path, struct stand_in_exchange *x)
{
    char login[80] = "";

    (void)sscanf(path, "/collaborators/%79[^/]", login);
    pthread_mutex_lock(&f->lock);
    const char *role = pj_json_str(f->roles, login, "none");
    pthread_mutex_unlock(&f->lock);
    forge_json(f, x, 200,
               json_pack("{s:s, s:s, s:n}", "permission", role, "role_name", role, "user"));
}

static void labels_add(struct forge_server *f, const char *repo, int number,
                       const struct stand_in_request *r, struct stand_in_exchange *x)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *want = json_loadb(r->body, r->body_len, 0, NULL);
    const json_t *names = json_is_array(want) ? want : json_object_get(want, "labels");
    json_t *made = json_array(), *name;
    size_t i;

    json_array_foreach(names, i, name)
        json_array_append_new(made, json_pack("{s:O}", "name", name));
    pthread_mutex_lock(&f->lock);
    json_t *pull = forge_pull_numbered(f, repo, number);
    if (pull)
        json_object_set_new(pull, "labels", json_deep_copy(made));
    pthread_mutex_unlock(&f->lock);
    forge_json(f, x, 200, made);
}

/* Adds to what was asked for before. */
static void reviewers_add(struct forge_server *f, const char *repo, int number,
                          const struct stand_in_request *r, struct stand_in_exchange *x)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *want = json_loadb(r->body, r->body_len, 0, NULL);

    pthread_mutex_lock(&f->lock);
    json_t *pull = forge_pull_numbered(f, repo, number);
    if (pull != NULL)
        json_object_set(pull, "asked", want);
    json_t *made = json_deep_copy(pull);
    pthread_mutex_unlock(&f->lock);
    if (made == NULL) {
        forge_error(f, x, 404, "Not Found");
        return;
    }
    (void)json_object_del(made, "asked");
    forge_json(f, x, 201, made);
}

/* ---- the calls ---- */

static void issue_call(struct forge_server *f, const char *repo, const char *path,
                       const struct stand_in_request *r, struct stand_in_exchange *x)
{
    bool get = strcmp(r->method, "GET") == 0;
    char what[40] = "";
    int number = 0;

    (void)sscanf(path, "/issues/%d/%39s", &number, what);
    if (strcmp(what, "comments") == 0 && get)
        comments_get(f, repo, number, x);
    else if (strcmp(what, "comments") == 0)
        comment_create(f, repo, number, r, x);
    else if (strcmp(what, "labels") == 0 && !get)
        labels_add(f, repo, number, r, x);
    else
        forge_error(f, x, 404, "Not Found");
}

void forge_rest(struct forge_server *f, const char *path, const struct stand_in_request *r,
                struct stand_in_exchange *x)
{
    const char *slash = strchr(path, '/');
    const char *end = slash ? strchrnul(slash + 1, '/') : NULL;
    bool get = strcmp(r->method, "GET") == 0, post = strcmp(r->method, "POST") == 0;
    char what[21] = "";
    int number = 0;

    if (!end) {
        forge_error(f, x, 404, "Not Found");
        return;
    }
    PJ_CLEANUP(pj_freep) char *repo = pj_strndup(path, (size_t)(end - path));
    PJ_CLEANUP(pj_freep) char *bare = bare_path(f, repo);
    if (strstr(repo, "..") || !pj_fs_exists(bare))
        forge_error(f, x, 404, "Not Found");
    else if (get && *end == '\0')
        repo_get(f, repo, x);
    else if (strncmp(end, "/actions/", 9) == 0)
        forge_actions(f, repo, end + 9, r, x);
    else if (get && strncmp(end, "/collaborators/", 15) == 0)
        permission_get(f, end, x);
    else if (get && strncmp(end, "/rules/branches/", 16) == 0)
        forge_json(f, x, 200, json_array()); /* none: forge_server_fail() sets some */
    else if (get && strcmp(end, "/pulls") == 0)
        pulls_list(f, repo, r->query, x);
    else if (post && strcmp(end, "/pulls") == 0)
        pulls_create(f, repo, r, x);
    else if (strncmp(end, "/issues/", 8) == 0)
        issue_call(f, repo, end, r, x);
    else if (post && sscanf(end, "/pulls/%d/%20s", &number, what) == 2 &&
             strcmp(what, "requested_reviewers") == 0)
        reviewers_add(f, repo, number, r, x);
    else if (get && sscanf(end, "/pulls/%d", &number) == 1)
        pull_get(f, repo, number, x);
    else
        forge_error(f, x, 404, "Not Found");
}
