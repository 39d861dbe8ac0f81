/* Who takes his time, or takes nothing: what he makes the server hold. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "tests/api/raw.h"
#include "tests/api/writer.h"

#define SOON 30000

enum { LONG_LINES = 1200, LONG = 3900, IDLE = 12 };

/* Entries 1 to LONG_LINES once each and in order, each told by `before` and its number. */
static void expect_whole(const char *text, const char *before, const char *what)
{
    int64_t n = 0;

    for (const char *p = text; (p = strstr(p, before)) != NULL;) {
        p += strlen(before);
        cr_assert_eq(strtoll(p, NULL, 10), ++n, "%s: entry %lld", what, (long long)n);
    }
    cr_expect_eq(n, LONG_LINES, "%s: %lld entries", what, (long long)n);
}

#if !defined(__SANITIZE_ADDRESS__) /* which keeps what was freed */
static int64_t resident_kb(pid_t pid)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/proc/%d/statm", pid);
    long long pages = 0;
    FILE *f = fopen(path, "re");

    cr_assert(f != NULL && fscanf(f, "%*d %lld", &pages) == 1);
    fclose(f);
    return pages * sysconf(_SC_PAGESIZE) / 1024;
}
#endif

/* Long lines are given in pieces that end early, so that who does not take them costs a piece and not a page. */
Test(slow, long_lines_are_given_whole_and_cost_little_to_who_reads_none)
{
    struct world w;
    struct writer wr;
    int fd[IDLE], closed;
    struct pj_str ids;
    struct http_answer a = {0};

    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *task = writer_task(&w, repository);
    writer_begin(&wr, &w, task);
    for (int i = 0; i < LONG_LINES / 40; i++)
        writer_append(&wr, 40, LONG);
    PJ_CLEANUP(pj_freep) char *stream = pj_asprintf("tasks/%s/logs/stream", task);
    PJ_CLEANUP(pj_freep) char *file = pj_asprintf("tasks/%s/logs?download=1", task);
#if !defined(__SANITIZE_ADDRESS__)
    int64_t before = resident_kb(w.api.pid);
#endif
    for (int i = 0; i < IDLE; i++) {
        char byte;
        fd[i] = raw_get(w.base, WORLD_TOKEN, i % 2 == 0 ? stream : file);
        cr_assert_eq(recv(fd[i], &byte, 1, MSG_PEEK), 1); /* its answer has begun */
    }
#if !defined(__SANITIZE_ADDRESS__)
    for (int i = 0; i < 20; i++) /* what was on its way is with them */
        json_decref(world_call(&w, "GET", "/me", NULL, 200));
    cr_expect_lt(resident_kb(w.api.pid) - before, IDLE * 1024 + 8192);
#endif
    writer_finish(&wr, NULL, NULL);
    for (int i = 0; i < IDLE; i += IDLE - 1) {
        PJ_CLEANUP(pj_freep) char *text = raw_read(fd[i], SOON, &closed);
        cr_expect(closed, "%d goes on", i);
        expect_whole(text, i % 2 == 0 ? "\ndata: {\"id\":\"1-" : "Z 1-",
                     i % 2 == 0 ? stream : file);
    }
    pj_str_init(&ids, 65536);
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/api/v1/tasks/%s/logs", task);
    while (path != NULL) {
        size_t i;
        json_t *entry;
        http_call(w.base, "GET", path, WORLD_TOKEN, NULL, NULL, &a);
        cr_expect_lt(a.body_len, 1200000);
        json_array_foreach(json_object_get(a.json, "items"), i, entry)
            pj_str_putf(&ids, "%s\n", pj_json_str(entry, "id", ""));
        PJ_CLEANUP(pj_freep) char *link = http_answer_header(&a, "Link");
        free(path);
        path = link != NULL ? pj_strndup(link + 1, strcspn(link + 1, ">")) : NULL;
        http_answer_release(&a);
    }
    expect_whole(pj_str_cstr(&ids), "1-", "pages");
    pj_str_release(&ids);
    for (int i = 0; i < IDLE; i++)
        close(fd[i]);
    writer_end(&wr);
    world_stop(&w);
}

/* A script of Redis holds everybody up: a search looks at about a megabyte of text and then says where to go on. */
Test(slow, a_search_through_long_texts_goes_in_steps)
{
    enum { TASKS = 60, TEXT = 60000 };
    struct world w;
    size_t pages = 0, found = 0;
    PJ_CLEANUP(pj_freep) char *text = pj_alloc(TEXT + 1, 1);

    memset(text, 'z', TEXT);
    world_start(&w);
    world_api_start(&w);
    PJ_CLEANUP(pj_freep) char *repository = writer_repository(&w, "one");
    PJ_CLEANUP(pj_freep) char *oldest = world_task(&w, repository, "Needle", "d", "");
    for (int i = 0; i < TASKS; i++)
        free(world_task(&w, repository, "t", text, ""));
    PJ_CLEANUP(pj_freep) char *path = pj_strdup("/tasks?q=needle");
    while (path != NULL) {
        json_t *page = world_call(&w, "GET", path, NULL, 200);
        const json_t *items = json_object_get(page, "items");
        const char *next = pj_json_str(page, "nextCursor", NULL);
        for (size_t i = 0; i < json_array_size(items); i++, found++)
            cr_expect_str_eq(pj_json_str(json_array_get(items, i), "id", ""), oldest);
        free(path);
        path = next != NULL ? pj_asprintf("/tasks?q=needle&cursor=%s", next) : NULL;
        cr_assert_leq(++pages, (size_t)TASKS);
        json_decref(page);
    }
    cr_expect_eq(found, 1, "%zu found", found);
    json_t *whole = world_call(&w, "GET", "/tasks?limit=200", NULL, 200);
    cr_expect_leq(json_array_size(json_object_get(whole, "items")), (size_t)20, "about a megabyte");
    cr_expect_not_null(pj_json_str(whole, "nextCursor", NULL));
    json_decref(whole);
    cr_expect_geq(pages, 3, "all of %d bytes in %zu steps", TASKS * TEXT, pages);
    world_stop(&w);
}
