#include "tests/support/forge_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <strings.h>
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/support/forge_git.h"
#include "tests/support/forge_impl.h"

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

static bool token_is(const struct stand_in_request *r, const char *token)
{
    const char *auth = stand_in_header(r, "authorization");
    char plain[256];

    if (!auth)
        return false;
    if (strncasecmp(auth, "basic ", 6) == 0) {
        base64_decode(auth + 6, plain, sizeof plain);
        const char *colon = strchr(plain, ':');

        return colon && strcmp(colon + 1, token) == 0;
    }
    const char *space = strchr(auth, ' ');
    return space && strcmp(space + 1, token) == 0;
}

static bool allowed(struct forge_server *f, const struct stand_in_request *r)
{
    pthread_mutex_lock(&f->lock);
    bool ok = !f->revoked && (token_is(r, FORGE_TOKEN) || token_is(r, FORGE_READ_TOKEN));
    f->refused += !ok;
    pthread_mutex_unlock(&f->lock);
    return ok;
}

/* Is something to be written by one who may only read? */
static bool overreaches(struct forge_server *f, const struct stand_in_request *r)
{
    bool reads = strcmp(r->method, "GET") == 0 || strstr(r->path, "git-upload-pack") != NULL;
    bool pushes = (r->query && strstr(r->query, "git-receive-pack")) ||
                  strstr(r->path, "git-receive-pack") != NULL;

    if (!token_is(r, FORGE_READ_TOKEN) || (reads && !pushes))
        return false;
    pthread_mutex_lock(&f->lock);
    f->overreached++;
    pthread_mutex_unlock(&f->lock);
    return true;
}

/* ---- answers ---- */

void forge_problem(struct forge_server *f, const struct stand_in_request *r, const char *text)
{
    if (text[0] == '\0')
        return;
    pthread_mutex_lock(&f->lock);
    (void)pj_str_putf(&f->problems, "%s %s%s%s\n%s", r != NULL ? r->method : "the stand-in's own",
                      r != NULL ? r->path : "answer", r != NULL && r->query != NULL ? "?" : "",
                      r != NULL && r->query != NULL ? r->query : "", text);
    pthread_mutex_unlock(&f->lock);
}

/* What we say must be what GitHub could say, or the test proves nothing. */
static void judge_answer(struct forge_server *f, int status, json_t *doc)
{
    PJ_CLEANUP(pj_str_release) struct pj_str problems;

    if (f->operation == NULL)
        return;
    pj_str_init(&problems, 65536);
    if (doc != NULL)
        forge_contract_fill(f->contract, f->operation, status, doc);
    forge_contract_answer(f->contract, f->operation, status, doc, &problems);
    forge_problem(f, NULL, pj_str_cstr(&problems));
}

void forge_json(struct forge_server *f, struct stand_in_exchange *x, int status, json_t *doc)
{
    judge_answer(f, status, doc);
    if (f->cut_answer) {
        json_decref(doc);
        stand_in_cut(x);
        return;
    }
    char *text = doc != NULL ? json_dumps(doc, JSON_COMPACT) : pj_strdup("");

    stand_in_add_header(x, "X-GitHub-Request-Id", "STAND:IN:1");
    stand_in_reply_text(x, status, "application/json; charset=utf-8", text);
    free(text);
    json_decref(doc);
}

void forge_error(struct forge_server *f, struct stand_in_exchange *x, int status,
                 const char *message)
{
    forge_json(f, x, status,
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
        struct pj_view v =
            pj_view_trim(pj_view_n(colon + 1, line.n - (size_t)(colon + 1 - line.p)));
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
    f->cut_answer = hit && hit->status == RULE_CUT_AFTER;
    if (!hit || f->cut_answer)
        return false;
    if (hit->status == RULE_CUT) {
        stand_in_cut(x);
        return true;
    }
    add_headers(x, hit->headers);
    if (hit->body)
        forge_json(f, x, hit->status, json_loads(hit->body, 0, NULL));
    else
        forge_error(f, x, hit->status, "the stand-in was told to fail");
    return true;
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

/* Whatever the answer will be: is this what GitHub's description lets one ask? */
static void judge_request(struct forge_server *f, const struct stand_in_request *r)
{
    PJ_CLEANUP(pj_str_release) struct pj_str problems;

    pj_str_init(&problems, 65536);
    f->operation = forge_contract_request(f->contract, r, r->path + sizeof API - 1, &problems);
    forge_problem(f, r, pj_str_cstr(&problems));
}

/* What GitHub tells any token, and what costs nothing: whether it knows it. */
static void rate_limit(struct forge_server *f, struct stand_in_exchange *x)
{
    json_t *rate = json_pack("{s:i, s:i, s:i, s:i}", "limit", 5000, "remaining", 4999, "reset",
                             1893456000, "used", 1);

    forge_json(
        f, x, 200,
        json_pack("{s:{s:O, s:O}, s:o}", "resources", "core", rate, "search", rate, "rate", rate));
}

/* Is this the one that is not to be answered? */
static bool is_stalled(struct forge_server *f, const struct stand_in_request *r, bool *after)
{
    pthread_mutex_lock(&f->lock);
    bool hit = f->stall.method != NULL && strcmp(f->stall.method, r->method) == 0 &&
               (strstr(r->path, f->stall.part) != NULL ||
                (r->query != NULL && strstr(r->query, f->stall.part) != NULL));
    *after = f->stall.after;
    if (hit)
        f->stall.method = NULL;
    pthread_mutex_unlock(&f->lock);
    return hit;
}

static void say_stalled(struct forge_server *f)
{
    pthread_mutex_lock(&f->lock);
    f->stall.done = true;
    pthread_cond_broadcast(&f->stalled);
    pthread_mutex_unlock(&f->lock);
}

static void serve(struct forge_server *f, const struct stand_in_request *r,
                  struct stand_in_exchange *x)
{
    bool api = strncmp(r->path, API "/", sizeof API) == 0;

    f->operation = NULL;
    if (api)
        judge_request(f, r);
    if (scripted_failure(f, r, x) || forge_app(f, r, x))
        return;
    if (!allowed(f, r)) {
        if (api) {
            forge_error(f, x, 401, "Bad credentials");
            return;
        }
        stand_in_add_header(x, "WWW-Authenticate", "Basic realm=\"GitHub\"");
        stand_in_reply_text(x, 401, "text/plain", "authentication required\n");
        return;
    }
    if (overreaches(f, r))
        forge_error(f, x, 403, "Resource not accessible by integration");
    else if (!api)
        serve_git(f, r, x);
    else if (strncmp(r->path, API "/repos/", sizeof API + 6) == 0)
        forge_rest(f, r->path + sizeof API + 6, r, x);
    else if (strcmp(r->path, API "/rate_limit") == 0)
        rate_limit(f, x);
    else
        forge_error(f, x, 404, "Not Found");
}

static void on_request(void *ctx, const struct stand_in_request *r, struct stand_in_exchange *x)
{
    struct forge_server *f = ctx;
    bool after = false;

    if (!is_stalled(f, r, &after)) {
        serve(f, r, x);
        return;
    }
    if (after) {
        stand_in_mute(x);
        serve(f, r, x);
    } else {
        stand_in_hold(x, NULL, NULL);
    }
    say_stalled(f);
}

/* ---- for the test ---- */

void forge_server_stall(struct forge_server *f, const char *method, const char *part, bool after)
{
    pthread_mutex_lock(&f->lock);
    f->stall.method = method;
    f->stall.part = part;
    f->stall.after = after;
    f->stall.done = false;
    pthread_mutex_unlock(&f->lock);
}

bool forge_server_stalled(struct forge_server *f, int deadline_ms)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += deadline_ms / 1000;
    pthread_mutex_lock(&f->lock);
    while (!f->stall.done && rc == 0)
        rc = pthread_cond_timedwait(&f->stalled, &f->lock, &until);
    bool done = f->stall.done;
    pthread_mutex_unlock(&f->lock);
    return done;
}

struct forge_server *forge_server_start(const char *root)
{
    struct forge_server *f = pj_alloc(1, sizeof *f);

    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->stalled, NULL);
    f->root = pj_strdup(root);
    f->pulls = json_object();
    f->comments = json_object();
    f->runs = json_array();
    f->roles = json_object();
    f->next_number = 1;
    f->next_run = 9007;
    f->contract = forge_contract_open();
    pj_str_init(&f->problems, 1 << 20);
    f->http = stand_in_start(0, on_request, f);
    snprintf(f->host, sizeof f->host, "127.0.0.1:%u", (unsigned)stand_in_port(f->http));
    return f;
}

void forge_server_stop(struct forge_server *f)
{
    if (!f)
        return;
    stand_in_stop(f->http);
    if (f->problems.len > 0) {
        fprintf(stderr, "against GitHub's description:\n%s", pj_str_cstr(&f->problems));
        abort();
    }
    for (size_t i = 0; i < f->rule_count; i++) {
        free(f->rules[i].method);
        free(f->rules[i].path_part);
        free(f->rules[i].headers);
        free(f->rules[i].body);
    }
    json_decref(f->pulls);
    json_decref(f->comments);
    json_decref(f->runs);
    json_decref(f->roles);
    forge_contract_free(f->contract);
    pj_str_release(&f->problems);
    free(f->root);
    pthread_cond_destroy(&f->stalled);
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

void forge_server_cut(struct forge_server *f, const char *method, const char *path_part,
                      unsigned times, bool done)
{
    forge_server_fail(f, method, path_part, times, done ? RULE_CUT_AFTER : RULE_CUT, NULL, NULL);
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
    json_t *copy = json_deep_copy(forge_pulls_of(f, repo));
    pthread_mutex_unlock(&f->lock);
    return copy;
}

void forge_server_set_pull_state(struct forge_server *f, const char *repo, int number,
                                 const char *state)
{
    pthread_mutex_lock(&f->lock);
    json_t *pull = forge_pull_numbered(f, repo, number);
    if (!pull)
        abort();
    bool merged = strcmp(state, "merged") == 0; /* GitHub: closed, and merged beside it */
    json_object_set_new(pull, "state", json_string(merged ? "closed" : state));
    json_object_set_new(pull, "merged", json_boolean(merged));
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

void forge_server_role(struct forge_server *f, const char *login, const char *permission)
{
    pthread_mutex_lock(&f->lock);
    json_object_set_new(f->roles, login, json_string(permission));
    pthread_mutex_unlock(&f->lock);
}

char *forge_server_problems(struct forge_server *f)
{
    pthread_mutex_lock(&f->lock);
    char *text = pj_strdup(pj_str_cstr(&f->problems));
    pj_str_clear(&f->problems);
    pthread_mutex_unlock(&f->lock);
    return text;
}

size_t forge_server_overreached(struct forge_server *f)
{
    pthread_mutex_lock(&f->lock);
    size_t n = f->overreached;
    pthread_mutex_unlock(&f->lock);
    return n;
}
