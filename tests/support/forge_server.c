#include "tests/support/forge_server.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/support/forge_git.h"

#define API "/api/v3"
#define RULES_MAX 32

struct rule {
    char *method, *path_part, *headers, *body;
    unsigned times;
    int status;
};

struct forge_server {
    struct stand_in *http;
    char *root;
    char host[40];
    pthread_mutex_t lock; /* guards what follows */
    struct rule rules[RULES_MAX];
    size_t rule_count;
    json_t *pulls; /* "owner/name" -> array */
    int next_number;
    bool cut_after_create, revoked;
    size_t refused;
};

/* ---- who is asking ---- */

static void base64_decode(const char *text, char *out, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned bits = 0, have = 0;
    size_t n = 0;

    for (; *text && *text != '=' && n + 1 < size; text++) {
        const char *at = strchr(digits, *text);

        if (!at)
            break;
        bits = bits << 6 | (unsigned)(at - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (char)(bits >> have & 0xff);
        }
    }
    out[n] = '\0';
}

static bool token_ok(const struct stand_in_request *r)
{
    const char *auth = stand_in_header(r, "authorization");
    char plain[256];

    if (!auth)
        return false;
    if (strncasecmp(auth, "basic ", 6) == 0) {
        base64_decode(auth + 6, plain, sizeof plain);
        const char *colon = strchr(plain, ':');

        return colon && strcmp(colon + 1, FORGE_TOKEN) == 0;
    }
    const char *space = strchr(auth, ' ');
    return space && strcmp(space + 1, FORGE_TOKEN) == 0;
}

static bool allowed(struct forge_server *f, const struct stand_in_request *r)
{
    pthread_mutex_lock(&f->lock);
    bool ok = !f->revoked && token_ok(r);
    f->refused += !ok;
    pthread_mutex_unlock(&f->lock);
    return ok;
}

/* ---- answers ---- */

static void send_json(struct stand_in_exchange *x, int status, json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT);

    stand_in_add_header(x, "X-GitHub-Request-Id", "STAND:IN:1");
    stand_in_reply_text(x, status, "application/json; charset=utf-8", text);
    free(text);
    json_decref(doc);
}

static void send_error(struct stand_in_exchange *x, int status, const char *message)
{
    send_json(x, status,
              json_pack("{s:s, s:s}", "message", message, "documentation_url",
                        "https://docs.github.com/rest"));
}

static void add_headers(struct stand_in_exchange *x, const char *headers)
{
    struct pj_view rest = pj_view_of(headers), line;

    while (pj_view_cut(&rest, '\n', &line)) {
        const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;

        if (!colon)
            continue;
        char *name = pj_strndup(line.p, (size_t)(colon - line.p));
        struct pj_view v = pj_view_trim(
            pj_view_n(colon + 1, line.n - (size_t)(colon + 1 - line.p)));
        char *value = pj_strndup(v.p, v.n);

        stand_in_add_header(x, name, value);
        free(name);
        free(value);
    }
}

/* True when a rule answered. */
static bool scripted_failure(struct forge_server *f, const struct stand_in_request *r,
                             struct stand_in_exchange *x)
{
    struct rule *hit = NULL;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->rule_count && !hit; i++) {
        struct rule *rule = &f->rules[i];

        if (rule->times == 0 || (rule->method && strcmp(rule->method, r->method) != 0) ||
            !strstr(r->path, rule->path_part))
            continue;
        rule->times--;
        hit = rule;
    }
    pthread_mutex_unlock(&f->lock);
    if (!hit)
        return false;
    add_headers(x, hit->headers);
    if (hit->body)
        stand_in_reply_text(x, hit->status, "application/json", hit->body);
    else
        send_error(x, hit->status, "the stand-in was told to fail");
    return true;
}

/* ---- REST ---- */

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
        send_error(x, 404, "Not Found");
        return;
    }
    (void)sscanf(pj_str_cstr(&head), "ref: refs/heads/%199s", branch);
    send_json(x, 200,
              json_pack("{s:i, s:s, s:s, s:b, s:b, s:{s:b, s:b, s:b}}", "id", 1, "full_name", repo,
                        "default_branch", branch, "private", 1, "archived", 0, "permissions",
                        "admin", 0, "push", 1, "pull", 1));
}

/* Is there a file of this path at HEAD? Asked of git itself. */
static bool has_file(const char *bare, const char *path)
{
    PJ_CLEANUP(pj_freep)
    char *command = pj_asprintf("git -c safe.directory='*' --git-dir='%s' cat-file -e 'HEAD:%s' "
                                "2>/dev/null",
                                bare, path);
    FILE *p = popen(command, "re");

    return p && pclose(p) == 0;
}

static void contents_get(struct forge_server *f, const char *repo, const char *path,
                         struct stand_in_exchange *x)
{
    PJ_CLEANUP(pj_freep) char *bare = bare_path(f, repo);

    if (!strpbrk(path, "'\\") && has_file(bare, path))
        send_json(x, 200, json_pack("{s:s, s:s}", "type", "file", "path", path));
    else
        send_error(x, 404, "Not Found");
}

/* Under the lock; borrowed. */
static json_t *pulls_of(struct forge_server *f, const char *repo)
{
    json_t *list = json_object_get(f->pulls, repo);

    if (!list) {
        list = json_array();
        json_object_set_new(f->pulls, repo, list);
    }
    return list;
}

static bool query_value(const char *query, const char *name, char *out, size_t size)
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

    query_value(query, "head", head, sizeof head);
    query_value(query, "state", state, sizeof state);
    const char *branch = strchr(head, ':');
    pthread_mutex_lock(&f->lock);
    json_array_foreach(pulls_of(f, repo), i, pull)
    {
        const char *ref = pj_json_str(json_object_get(pull, "head"), "ref", "");

        if (*head && strcmp(ref, branch ? branch + 1 : head) != 0)
            continue;
        if (strcmp(state, "all") != 0 && strcmp(pj_json_str(pull, "state", ""), state) != 0)
            continue;
        json_array_append_new(found, json_deep_copy(pull));
    }
    pthread_mutex_unlock(&f->lock);
    send_json(x, 200, found);
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
        "{s:i, s:i, s:s, s:s, s:s?, s:s, s:b, s:{s:s, s:{s:s}}, s:{s:s}, s:[], s:b}", "id",
        1000 + number, "number", number, "state", "open", "title", pj_json_str(want, "title", ""),
        "body", pj_json_str(want, "body", NULL), "html_url", url, "draft",
        pj_json_bool(want, "draft", false), "head", "ref", pj_json_str(want, "head", ""), "user",
        "login", owner, "base", "ref", pj_json_str(want, "base", ""), "comments_list", "merged", 0);
    free(owner);
    json_array_append_new(pulls_of(f, repo), pull);
    return pull;
}

static const json_t *open_pull_of(struct forge_server *f, const char *repo, const char *branch)
{
    size_t i;
    json_t *pull;

    json_array_foreach(pulls_of(f, repo), i, pull)
    {
        if (strcmp(pj_json_str(json_object_get(pull, "head"), "ref", ""), branch) == 0 &&
            strcmp(pj_json_str(pull, "state", ""), "open") == 0)
            return pull;
    }
    return NULL;
}

static void validation_failed(struct stand_in_exchange *x, const char *field, const char *message)
{
    send_json(x, 422,
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
        validation_failed(x, "title", "title is missing");
        return;
    }
    if (!has_branch(f, repo, branch) || !has_branch(f, repo, pj_json_str(want, "base", ""))) {
        validation_failed(x, "head", "head or base is no branch");
        return;
    }
    json_object_set_new(want, "head", json_string(branch));
    pthread_mutex_lock(&f->lock);
    if (open_pull_of(f, repo, pj_json_str(want, "head", ""))) {
        pthread_mutex_unlock(&f->lock);
        snprintf(message, sizeof message, "A pull request already exists for %s:%s.", "owner",
                 pj_json_str(want, "head", ""));
        validation_failed(x, "head", message);
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
    send_json(x, 201, made);
}

/* Under the lock; borrowed. */
static json_t *pull_numbered(struct forge_server *f, const char *repo, int number)
{
    size_t i;
    json_t *pull;

    json_array_foreach(pulls_of(f, repo), i, pull)
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
    json_t *pull = json_deep_copy(pull_numbered(f, repo, number));
    pthread_mutex_unlock(&f->lock);
    if (pull)
        send_json(x, 200, pull);
    else
        send_error(x, 404, "Not Found");
}

static void comment_create(struct forge_server *f, const char *repo, int number,
                           const struct stand_in_request *r, struct stand_in_exchange *x)
{
    json_t *comment = json_loadb(r->body, r->body_len, 0, NULL);

    pthread_mutex_lock(&f->lock);
    json_t *pull = pull_numbered(f, repo, number);
    if (pull && comment)
        json_array_append(json_object_get(pull, "comments_list"), comment);
    pthread_mutex_unlock(&f->lock);
    if (pull && comment) {
        send_json(x, 201, comment);
        return;
    }
    json_decref(comment);
    send_error(x, 404, "Not Found");
}

static void comments_get(struct forge_server *f, const char *repo, int number,
                         struct stand_in_exchange *x)
{
    pthread_mutex_lock(&f->lock);
    json_t *list = json_deep_copy(json_object_get(pull_numbered(f, repo, number), "comments_list"));
    pthread_mutex_unlock(&f->lock);
    if (list)
        send_json(x, 200, list);
    else
        send_error(x, 404, "Not Found");
}

/* `path` begins after "/api/v3/repos/". */
static void serve_repo_api(struct forge_server *f, const char *path,
                           const struct stand_in_request *r, struct stand_in_exchange *x)
{
    const char *slash = strchr(path, '/');
    const char *end = slash ? strchrnul(slash + 1, '/') : NULL;
    bool get = strcmp(r->method, "GET") == 0, post = strcmp(r->method, "POST") == 0;
    int number = 0;
    char rest_word[40] = "";

    if (!end) {
        send_error(x, 404, "Not Found");
        return;
    }
    PJ_CLEANUP(pj_freep) char *repo = pj_strndup(path, (size_t)(end - path));
    PJ_CLEANUP(pj_freep) char *bare = bare_path(f, repo);
    if (strstr(repo, "..") || !pj_fs_exists(bare))
        send_error(x, 404, "Not Found");
    else if (get && *end == '\0')
        repo_get(f, repo, x);
    else if (get && strncmp(end, "/contents/", 10) == 0)
        contents_get(f, repo, end + 10, x);
    else if (get && strcmp(end, "/pulls") == 0)
        pulls_list(f, repo, r->query, x);
    else if (post && strcmp(end, "/pulls") == 0)
        pulls_create(f, repo, r, x);
    else if (get && sscanf(end, "/issues/%d/%39s", &number, rest_word) == 2 &&
             strcmp(rest_word, "comments") == 0)
        comments_get(f, repo, number, x);
    else if (post && sscanf(end, "/issues/%d/%39s", &number, rest_word) == 2 &&
             strcmp(rest_word, "comments") == 0)
        comment_create(f, repo, number, r, x);
    else if (get && sscanf(end, "/pulls/%d/%39s", &number, rest_word) == 2)
        send_json(x, 200, json_array());
    else if (get && sscanf(end, "/pulls/%d", &number) == 1)
        pull_get(f, repo, number, x);
    else
        send_error(x, 404, "Not Found");
}

/* ---- git ---- */

static void serve_git(struct forge_server *f, const struct stand_in_request *r,
                      struct stand_in_exchange *x)
{
    const char *slash = strchr(r->path + 1, '/');
    const char *end = slash ? strchrnul(slash + 1, '/') : r->path;
    size_t n = (size_t)(end - r->path);
    bool dotted = n > 4 && strncmp(end - 4, ".git", 4) == 0;
    PJ_CLEANUP(pj_freep)
    char *path = pj_asprintf("%.*s%s%s", (int)n, r->path, dotted ? "" : ".git", end);

    if (strstr(path, "..")) {
        stand_in_reply_text(x, 404, "text/plain", "not found\n");
        return;
    }
    forge_git_serve(f->root, path, r, x);
}

static void on_request(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    struct forge_server *f = ctx;
    bool api = strncmp(r->path, API "/", sizeof API) == 0;

    if (scripted_failure(f, r, x))
        return;
    if (!allowed(f, r)) {
        if (api) {
            send_error(x, 401, "Bad credentials");
            return;
        }
        stand_in_add_header(x, "WWW-Authenticate", "Basic realm=\"GitHub\"");
        stand_in_reply_text(x, 401, "text/plain", "authentication required\n");
        return;
    }
    if (!api)
        serve_git(f, r, x);
    else if (strncmp(r->path, API "/repos/", sizeof API + 6) == 0)
        serve_repo_api(f, r->path + sizeof API + 6, r, x);
    else
        send_error(x, 404, "Not Found");
}

/* ---- for the test ---- */

struct forge_server *forge_server_start(const char *root)
{
    struct forge_server *f = pj_alloc(1, sizeof *f);

    pthread_mutex_init(&f->lock, NULL);
    f->root = pj_strdup(root);
    f->pulls = json_object();
    f->next_number = 1;
    f->http = stand_in_start(0, on_request, f);
    snprintf(f->host, sizeof f->host, "127.0.0.1:%u", (unsigned)stand_in_port(f->http));
    return f;
}

void forge_server_stop(struct forge_server *f)
{
    if (!f)
        return;
    stand_in_stop(f->http);
    for (size_t i = 0; i < f->rule_count; i++) {
        free(f->rules[i].method);
        free(f->rules[i].path_part);
        free(f->rules[i].headers);
        free(f->rules[i].body);
    }
    json_decref(f->pulls);
    free(f->root);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

const char *forge_server_url(const struct forge_server *f)
{
    return stand_in_url(f->http);
}

const char *forge_server_host(const struct forge_server *f)
{
    return f->host;
}

char *forge_server_repo_url(const struct forge_server *f, const char *repo)
{
    return pj_asprintf("%s/%s", stand_in_url(f->http), repo);
}

void forge_server_forges(const struct forge_server *f, const char *kind, bool with_token,
                         const char *path)
{
    PJ_CLEANUP(pj_freep) char *api_url = pj_asprintf("%s" API, stand_in_url(f->http));
    json_t *entry = json_pack("{s:s, s:s, s:b}", "host", f->host, "kind", kind, "insecure", 1);
    json_t *doc = json_pack("[o]", entry);
    struct pj_err err = {0};

    if (strcmp(kind, "git") != 0)
        json_object_set_new(entry, "apiUrl", json_string(api_url));
    if (with_token)
        json_object_set_new(entry, "token", json_string(FORGE_TOKEN));
    PJ_CLEANUP(pj_freep) char *text = pj_json_text(doc);
    json_decref(doc);
    if (pj_fs_write_atomic(path, text, strlen(text), 0600, &err) < 0) {
        fprintf(stderr, "forge_server: %s\n", err.message);
        abort();
    }
}

void forge_server_fail(struct forge_server *f, const char *method, const char *path_part,
                       unsigned times, int status, const char *headers, const char *body)
{
    pthread_mutex_lock(&f->lock);
    if (f->rule_count == RULES_MAX)
        abort();
    f->rules[f->rule_count++] = (struct rule){
        .method = pj_strdup_or_null(method),
        .path_part = pj_strdup(path_part),
        .headers = pj_strdup_or_null(headers),
        .body = pj_strdup_or_null(body),
        .times = times,
        .status = status,
    };
    pthread_mutex_unlock(&f->lock);
}

void forge_server_cut_after_create(struct forge_server *f)
{
    pthread_mutex_lock(&f->lock);
    f->cut_after_create = true;
    pthread_mutex_unlock(&f->lock);
}

void forge_server_revoke(struct forge_server *f, bool revoked)
{
    pthread_mutex_lock(&f->lock);
    f->revoked = revoked;
    pthread_mutex_unlock(&f->lock);
}

json_t *forge_server_pulls(struct forge_server *f, const char *repo)
{
    pthread_mutex_lock(&f->lock);
    json_t *copy = json_deep_copy(pulls_of(f, repo));
    pthread_mutex_unlock(&f->lock);
    return copy;
}

void forge_server_set_pull_state(struct forge_server *f, const char *repo, int number,
                                 const char *state)
{
    pthread_mutex_lock(&f->lock);
    json_t *pull = pull_numbered(f, repo, number);
    if (!pull)
        abort();
    json_object_set_new(pull, "state", json_string(state));
    pthread_mutex_unlock(&f->lock);
}

struct stand_in *forge_server_stand_in(struct forge_server *f)
{
    return f->http;
}

size_t forge_server_count(struct forge_server *f, const char *method, const char *path_part)
{
    size_t n = 0;

    for (size_t i = 0;; i++) {
        const struct stand_in_request *r = stand_in_request_at(f->http, i);

        if (!r)
            return n;
        n += strcmp(r->method, method) == 0 && strstr(r->path, path_part) != NULL;
    }
}

size_t forge_server_refused(struct forge_server *f)
{
    pthread_mutex_lock(&f->lock);
    size_t n = f->refused;
    pthread_mutex_unlock(&f->lock);
    return n;
}
