/* What every route does to callers and bodies that it must refuse, and that nothing changes by it. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/auth.h"
#include "api/routes.h"
#include "lib/base/mem.h"
#include "tests/api/writer.h"

struct scene {
    struct world w;
    char *repository, *task; /* the admin's */
    char *user;              /* id of the user who owns nothing */
    char *user_token;        /* of a user who owns nothing */
    char *narrow_token;      /* an admin's that may only read metrics */
};

static void settle(struct scene *s);

static void scene_start(struct scene *s)
{
    world_start(&s->w);
    world_api_start(&s->w);
    s->repository = writer_repository(&s->w, "one");
    s->task = world_task(&s->w, s->repository, "A title", "A description", "");
    json_t *user = world_call(&s->w, "POST", "/users", "{\"email\":\"user@example.org\"}", 201);
    s->user_token = pj_strdup(json_string_value(json_object_get(user, "token")));
    s->user = pj_strdup(json_string_value(json_object_get(user, "id")));
    json_decref(user);
    json_t *token = world_call(&s->w, "POST", "/tokens",
                               "{\"name\":\"narrow\",\"scopes\":[\"metrics:read\"]}", 201);
    s->narrow_token = pj_strdup(json_string_value(json_object_get(token, "token")));
    json_decref(token);
    settle(s);
}

/* Audit records are written beside the answer: the three of the set-up have to be there before anything is compared. */
static void settle(struct scene *s)
{
    size_t count = 0;

    for (int i = 0; i < 1000 && count < 3; i++) {
        json_t *list = world_call(&s->w, "GET", "/admin/audit", NULL, 200);
        count = json_array_size(json_object_get(list, "items"));
        json_decref(list);
    }
    cr_assert_eq(count, 3);
}

static void scene_stop(struct scene *s)
{
    free(s->repository);
    free(s->task);
    free(s->user_token);
    free(s->user);
    free(s->narrow_token);
    world_stop(&s->w);
}

/* The route's path with ids that exist. */
static char *real_path(const struct scene *s, const struct route *r)
{
    struct pj_str out;
    bool repository =
        strstr(r->path, "/repositories/") != NULL || strstr(r->path, "/execution/") != NULL;

    pj_str_init(&out, 256);
    for (const char *p = r->path; *p != '\0';) {
        if (*p != ':') {
            pj_str_putc(&out, *p++);
            continue;
        }
        pj_str_puts(&out, repository                           ? s->repository
                          : strstr(r->path, "/users/") != NULL ? s->user
                                                               : s->task);
        p += strcspn(p, "/");
    }
    return pj_str_take(&out);
}

static void expect(const struct scene *s, const struct route *r, const char *token,
                   const char *body, const char *const *headers, int status, const char *code,
                   const char *what)
{
    PJ_CLEANUP(pj_freep) char *path = real_path(s, r);
    struct http_answer a = {0};

    http_call(s->w.base, method_name(r->method), path, token, body, headers, &a);
    cr_expect_eq(a.status, status, "%s: %s %s: %d %.300s", what, method_name(r->method), r->path,
                 a.status, a.body);
    if (code != NULL)
        cr_expect_str_eq(pj_json_str(a.json, "code", ""), code, "%s: %s %s", what,
                         method_name(r->method), r->path);
    PJ_CLEANUP(pj_freep) char *type = http_answer_header(&a, "Content-Type");
    if (status >= 400 && status < 600)
        cr_expect(type != NULL && strcmp(type, "application/problem+json") == 0, "%s: %s", what,
                  path);
    http_answer_release(&a);
}

/* A fingerprint of all that is stored, but for times of last use. */
static char *stored(struct scene *s)
{
    struct pj_redis *redis = test_redis_connect(&s->w.redis);
    PJ_CLEANUP(pj_reply_freep)
    struct redisReply *reply =
        test_redis_words(redis, "EVAL",
                         "local out = {} for _, k in ipairs(redis.call('KEYS', '*')) do if not "
                         "string.find(k, 'tok') then "
                         "out[#out + 1] = k .. redis.sha1hex(redis.call('DUMP', k)) end end "
                         "table.sort(out) return table.concat(out, '\\n')",
                         "0", NULL);
    char *text = pj_reply_dup(reply);
    pj_redis_free(redis);
    return text;
}

static const char *const json[] = {"Content-Type: application/json", NULL};

Test(api, every_route_refuses_strangers_and_changes_nothing)
{
    struct scene s;

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *before = stored(&s);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &route_table[i];
        const char *body = r->body_max > 0 ? "{}" : NULL;
        if (r->scope == SCOPE_PUBLIC)
            continue;
        expect(&s, r, NULL, body, json, 401, "unauthenticated", "no token");
        expect(&s, r, "pj_pat_0000000000000000000000000000000000000", body, json, 401,
               "unauthenticated", "unknown token");
        expect(&s, r, "short", body, json, 401, "unauthenticated", "no token at all");
        if (r->scope != SCOPE_SELF && r->scope != SCOPE_METRICS)
            expect(&s, r, s.narrow_token, body, json, 403, "insufficient_scope", "narrow token");
        if ((r->scope & (SCOPE_ADMIN_READ | SCOPE_ADMIN_WRITE | SCOPE_METRICS)) != 0)
            expect(&s, r, s.user_token, body, json, 403, "forbidden", "user");
    }
    PJ_CLEANUP(pj_freep) char *after = stored(&s);
    cr_expect_str_eq(before, after);
    scene_stop(&s);
}

Test(api, what_one_may_not_see_is_not_there)
{
    struct scene s;

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *before = stored(&s);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &route_table[i];
        if (strstr(r->path, "/:id") == NULL || strstr(r->path, "/users/") != NULL ||
            (r->flags & ROUTE_PAGE) != 0)
            continue;
        expect(&s, r, s.user_token, r->body_max > 0 ? "{}" : NULL, json, 404, "not_found",
               "another's object");
    }
    PJ_CLEANUP(pj_freep) char *after = stored(&s);
    cr_expect_str_eq(before, after);
    scene_stop(&s);
}

Test(api, every_body_is_judged_and_changes_nothing)
{
    static const char *const text[] = {"Content-Type: text/plain", NULL};
    struct scene s;
    PJ_CLEANUP(pj_str_release) struct pj_str large, deep;

    scene_start(&s);
    pj_str_init(&large, 4 << 20);
    for (int i = 0; i < (2 << 20); i++)
        pj_str_putc(&large, ' ');
    pj_str_init(&deep, 4096);
    pj_str_puts(&deep, "{\"title\":");
    for (int i = 0; i < 100; i++)
        pj_str_putc(&deep, '[');
    for (int i = 0; i < 100; i++)
        pj_str_putc(&deep, ']');
    pj_str_putc(&deep, '}');
    PJ_CLEANUP(pj_freep) char *before = stored(&s);
    for (size_t i = 0; i < route_count; i++) {
        const struct route *r = &route_table[i];
        if (r->body_max == 0 || (r->flags & ROUTE_RAW) != 0) /* webhooks: test_hooks */
            continue;
        expect(&s, r, WORLD_TOKEN, "{\"nonsense\":1}", json, 400, "invalid_fields",
               "unknown field");
        expect(&s, r, WORLD_TOKEN, "{", json, 400, "malformed_json", "malformed");
        expect(&s, r, WORLD_TOKEN, "[]", json, 400, "malformed_json", "no object");
        expect(&s, r, WORLD_TOKEN, pj_str_cstr(&deep), json, 400, "malformed_json", "too deep");
        expect(&s, r, WORLD_TOKEN, "{}", text, 415, "unsupported_media_type", "another type");
        expect(&s, r, WORLD_TOKEN, pj_str_cstr(&large), json, 413, "body_too_large", "too large");
    }
    PJ_CLEANUP(pj_freep) char *after = stored(&s);
    cr_expect_str_eq(before, after);
    scene_stop(&s);
}

Test(api, faults_of_a_body_are_named_one_by_one)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    http_call(s.w.base, "POST", "/api/v1/tasks", WORLD_TOKEN,
              "{\"title\":7,\"bogus\":1,\"priority\":\"now\"}", json, &a);
    cr_expect_eq(a.status, 400);
    cr_expect_str_eq(pj_json_str(a.json, "code", ""), "invalid_fields");
    static const char *const fields[] = {"bogus", "repositoryId", "title", "description",
                                         "priority"};
    const json_t *errors = json_object_get(a.json, "errors");
    cr_expect_eq(json_array_size(errors), PJ_COUNT_OF(fields), "%s", a.body);
    for (size_t i = 0; i < PJ_COUNT_OF(fields); i++) {
        bool found = false;
        size_t k;
        json_t *e;
        json_array_foreach(errors, k, e) found |=
            strcmp(pj_json_str(e, "field", ""), fields[i]) == 0;
        cr_expect(found, "%s", fields[i]);
    }
    http_answer_release(&a);
    scene_stop(&s);
}

Test(api, the_same_key_gets_the_same_answer)
{
    static const char *const key[] = {"Content-Type: application/json", "Idempotency-Key: k-1",
                                      NULL};
    struct scene s;
    struct http_answer a = {0}, b = {0};

    scene_start(&s);
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"repositoryId\":\"%s\",\"title\":\"t\",\"description\":\"d\"}",
                             s.repository);
    http_call(s.w.base, "POST", "/api/v1/tasks", WORLD_TOKEN, body, key, &a);
    cr_expect_eq(a.status, 201);
    http_call(s.w.base, "POST", "/api/v1/tasks", WORLD_TOKEN, body, key, &b);
    cr_expect_eq(b.status, 201);
    cr_expect_str_eq(a.body, b.body);
    PJ_CLEANUP(pj_freep) char *replayed = http_answer_header(&b, "Idempotency-Replayed");
    cr_expect_not_null(replayed);
    http_answer_release(&b);
    http_call(s.w.base, "POST", "/api/v1/tasks", WORLD_TOKEN, "{}", key, &b);
    cr_expect_eq(b.status, 422);
    cr_expect_str_eq(pj_json_str(b.json, "code", ""), "idempotency_key_reused");
    http_answer_release(&b);
    http_call(s.w.base, "POST", "/api/v1/tasks", s.user_token, body, key, &b);
    cr_expect_eq(b.status, 404, "another user's keys are his own");
    http_answer_release(&b);
    http_answer_release(&a);
    scene_stop(&s);
}

Test(api, a_task_is_not_sent_again_to_who_has_it)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/api/v1/tasks/%s", s.task);
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
    PJ_CLEANUP(pj_freep) char *etag = http_answer_header(&a, "ETag");
    cr_assert_not_null(etag);
    http_answer_release(&a);
    cr_expect_eq(strncmp(etag, "W/\"", 3), 0, "packed or not, it is the same: %s", etag);
    PJ_CLEANUP(pj_freep) char *header = pj_asprintf("If-None-Match: \"x\", %s", etag);
    const char *headers[] = {header, NULL};
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, headers, &a);
    cr_expect_eq(a.status, 304);
    cr_expect_eq(a.body_len, 0);
    http_answer_release(&a);
    json_decref(world_call(&s.w, "PATCH", strstr(path, "/tasks"), "{\"title\":\"Another\"}", 200));
    http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, headers, &a);
    cr_expect_eq(a.status, 200);
    http_answer_release(&a);
    scene_stop(&s);
}

Test(api, a_revoked_token_is_refused_at_once_and_the_last_admin_stays)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    json_t *me = world_call_as(&s.w, s.narrow_token, "GET", "/me", NULL, 200);
    PJ_CLEANUP(pj_freep)
    char *path = pj_asprintf("/api/v1/tokens/%s", pj_json_str(me, "tokenId", ""));
    PJ_CLEANUP(pj_freep) char *user = pj_asprintf("/users/%s", pj_json_str(me, "id", ""));
    json_decref(me);
    http_call(s.w.base, "DELETE", path, WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 204);
    http_answer_release(&a);
    json_decref(world_call_as(&s.w, s.narrow_token, "GET", "/me", NULL, 401));
    json_t *problem = world_call(&s.w, "DELETE", user, NULL, 409);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "last_admin");
    json_decref(problem);
    problem = world_call(&s.w, "PATCH", user, "{\"role\":\"user\"}", 409);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "last_admin");
    json_decref(problem);
    scene_stop(&s);
}

Test(api, the_last_token_of_the_last_admin_stays)
{
    static const char partial[] = "{\"name\":\"p\",\"scopes\":[\"tokens:write\",\"admin:read\"]}";
    static const char whole[] = "{\"name\":\"w\",\"scopes\":[\"admin:write\"]}";
    struct scene s;

    scene_start(&s);
    json_t *me = world_call(&s.w, "GET", "/me", NULL, 200);
    PJ_CLEANUP(pj_freep)
    char *path = pj_asprintf("/tokens/%s", pj_json_str(me, "tokenId", ""));
    json_decref(me);
    json_decref(world_call(&s.w, "POST", "/tokens", partial, 201));
    json_t *problem = world_call(&s.w, "DELETE", path, NULL, 409);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "last_admin_token");
    json_decref(problem);
    json_decref(world_call(&s.w, "GET", "/me", NULL, 200));
    json_decref(world_call(&s.w, "POST", "/tokens", whole, 201));
    json_decref(world_call(&s.w, "DELETE", path, NULL, 204));
    json_decref(world_call(&s.w, "GET", "/me", NULL, 401));
    scene_stop(&s);
}

Test(api, a_shared_repository_is_open_to_every_user)
{
    struct scene s;

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *repository = pj_asprintf("/repositories/%s", s.repository);
    PJ_CLEANUP(pj_freep) char *task = pj_asprintf("/tasks/%s", s.task);
    json_decref(world_call(&s.w, "PATCH", repository, "{\"visibility\":\"shared\"}", 200));
    json_decref(world_call_as(&s.w, s.user_token, "GET", repository, NULL, 200));
    json_decref(world_call_as(&s.w, s.user_token, "GET", task, NULL, 200));
    json_t *problem = world_call_as(&s.w, s.user_token, "PATCH", task, "{\"title\":\"Mine\"}", 403);
    json_decref(problem);
    json_decref(world_call_as(&s.w, s.user_token, "DELETE", repository, NULL, 403));
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"repositoryId\":\"%s\",\"title\":\"t\",\"description\":\"d\"}",
                             s.repository);
    json_decref(world_call_as(&s.w, s.user_token, "POST", "/tasks", body, 201));
    json_t *list = world_call_as(&s.w, s.user_token, "GET", "/tasks", NULL, 200);
    cr_expect_eq(json_array_size(json_object_get(list, "items")), 2);
    json_decref(list);
    list = world_call_as(&s.w, s.user_token, "GET", "/tasks?owner=me", NULL, 200);
    cr_expect_eq(json_array_size(json_object_get(list, "items")), 1);
    json_decref(list);
    scene_stop(&s);
}

Test(api, r1_3_an_unreachable_repository_is_422_with_its_cause)
{
    struct scene s;

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *missing = pj_asprintf("{\"url\":\"%s/none.git\"}", s.w.remotes);
    json_t *problem = world_call(&s.w, "POST", "/repositories", missing, 422);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "repository_unreachable");
    json_decref(problem);
    problem = world_call(&s.w, "POST", "/repositories",
                         "{\"url\":\"https://evil.example.org/a/b\"}", 422);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "forge_not_allowed");
    json_decref(problem);
    problem = world_call(&s.w, "POST", "/repositories", "{\"url\":\"/etc\"}", 422);
    json_decref(problem);
    PJ_CLEANUP(pj_freep)
    char *one = pj_asprintf("%s/one.git", s.w.remotes),
         *two = pj_asprintf("%s/gone.git", s.w.remotes);
    PJ_CLEANUP(pj_freep)
    char *branch = pj_asprintf("{\"url\":\"%s\",\"defaultBranch\":\"nope\"}", one);
    problem = world_call(&s.w, "POST", "/repositories", branch, 422);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "repository_unreachable");
    json_decref(problem);
    cr_assert_eq(rename(one, two), 0);
    PJ_CLEANUP(pj_freep) char *verify = pj_asprintf("/repositories/%s/verify", s.repository);
    json_decref(world_call(&s.w, "POST", verify, NULL, 422));
    PJ_CLEANUP(pj_freep) char *execute = pj_asprintf("/tasks/%s/execute", s.task);
    problem = world_call(&s.w, "POST", execute, NULL, 422);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "repository_not_connected");
    json_decref(problem);
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf(
        "{\"repositoryId\":\"%s\",\"title\":\"t\",\"description\":\"d\",\"execute\":true}",
        s.repository);
    json_decref(world_call(&s.w, "POST", "/tasks", body, 422));
    json_t *list = world_call(&s.w, "GET", "/tasks", NULL, 200);
    cr_expect_eq(json_array_size(json_object_get(list, "items")), 1, "nothing was created");
    json_decref(list);
    cr_assert_eq(rename(two, one), 0);
    json_decref(world_call(&s.w, "POST", verify, NULL, 200));
    json_decref(world_call(&s.w, "POST", execute, NULL, 202));
    problem = world_call(&s.w, "POST", execute, NULL, 409);
    cr_expect_str_eq(pj_json_str(problem, "code", ""), "not_queued");
    json_decref(problem);
    scene_stop(&s);
}

Test(api, lists_come_in_pages)
{
    struct scene s;
    struct http_answer a = {0};
    size_t seen = 0, pages = 0;

    scene_start(&s);
    for (int i = 0; i < 6; i++)
        free(world_task(&s.w, s.repository, "t", "d", ""));
    PJ_CLEANUP(pj_freep) char *path = pj_strdup("/api/v1/tasks?limit=3");
    while (path != NULL) {
        http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
        cr_assert_eq(a.status, 200);
        seen += json_array_size(json_object_get(a.json, "items"));
        pages++;
        PJ_CLEANUP(pj_freep) char *link = http_answer_header(&a, "Link");
        free(path);
        path = link != NULL ? pj_strndup(link + 1, strcspn(link + 1, ">")) : NULL;
        cr_expect_eq(link == NULL, json_is_null(json_object_get(a.json, "nextCursor")));
        http_answer_release(&a);
    }
    cr_expect_eq(seen, 7);
    cr_expect_geq(pages, 3);
    scene_stop(&s);
}

/* What is said of one list holds for each: one item a page, each item once, a Link as long as there is a next page. */
Test(api, a_repeated_answer_has_its_location)
{
    struct scene s;
    static const char *const once[] = {"Content-Type: application/json", "Idempotency-Key: once",
                                       NULL};
    struct http_answer a = {0};
    char *first = NULL;

    scene_start(&s);
    PJ_CLEANUP(pj_freep)
    char *body = pj_asprintf("{\"repositoryId\":\"%s\",\"title\":\"t\",\"description\":\"d\"}",
                             s.repository);
    for (int i = 0; i < 2; i++) {
        http_call(s.w.base, "POST", "/api/v1/tasks", WORLD_TOKEN, body, once, &a);
        cr_assert_eq(a.status, 201, "%s", a.body);
        PJ_CLEANUP(pj_freep) char *location = http_answer_header(&a, "Location");
        cr_assert_not_null(location);
        if (first == NULL)
            first = pj_strdup(location);
        cr_expect_str_eq(location, first);
        http_answer_release(&a);
    }
    free(first);
    scene_stop(&s);
}

Test(api, every_list_keeps_to_its_limit)
{
    static const char *const lists[] = {"/repositories", "/users", "/tokens", "/admin/audit",
                                        "/tasks"};
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    free(world_task(&s.w, s.repository, "t", "d", ""));
    json_decref(world_call(&s.w, "POST", "/tokens", "{\"name\":\"two\"}", 201));
    for (size_t i = 0; i < PJ_COUNT_OF(lists); i++) {
        PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/api/v1%s?limit=1", lists[i]);
        size_t pages = 0;

        while (path != NULL && pages < 50) {
            http_call(s.w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
            cr_assert_eq(a.status, 200, "%s: %d", path, a.status);
            cr_expect_leq(json_array_size(json_object_get(a.json, "items")), 1, "%s", path);
            PJ_CLEANUP(pj_freep) char *link = http_answer_header(&a, "Link");
            cr_expect_eq(link == NULL, json_is_null(json_object_get(a.json, "nextCursor")), "%s",
                         path);
            pages++;
            free(path);
            path = link != NULL ? pj_strndup(link + 1, strcspn(link + 1, ">")) : NULL;
            http_answer_release(&a);
        }
        cr_expect_lt(pages, 50, "%s has no end", lists[i]);
        cr_expect_gt(pages, strcmp(lists[i], "/tokens") == 0 ? 1 : 0, "%s", lists[i]);
    }
    scene_stop(&s);
}

Test(api, the_rate_of_a_token_is_limited)
{
    struct scene s;
    struct http_answer a = {0};

    world_start(&s.w);
    world_set(&s.w, "PJ_RATE_LIMIT", "5");
    world_api_start(&s.w);
    for (int i = 0; i < 5; i++)
        json_decref(world_call(&s.w, "GET", "/me", NULL, 200));
    http_call(s.w.base, "GET", "/api/v1/me", WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 429);
    PJ_CLEANUP(pj_freep) char *after = http_answer_header(&a, "Retry-After");
    cr_expect_not_null(after);
    http_answer_release(&a);
    world_stop(&s.w);
}

Test(api, who_has_no_token_is_limited_by_his_address)
{
    struct world w;
    int refused = 0;

    world_start(&w);
    world_set(&w, "PJ_RATE_LIMIT", "5");
    world_api_start(&w);
    for (int i = 0; i < 8; i++) {
        struct http_answer a = {0};
        http_call(w.base, "GET", "/api/v1/me",
                  i % 2 == 0 ? NULL : "pj_pat_00000000000000000000000000", NULL, NULL, &a);
        cr_expect_eq(a.status, i < 5 ? 401 : 429, "request %d: %d", i, a.status);
        PJ_CLEANUP(pj_freep) char *after = http_answer_header(&a, "Retry-After");
        cr_expect_eq(after != NULL, a.status == 429);
        refused += a.status == 429;
        http_answer_release(&a);
    }
    cr_expect_eq(refused, 3);
    json_decref(world_call(&w, "GET", "/me", NULL, 200)); /* a token is counted by itself */
    for (int i = 0; i < 10; i++) {                        /* and who watches is not counted */
        struct http_answer a = {0};
        http_call(w.base, "GET", "/livez", NULL, NULL, NULL, &a);
        cr_expect_eq(a.status, 200);
        http_answer_release(&a);
    }
    world_stop(&w);
}

/* RFC 9110, 9.3.5: the content of a DELETE means nothing. */
Test(api, a_delete_needs_no_body_and_takes_no_members)
{
    static const char *const text[] = {"Content-Type: text/plain", NULL};
    static const struct {
        const char *body;
        int status;
        const char *code;
    } rows[] = {
        {"{\"force\":true}", 400, "invalid_fields"},
        {"{", 400, "malformed_json"},
        {"[]", 400, "malformed_json"},
        {"{}", 204, NULL},
    };
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/api/v1/tasks/%s", s.task);
    http_call(s.w.base, "DELETE", path, WORLD_TOKEN, "{}", text, &a);
    cr_expect_eq(a.status, 415);
    http_answer_release(&a);
    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        http_call(s.w.base, "DELETE", path, WORLD_TOKEN, rows[i].body, json, &a);
        cr_expect_eq(a.status, rows[i].status, "%s: %d %s", rows[i].body, a.status, a.body);
        if (rows[i].code != NULL)
            cr_expect_str_eq(pj_json_str(a.json, "code", ""), rows[i].code, "%s", rows[i].body);
        http_answer_release(&a);
    }
    scene_stop(&s);
}

Test(api, a_session_counts_only_for_our_own_pages)
{
    struct scene s;
    struct http_answer a = {0};

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *login = pj_asprintf("{\"token\":\"%s\"}", WORLD_TOKEN);
    http_call(s.w.base, "POST", "/api/v1/session", NULL, login, json, &a);
    cr_expect_eq(a.status, 201);
    PJ_CLEANUP(pj_freep) char *set = http_answer_header(&a, "Set-Cookie");
    cr_assert_not_null(set);
    cr_expect(strstr(set, "HttpOnly") != NULL && strstr(set, "SameSite=Strict") != NULL, "%s", set);
    http_answer_release(&a);
    set[strcspn(set, ";")] = '\0';
    PJ_CLEANUP(pj_freep) char *cookie = pj_asprintf("Cookie: %s", set);
    const char *plain[] = {cookie, NULL}, *ours[] = {cookie, "Sec-Fetch-Site: same-origin", NULL},
               *theirs[] = {cookie, "Sec-Fetch-Site: cross-site", NULL};
    http_call(s.w.base, "GET", "/api/v1/me", NULL, NULL, plain, &a);
    cr_expect_eq(a.status, 200);
    http_answer_release(&a);
    http_call(s.w.base, "DELETE", "/api/v1/session", NULL, NULL, plain, &a);
    cr_expect_eq(a.status, 403);
    http_answer_release(&a);
    http_call(s.w.base, "DELETE", "/api/v1/session", NULL, NULL, theirs, &a);
    cr_expect_eq(a.status, 403);
    http_answer_release(&a);
    http_call(s.w.base, "DELETE", "/api/v1/session", NULL, NULL, ours, &a);
    cr_expect_eq(a.status, 204);
    http_answer_release(&a);
    http_call(s.w.base, "GET", "/api/v1/me", NULL, NULL, plain, &a);
    cr_expect_eq(a.status, 401);
    http_answer_release(&a);
    scene_stop(&s);
}

Test(api, a_path_takes_no_credential)
{
    struct scene s;

    scene_start(&s);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s", s.repository);
    json_t *problem =
        world_call(&s.w, "PATCH", path, "{\"credential\":{\"token\":\"sometoken\"}}", 400);
    cr_expect_str_eq(
        pj_json_str(json_array_get(json_object_get(problem, "errors"), 0), "field", ""),
        "credential");
    json_decref(problem);
    scene_stop(&s);
}

Test(api, pages_come_from_a_table_and_allow_no_foreign_code)
{
    static const char *const gzip[] = {"Accept-Encoding: gzip", NULL};
    static const char *const addresses[] = {
        "/",        "/new",   "/repositories", "/repositories/0000000000000000000000",
        "/account", "/setup", "/admin",        "/tasks/0000000000000000000000"};
    static const char *const missing[] = {"/assets/nothing.js", "/assets/..%2fmain.c",
                                          "/assets/%2e%2e/main.c", "/assets/", "/index.html"};
    struct world w;
    struct http_answer a = {0};

    world_start(&w);
    world_api_start(&w);
    for (size_t i = 0; i < PJ_COUNT_OF(addresses); i++) {
        http_call(w.base, "GET", addresses[i], NULL, NULL, NULL, &a);
        cr_expect_eq(a.status, 200, "%s", addresses[i]);
        PJ_CLEANUP(pj_freep) char *policy = http_answer_header(&a, "Content-Security-Policy");
        cr_expect(policy != NULL && strstr(policy, "default-src 'none'") != NULL &&
                      strstr(policy, "unsafe") == NULL &&
                      strstr(policy, "require-trusted-types-for 'script'") != NULL,
                  "%s", addresses[i]);
        http_answer_release(&a);
    }
    http_call(w.base, "GET", "/assets/index.html", NULL, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    size_t whole = a.body_len;
    PJ_CLEANUP(pj_freep) char *etag = http_answer_header(&a, "ETag");
    http_answer_release(&a);
    http_call(w.base, "GET", "/assets/index.html", NULL, NULL, gzip, &a);
    PJ_CLEANUP(pj_freep) char *encoding = http_answer_header(&a, "Content-Encoding");
    cr_expect(encoding != NULL && strcmp(encoding, "gzip") == 0);
    cr_expect(a.body_len > 100 && a.body_len < whole, "%zu of %zu bytes", a.body_len, whole);
    cr_expect_eq(memcmp(a.body, "\x1f\x8b", 2), 0);
    http_answer_release(&a);
    cr_expect_eq(strncmp(etag, "W/\"", 3), 0, "packed or not, it is the same: %s", etag);
    PJ_CLEANUP(pj_freep)
    char *have = pj_asprintf("If-None-Match: %s", etag + 2); /* as a cache may have made it */
    const char *headers[] = {have, NULL};
    http_call(w.base, "GET", "/assets/index.html", NULL, NULL, headers, &a);
    cr_expect_eq(a.status, 304);
    http_answer_release(&a);
    for (size_t i = 0; i < PJ_COUNT_OF(missing); i++) {
        http_call(w.base, "GET", missing[i], NULL, NULL, NULL, &a);
        cr_expect_eq(a.status, 404, "%s", missing[i]);
        http_answer_release(&a);
    }
    world_stop(&w);
}

Test(api, a_stopping_server_is_not_ready_but_answers_until_it_is_left_alone)
{
    struct world w;
    struct http_answer a = {0};

    world_start(&w);
    world_set(&w, "PJ_DRAIN_DELAY", "3s");
    world_api_start(&w);
    http_call(w.base, "GET", "/readyz", NULL, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    http_answer_release(&a);
    cr_assert_eq(kill(w.api.pid, SIGTERM), 0);
    do {
        http_call(w.base, "GET", "/readyz", NULL, NULL, NULL, &a);
        int status = a.status;
        http_answer_release(&a);
        memset(&a, 0, sizeof a);
        if (status == 503)
            break;
    } while (true);
    http_call(w.base, "GET", "/livez", NULL, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    http_answer_release(&a);
    json_decref(world_call(&w, "GET", "/me", NULL, 200));
    cr_expect_eq(program_wait(&w.api, 20000), 0);
    world_stop(&w);
}

Test(api, metrics_can_have_an_address_of_their_own)
{
    struct world w;
    struct http_answer a = {0};

    world_start(&w);
    PJ_CLEANUP(pj_freep) char *listen = pj_asprintf("unix:%s/metrics.sock", w.dir);
    world_set(&w, "PJ_METRICS_LISTEN", listen);
    world_api_start(&w);
    http_call(w.base, "GET", "/metrics", WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 404);
    http_answer_release(&a);
    http_call(listen, "GET", "/metrics", NULL, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    cr_expect_not_null(strstr(a.body, "# TYPE pj_http_requests_total counter\n"));
    http_answer_release(&a);
    static const char *const modern[] = {
        "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5", NULL};
    http_call(listen, "GET", "/metrics", NULL, NULL, modern, &a);
    cr_expect_not_null(strstr(a.body, "# TYPE pj_http_requests counter\n"));
    cr_expect_not_null(strstr(a.body, "\n# EOF\n"));
    http_answer_release(&a);
    http_call(listen, "GET", "/api/v1/me", WORLD_TOKEN, NULL, NULL, &a);
    cr_expect_eq(a.status, 404, "nothing else is served there");
    http_answer_release(&a);
    world_stop(&w);
}

Test(api, a_redis_that_goes_and_comes_back_is_noticed)
{
    struct world w;
    struct http_answer a = {0};
    int status = 0;

    world_start(&w);
    world_api_start(&w);
    json_decref(world_call(&w, "GET", "/me", NULL, 200));
    test_redis_kill(&w.redis);
    while (status != 503) {
        http_call(w.base, "GET", "/readyz", NULL, NULL, NULL, &a);
        status = a.status;
        http_answer_release(&a);
        memset(&a, 0, sizeof a);
    }
    http_call(w.base, "GET", "/livez", NULL, NULL, NULL, &a);
    cr_expect_eq(a.status, 200);
    http_answer_release(&a);
    test_redis_restart(&w.redis);
    while (status != 200) {
        http_call(w.base, "GET", "/readyz", NULL, NULL, NULL, &a);
        status = a.status;
        http_answer_release(&a);
        memset(&a, 0, sizeof a);
    }
    world_stop(&w);
}
