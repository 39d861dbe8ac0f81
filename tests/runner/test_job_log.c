#include <criterion/criterion.h>
#include <string.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/job_log.h"

/* A store that numbers like the real one, and can be away or lose its end. */
struct store {
    struct pj_str text;
    int64_t next;
    bool away, foreign;
    int chunks;
};

static int store_send(void *ctx, int64_t first, size_t count, struct pj_view lines,
                      int64_t *resend_from, struct pj_err *err)
{
    struct store *s = ctx;

    if (s->away)
        return pj_fail(err, PJ_E_UNAVAILABLE, "away");
    if (s->foreign) {
        (void)pj_fail(err, PJ_E_CONFLICT, "another holds it");
        return pj_err_code(err, "stale_lease");
    }
    if (first + (int64_t)count <= s->next)
        return 0;
    if (first != s->next) {
        *resend_from = s->next;
        return PJ_NONE;
    }
    cr_assert_eq(pj_str_append(&s->text, lines.p, lines.n), 0);
    s->next += (int64_t)count;
    s->chunks++;
    return 0;
}

static void store_init(struct store *s)
{
    *s = (struct store){.next = 1};
    pj_str_init(&s->text, 64 << 20);
}

static struct job_log *log_to(struct store *s, const struct pj_redact *redact)
{
    const struct job_log_config config = {
        .attempt = 1, .last_n = s->next - 1, .redact = redact, .send = store_send, .ctx = s};

    return job_log_new(&config);
}

static void flush(struct job_log *log)
{
    struct pj_err err;

    cr_assert_eq(job_log_flush(log, true, &err), 0, "%s", err.message);
}

/* Entry number i of what was stored; the caller decrefs. */
static json_t *entry(const struct store *s, size_t i)
{
    struct pj_view rest = pj_view_n(s->text.data, s->text.len), line = {0};
    struct pj_err err;
    json_t *doc = NULL;

    for (size_t k = 0; k <= i; k++)
        cr_assert(pj_view_cut(&rest, '\n', &line), "no entry %zu", i);
    cr_assert_eq(pj_json_parse(line, &doc, &err), 0, "%s", err.message);
    return doc;
}

static void assert_message(const struct store *s, size_t i, const char *message)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = entry(s, i);

    cr_assert_str_eq(pj_json_str(doc, "message", ""), message);
    cr_assert_eq(pj_json_i64(doc, "n", 0), (int64_t)i + 1);
}

static void out(struct job_log *log, const char *bytes)
{
    job_log_output(log, PJ_STREAM_STDOUT, pj_view_of(bytes));
}

Test(job_log, makes_one_entry_a_line_whatever_the_pieces)
{
    struct store s;
    struct job_log *log;

    store_init(&s);
    log = log_to(&s, NULL);
    out(log, "on");
    out(log, "e\ntwo\r\n\nfo");
    job_log_output(log, PJ_STREAM_STDERR, pj_view_of("aside"));
    out(log, "ur\nunfinished");
    job_log_output_end(log, PJ_STREAM_STDOUT);
    job_log_output_end(log, PJ_STREAM_STDERR);
    job_log_output_end(log, PJ_STREAM_STDERR);
    flush(log);
    assert_message(&s, 0, "one");
    assert_message(&s, 1, "two");
    assert_message(&s, 2, "");
    assert_message(&s, 3, "four");
    assert_message(&s, 4, "unfinished");
    assert_message(&s, 5, "aside");
    cr_assert_eq(job_log_last_n(log), 6);
    cr_assert_eq(s.next, 7);
    job_log_free(log);
    pj_str_release(&s.text);
}

Test(job_log, masks_a_secret_that_came_in_two_pieces)
{
    struct pj_redact *redact = pj_redact_new();
    struct store s;
    struct job_log *log;

    pj_redact_add(redact, "s3cr3t-token-value");
    store_init(&s);
    log = log_to(&s, redact);
    out(log, "token is s3cr3t-tok");
    out(log, "en-value, keep it\n");
    job_log_event(log, PJ_STREAM_SYSTEM, PJ_EVENT_WARN, "bad s3cr3t-token-value", NULL);
    flush(log);
    assert_message(&s, 0, "token is ***, keep it");
    assert_message(&s, 1, "bad ***");
    job_log_free(log);
    pj_redact_free(redact);
    pj_str_release(&s.text);
}

Test(job_log, leaves_no_half_of_a_secret_at_the_cut_of_a_long_line)
{
    struct pj_redact *redact = pj_redact_new();
    struct store s;
    char *line = pj_alloc(1, PJ_EVENT_MESSAGE_MAX + 4096);

    pj_redact_add(redact, "s3cr3t-token-value");
    for (size_t at = PJ_EVENT_MESSAGE_MAX - 40; at < PJ_EVENT_MESSAGE_MAX + 10; at++) {
        struct job_log *log;

        memset(line, 'x', PJ_EVENT_MESSAGE_MAX + 4000);
        memcpy(line + at, "s3cr3t-token-value", 18);
        store_init(&s);
        log = log_to(&s, redact);
        job_log_output(log, PJ_STREAM_STDOUT, pj_view_n(line, PJ_EVENT_MESSAGE_MAX + 4000));
        out(log, "\nnext\n");
        flush(log);
        cr_assert_null(strstr(pj_str_cstr(&s.text), "s3cr"), "at %zu", at);
        assert_message(&s, 1, "next");
        job_log_free(log);
        pj_str_release(&s.text);
    }
    free(line);
    pj_redact_free(redact);
}

Test(job_log, marks_a_line_that_was_cut)
{
    struct store s;
    struct job_log *log;
    PJ_CLEANUP(pj_json_decrefp) json_t *doc = NULL;

    store_init(&s);
    log = log_to(&s, NULL);
    for (int i = 0; i < 3000; i++)
        out(log, "0123456789");
    out(log, "\n");
    flush(log);
    doc = entry(&s, 0);
    cr_assert_leq(strlen(pj_json_str(doc, "message", "")), (size_t)PJ_EVENT_MESSAGE_MAX + 64);
    cr_assert_not_null(strstr(pj_json_str(doc, "message", ""), "cut"));
    job_log_free(log);
    pj_str_release(&s.text);
}

Test(job_log, keeps_everything_while_the_store_is_away_and_sends_it_in_order)
{
    struct store s;
    struct job_log *log;
    struct pj_err err;

    store_init(&s);
    log = log_to(&s, NULL);
    s.away = true;
    for (int i = 0; i < 5000; i++)
        out(log, "some line of output\n");
    cr_assert_eq(job_log_flush(log, true, &err), 0);
    cr_assert_gt(job_log_timeout_ms(log), 0);
    s.away = false;
    cr_assert_eq(job_log_drain(log, pj_mono_ms() + 10000, &err), 0, "%s", err.message);
    cr_assert_eq(s.next, 5001);
    cr_assert_gt(s.chunks, 1);
    assert_message(&s, 4999, "some line of output");
    job_log_free(log);
    pj_str_release(&s.text);
}

Test(job_log, sends_again_what_the_store_lost)
{
    struct store s;
    struct job_log *log;
    size_t cut;

    store_init(&s);
    log = log_to(&s, NULL);
    for (int i = 0; i < 10; i++) {
        job_log_say(log, PJ_EVENT_INFO, "entry %d", i + 1);
        flush(log);
    }
    /* Redis came back without its last second: three entries are gone. */
    cut = (size_t)(strstr(s.text.data, "entry 8") - s.text.data);
    while (s.text.data[cut - 1] != '\n')
        cut--;
    s.text.len = cut;
    s.text.data[cut] = '\0';
    s.next = 8;
    job_log_say(log, PJ_EVENT_INFO, "entry 11");
    flush(log);
    cr_assert_eq(s.next, 12);
    assert_message(&s, 7, "entry 8");
    assert_message(&s, 10, "entry 11");
    job_log_free(log);
    pj_str_release(&s.text);
}

/* More is gone than is kept here: this delivery ends, by a code that does not end the task. */
Test(job_log, gives_up_the_delivery_when_the_store_lost_too_much)
{
    PJ_CLEANUP(pj_str_release) struct pj_str line;
    struct store s;
    struct job_log *log;
    struct pj_err err;

    store_init(&s);
    pj_str_init(&line, 4096);
    for (int i = 0; i < 4000; i++)
        (void)pj_str_putc(&line, 'x');
    log = log_to(&s, NULL);
    for (size_t sent = 0; sent < JOB_LOG_KEPT_MAX * 2; sent += line.len) {
        job_log_say(log, PJ_EVENT_INFO, "%s", pj_str_cstr(&line));
        flush(log);
    }
    s.next = 2;
    job_log_say(log, PJ_EVENT_INFO, "one more");
    cr_assert_lt(job_log_flush(log, true, &err), 0);
    cr_assert_str_eq(err.code, "log_lost");
    job_log_free(log);
    pj_str_release(&s.text);
}

Test(job_log, sends_the_rest_of_a_chunk_that_was_stored_in_part)
{
    struct store s;
    struct job_log *log;

    store_init(&s);
    log = log_to(&s, NULL);
    for (int i = 0; i < 10; i++)
        job_log_say(log, PJ_EVENT_INFO, "entry %d", i + 1);
    s.next = 5;
    flush(log);
    cr_assert_eq(s.next, 11);
    cr_assert_not_null(strstr(s.text.data, "entry 5"));
    cr_assert_null(strstr(s.text.data, "entry 4"));
    job_log_free(log);
    pj_str_release(&s.text);
}

Test(job_log, fails_for_good_when_the_lease_is_anothers)
{
    struct store s;
    struct job_log *log;
    struct pj_err err;

    store_init(&s);
    log = log_to(&s, NULL);
    s.foreign = true;
    out(log, "line\n");
    cr_assert_lt(job_log_flush(log, true, &err), 0);
    cr_assert_str_eq(err.code, "stale_lease");
    job_log_free(log);
    pj_str_release(&s.text);
}

Test(job_log, says_when_its_reader_should_stop_reading)
{
    struct store s;
    struct job_log *log;
    char line[1025];
    struct pj_err err;

    store_init(&s);
    log = log_to(&s, NULL);
    s.away = true;
    memset(line, 'y', 1024);
    line[1023] = '\n';
    line[1024] = '\0';
    for (int i = 0; i < 5000 && !job_log_is_full(log); i++)
        out(log, line);
    cr_assert(job_log_is_full(log));
    s.away = false;
    cr_assert_eq(job_log_drain(log, pj_mono_ms() + 10000, &err), 0);
    cr_assert_not(job_log_is_full(log));
    job_log_free(log);
    pj_str_release(&s.text);
}

Test(job_log, a_mark_goes_with_the_next_entry_and_with_no_other)
{
    struct store s;
    struct job_log *log;
    PJ_CLEANUP(pj_json_decrefp) json_t *data = json_pack("{s:s}", "tool", "run");

    store_init(&s);
    log = log_to(&s, NULL);
    job_log_mark(log, "stage", "preparing");
    job_log_mark(log, "stage", "analyzing");
    job_log_event(log, PJ_STREAM_AGENT, PJ_EVENT_TOOL, "a tool", data);
    job_log_say(log, PJ_EVENT_INFO, "and on");
    flush(log);
    const char *text = pj_str_cstr(&s.text), *mark = strstr(text, "\"stage\":\"analyzing\"");
    cr_assert_not_null(mark, "%s", text);
    cr_expect_not_null(strstr(text, "\"tool\":\"run\""), "%s", text);
    cr_expect(mark < strchr(text, '\n'), "%s", text);
    cr_expect_null(strstr(mark + 1, "\"stage\""), "%s", text);
    cr_expect_null(json_object_get(data, "stage"), "the caller's object is left as it was");
    job_log_mark(log, "stage", "never told");
    job_log_free(log);
    pj_str_release(&s.text);
}

Test(job_log, drops_output_beyond_its_bound_and_says_so_once)
{
    struct store s;
    struct job_log *log;
    char *block = pj_alloc(1, (1 << 20) + 1);

    memset(block, 'z', 1 << 20);
    block[(1 << 20) - 1] = '\n';
    store_init(&s);
    log = log_to(&s, NULL);
    for (int i = 0; i < 70; i++) {
        out(log, block);
        flush(log);
    }
    job_log_say(log, PJ_EVENT_INFO, "our own words go on");
    flush(log);
    cr_assert_eq(job_log_last_n(log), 64 + 2);
    assert_message(&s, 65, "our own words go on");
    job_log_free(log);
    free(block);
    pj_str_release(&s.text);
}

/* What the agent tells through the gateway counts like its output: there is no second way to fill the store. */
Test(job_log, drops_what_the_agent_says_beyond_the_same_bound)
{
    struct store s;
    struct job_log *log;
    PJ_CLEANUP(pj_json_decrefp) json_t *data = json_object();
    char *block = pj_alloc(1, (1 << 20) + 1);

    memset(block, 'z', 1 << 20);
    store_init(&s);
    log = log_to(&s, NULL);
    (void)json_object_set_new(data, "arguments", json_string(block));
    for (int i = 0; i < 70; i++) {
        job_log_event(log, PJ_STREAM_AGENT, PJ_EVENT_TOOL, "run", data);
        flush(log);
    }
    job_log_say(log, PJ_EVENT_INFO, "our own words go on");
    flush(log);
    cr_assert_leq(job_log_last_n(log), 64 + 2);
    cr_assert_geq(job_log_last_n(log), 63 + 2);
    job_log_free(log);
    free(block);
    pj_str_release(&s.text);
}

static int count_bytes(void *ctx, int64_t first, size_t count, struct pj_view lines,
                       int64_t *resend_from, struct pj_err *err)
{
    (void)first;
    (void)count;
    (void)resend_from;
    (void)err;
    *(int64_t *)ctx += (int64_t)lines.n;
    return 0;
}

/* An empty line is one byte of output, and an entry of a hundred: it is the store that must not be filled. */
Test(job_log, empty_lines_take_no_more_of_the_store_than_long_ones)
{
    int64_t stored[2] = {0};

    for (size_t i = 0; i < PJ_COUNT_OF(stored); i++) {
        const struct job_log_config config = {.attempt = 1, .send = count_bytes, .ctx = &stored[i]};
        struct job_log *log = job_log_new(&config);
        char lines[4096];

        memset(lines, '\n', sizeof(lines));
        for (int k = 0; k < 256; k++) {
            if (i == 0)
                job_log_output(log, PJ_STREAM_STDOUT, pj_view_n(lines, sizeof(lines)));
            for (size_t n = 0; i == 1 && n < sizeof(lines); n++)
                job_log_event(log, PJ_STREAM_AGENT, PJ_EVENT_INFO, "", NULL);
            flush(log);
        }
        cr_expect_gt(stored[i], JOB_LOG_OUTPUT_MAX);
        cr_expect_lt(stored[i], JOB_LOG_OUTPUT_MAX + 4096, "%lld bytes", (long long)stored[i]);
        job_log_free(log);
    }
}
