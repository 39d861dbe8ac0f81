/* The gateway's second face: another agent speaks HTTP to it, from a thread that plays the box. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "lib/base/mem.h"
#include "lib/json/codec.h"
#include "runner/gateway/budget.h"
#include "runner/gateway/http_in.h"
#include "tests/runner/gateway_play.h"
#include "tests/support/model_server.h"

static const char *const chat_headers[] = {"Content-Type: application/json",
                                           "Authorization: Bearer from-the-box", NULL};

static void two_chats(struct play *p)
{
    http_call(p->base, "GET", "/v1/models", NULL, NULL, NULL, &p->a[0]);
    http_call(p->base, "POST", "/v1/chat/completions", NULL,
              "{\"model\":\"gpt-99\",\"stream\":true,\"max_tokens\":999999,\"messages\":[{\"role\":"
              "\"user\",\"content\":\"hi\"}]}",
              chat_headers, &p->a[1]);
    http_call(p->base, "POST", "/v1/chat/completions?x=1", NULL,
              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
              chat_headers, &p->a[2]);
    http_call(p->base, "POST", "/v1/messages", NULL, "{}", chat_headers, &p->a[3]);
}

Test(gateway_foreign, passes_chat_completions_with_our_key_model_and_caps)
{
    static const struct model_answer answers[] = {{.text = "first"}, {.text = "second"}};
    struct model_server *m = model_server_start(0, answers, 2);
    struct rig rig;
    struct play p = {.act = two_chats};

    rig_init(&rig, "openai", model_server_openai_url(m));
    cr_assert_eq(play_serve(&rig, &p), 0, "%s", rig.err.message);
    cr_assert_eq(p.a[0].status, 200);
    cr_assert_not_null(strstr(p.a[0].body, "\"test-model\""));
    cr_assert_eq(p.a[1].status, 200, "%s", p.a[1].body);
    cr_assert_not_null(strstr(p.a[1].body, "data: "));
    cr_assert_not_null(strstr(p.a[1].body, "first"));
    cr_assert_eq(p.a[2].status, 200);
    cr_assert_not_null(strstr(p.a[2].body, "second"));
    cr_assert_eq(p.a[3].status, 400);
    cr_assert_not_null(strstr(p.a[3].body, "messages is no list"));
    cr_assert_str_eq(pj_json_str(model_server_body(m, 0), "model", ""), "test-model");
    cr_assert_eq(pj_json_i64(model_server_body(m, 0), "max_tokens", 0), 32000);
    cr_assert_str_empty(model_server_faults(m), "the key is ours");
    cr_assert_eq(rig.calls, 2);
    cr_assert_eq(rig.result.tokens, 2200);
    cr_assert_eq(rig.result.turns, 3);
    cr_assert(rig_saw(&rig, "system llm_request openai test-model: 1000 tokens in"));
    play_release(&rig, &p);
    model_server_stop(m);
}

static void one_message(struct play *p)
{
    static const char *const headers[] = {"Content-Type: application/json",
                                          "x-api-key: from-the-box",
                                          "anthropic-version: 2023-06-01", NULL};

    http_call(p->base, "POST", "/v1/messages?beta=true", NULL,
              "{\"model\":\"x\",\"max_tokens\":100,\"stream\":true,\"messages\":[{\"role\":"
              "\"user\",\"content\":\"hi\"}]}",
              headers, &p->a[0]);
    http_call(p->base, "POST", "/v1/messages/count_tokens", NULL, "{\"messages\":[]}", headers,
              &p->a[1]);
}

Test(gateway_foreign, passes_messages_to_anthropic)
{
    static const struct model_answer answers[] = {{.text = "well"}};
    struct model_server *m = model_server_start(0, answers, 1);
    struct rig rig;
    struct play p = {.act = one_message};

    rig_init(&rig, "anthropic", model_server_anthropic_url(m));
    cr_assert_eq(play_serve(&rig, &p), 0, "%s", rig.err.message);
    cr_assert_eq(p.a[0].status, 200, "%s", p.a[0].body);
    cr_assert_not_null(strstr(p.a[0].body, "message_stop"));
    cr_assert_eq(p.a[1].status, 200);
    cr_assert_str_empty(model_server_faults(m));
    cr_assert_eq(pj_usage_prompt(&rig.last.usage), 1000);
    play_release(&rig, &p);
    model_server_stop(m);
}

static void until_refused(struct play *p)
{
    for (int i = 0; i < 2; i++)
        http_call(p->base, "POST", "/v1/chat/completions", NULL,
                  "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", chat_headers,
                  &p->a[i]);
}

Test(gateway_foreign, ends_the_run_at_a_limit)
{
    static const struct model_answer answers[] = {{.text = "x", .prompt_tokens = 9000}};
    struct model_server *m = model_server_start(0, answers, 1);
    struct rig rig;
    struct play p = {.act = until_refused};

    rig_init(&rig, "openai", model_server_openai_url(m));
    rig.config.limits.tokens = 9200;
    cr_assert_lt(play_serve(&rig, &p), 0);
    cr_assert_str_eq(rig.err.code, "token_limit");
    cr_assert_eq(p.a[1].status, 429);
    cr_assert_not_null(strstr(p.a[1].body, "token_limit"));
    cr_assert_eq(model_server_count(m), 1);
    play_release(&rig, &p);
    model_server_stop(m);
}

static void dense_talk(struct play *p)
{
    for (int i = 0; i < 2; i++) {
        PJ_CLEANUP(pj_freep)
        char *body = pj_asprintf("{\"messages\":[{\"role\":\"user\",\"content\":\"%0*d\"}]}",
                                 i == 0 ? 9000 : 18000, 0);

        http_call(p->base, "POST", "/v1/chat/completions", NULL, body, chat_headers, &p->a[i]);
    }
}

/* Text that weighs more than most: the second call is measured by the first and not made. */
Test(gateway_foreign, learns_how_much_the_tasks_text_weighs)
{
    static const struct model_answer answers[] = {{.text = "x", .prompt_tokens = 9000}};
    struct model_server *m = model_server_start(0, answers, 1);
    struct rig rig;
    struct play p = {.act = dense_talk};

    rig_init(&rig, "openai", model_server_openai_url(m));
    rig.config.limits.tokens = 25000;
    cr_assert_lt(play_serve(&rig, &p), 0);
    cr_assert_str_eq(rig.err.code, "token_limit");
    cr_assert_eq(model_server_count(m), 1);
    play_release(&rig, &p);
    model_server_stop(m);
}

Test(gateway_budget, prompts_are_measured_by_what_was_counted)
{
    /* clang-format off */
    static const struct {
        size_t known_bytes; int64_t known_tokens;
        size_t bytes;
        int64_t least, most;
    } rows[] = {
        {0,      0,     9000,   3000,  3001},  /* nothing is known */
        {300,    900,   30000,  10800, 10900}, /* too little to learn from: the rest by thirds */
        {300,    900,   200,    66,    67},
        {80000,  20000, 80000,  20000, 20001}, /* the same again */
        {80000,  20000, 83000,  21000, 21001}, /* grown: a third of the rest, which is more than its weight */
        {80000,  60000, 84000,  63000, 63001}, /* dense text goes on */
        {80000,  20000, 8000,   2000,  2000},  /* another talk, or a shortened one */
        {800000, 2000,  100000, 20000, 20000}, /* pictures teach nothing about text */
    };
    /* clang-format on */

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        struct budget b = {.max_cost = -1};
        struct pj_usage usage = {.uncached = rows[i].known_tokens, .reported_microusd = -1},
                        little = {.uncached = 7, .reported_microusd = -1};

        budget_settle(&b, rows[i].known_bytes, &usage, 0);
        if (rows[i].known_bytes > 0) /* a short talk beside it */
            budget_settle(&b, rows[i].known_bytes / 2, &little, 0);
        int64_t prompt = budget_prompt(&b, rows[i].bytes);
        cr_expect(prompt >= rows[i].least && prompt <= rows[i].most, "%zu: %lld", i,
                  (long long)prompt);
    }
}

static void errors_pass(struct play *p)
{
    http_call(p->base, "POST", "/v1/chat/completions", NULL,
              "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", chat_headers, &p->a[0]);
    http_call(p->base, "POST", "/v1/chat/completions", NULL, "{broken", chat_headers, &p->a[1]);
    http_call(p->base, "POST", "/etc/passwd", NULL, "{}", chat_headers, &p->a[2]);
    http_call(p->base, "DELETE", "/v1/models", NULL, NULL, NULL, &p->a[3]);
}

Test(gateway_foreign, hands_the_providers_errors_back_and_refuses_the_rest)
{
    static const struct model_answer answers[] = {{.status = 429, .headers = {"Retry-After: 9"}}};
    struct model_server *m = model_server_start(0, answers, 1);
    struct rig rig;
    struct play p = {.act = errors_pass};
    char *after;

    rig_init(&rig, "openai", model_server_openai_url(m));
    cr_assert_eq(play_serve(&rig, &p), 0, "%s", rig.err.message);
    cr_assert_eq(p.a[0].status, 429);
    after = http_answer_header(&p.a[0], "Retry-After");
    cr_assert_str_eq(after, "9");
    cr_assert_eq(p.a[1].status, 400);
    cr_assert_eq(p.a[2].status, 404);
    cr_assert_eq(p.a[3].status, 404);
    free(after);
    play_release(&rig, &p);
    model_server_stop(m);
}

/* clang-format off */
static const struct {
    const char *provider, *path, *body, *gone; /* gone: must not reach the provider; NULL: the request is refused */
    bool said;
} ways_out[] = {
    {"openai", "/v1/chat/completions", "{\"n\":50,\"service_tier\":\"priority\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "\"n\"", false},
    {"openai", "/v1/chat/completions", "{\"web_search_options\":{},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "web_search", true},
    {"openai", "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://evil.example/?leak\"}}]}]}", NULL, false},
    {"openai", "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}}]}]}", "evil", false},
    {"responses", "/v1/responses", "{\"background\":true,\"store\":true,\"input\":\"hi\"}", "background", true},
    {"responses", "/v1/responses", "{\"input\":\"hi\",\"tools\":[{\"type\":\"mcp\",\"server_label\":\"x\",\"server_url\":\"https://evil.example\"},{\"type\":\"web_search\"},"
     "{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{\"url\":{\"type\":\"string\"}}}}]}", "evil", true},
    {"responses", "/v1/responses", "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\",\"file_url\":\"https://evil.example/?leak\"}]}]}", NULL, false},
    {"anthropic", "/v1/messages", "{\"max_tokens\":9,\"mcp_servers\":[{\"type\":\"url\",\"url\":\"https://evil.example\"}],\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "evil", true},
    {"anthropic", "/v1/messages", "{\"max_tokens\":9,\"tools\":[{\"type\":\"web_fetch_20250910\",\"name\":\"web_fetch\"},{\"name\":\"g\",\"input_schema\":{\"type\":\"object\"}}],"
     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "web_fetch", true},
    {"anthropic", "/v1/messages", "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"http://evil.example/?leak\"}}]}]}", NULL, false},
#define ASKED "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define PART(part) "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[" part "]}]}"
#define ITEM(item) "{\"input\":[{\"role\":\"user\",\"content\":\"hi\"}," item "]}"
    {"openai", "/v1/chat/completions", PART("{\"type\":\"file\",\"file\":{\"file_id\":\"file-1\"}}"), NULL, false},
    {"openai", "/v1/chat/completions", PART("{\"type\":\"file\",\"file\":{\"file_data\":\"data:application/pdf;base64,AA==\",\"filename\":\"a.pdf\"}}"), "evil", false},
    {"openai", "/v1/chat/completions", PART("{\"type\":\"video_url\",\"video_url\":\"file:///etc/passwd\"}"), NULL, false},
    {"openai", "/v1/chat/completions", PART("{\"type\":\"image_url\",\"IMAGE_URL\":{\"URL\":\"https://evil.example\"}}"), NULL, false},
    {"openai", "/v1/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"audio\":{\"id\":\"audio_1\"}}]}", NULL, false},
    {"responses", "/v1/responses", "{\"previous_response_id\":\"resp_1\",\"input\":\"hi\"}", NULL, false},
    {"responses", "/v1/responses", "{\"conversation\":{\"id\":\"conv_1\"},\"input\":\"hi\"}", NULL, false},
    {"responses", "/v1/responses", "{\"prompt\":{\"id\":\"pmpt_1\"},\"input\":\"hi\"}", NULL, false},
    {"responses", "/v1/responses", "{\"previous_response_id\":null,\"conversation\":null,\"input\":\"hi\"}", "conversation", true},
    {"responses", "/v1/responses", "{\"input\":\"hi\",\"tools\":[{\"type\":\"file_search\",\"vector_store_ids\":[\"vs_1\"]},{\"type\":\"code_interpreter\",\"container\":\"cntr_1\"}]}", "_1", true},
    {"responses", "/v1/responses", ITEM("{\"type\":\"additional_tools\",\"role\":\"developer\",\"tools\":[{\"type\":\"namespace\",\"name\":\"s\",\"description\":\"d\",\"tools\":["
     "{\"type\":\"web_search\"},{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}]},{\"type\":\"mcp\",\"server_url\":\"https://evil.example\"}]}"),
     "evil", true},
    {"responses", "/v1/responses", ITEM("{\"type\":\"additional_tools\",\"role\":\"developer\",\"tools\":[{\"type\":\"namespace\",\"name\":\"s\",\"tools\":[{\"type\":\"web_search\"}]}]}"),
     "additional", true},
    {"responses", "/v1/responses", ITEM("{\"type\":\"item_reference\",\"id\":\"msg_1\"}"), NULL, false},
    {"responses", "/v1/responses", ITEM("{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[]}"), "rs_1", false},
    {"responses", "/v1/responses", ITEM("{\"type\":\"mcp_approval_response\",\"approve\":true,\"approval_request_id\":\"mcpr_1\"}"), NULL, false},
    {"responses", "/v1/responses", ITEM("{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"file_id\":\"file-1\"}]}"), NULL, false},
    {"responses", "/v1/responses", ITEM("{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{\\\"file_id\\\":\\\"own\\\"}\"},"
     "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":[{\"type\":\"input_file\",\"file_id\":\"file-1\"}]}"), NULL, false},
    {"anthropic", "/v1/messages", "{\"max_tokens\":9,\"container\":\"container_1\"," ASKED "}", NULL, false},
    {"anthropic", "/v1/messages", "{\"max_tokens\":9,\"container\":{\"skills\":[{\"type\":\"custom\",\"skill_id\":\"skill_1\"}]}," ASKED "}", NULL, false},
    {"anthropic", "/v1/messages", PART("{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"file_1\"}}"), NULL, false},
    {"anthropic", "/v1/messages", PART("{\"type\":\"container_upload\",\"file_id\":\"file_1\"}"), NULL, false},
    {"anthropic", "/v1/messages", PART("{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://evil.example\"}}]}}"), NULL, false},
    {"anthropic", "/v1/messages", PART("{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"AA==\"},\"cache_control\":{\"type\":\"ephemeral\"}}"), "evil", false},
    {"anthropic", "/v1/messages", "{\"max_tokens\":9,\"system\":[{\"type\":\"document\",\"source\":{\"type\":\"file\",\"file_id\":\"file_1\"}}]," ASKED "}", NULL, false},
    {"anthropic", "/v1/messages", "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\","
     "\"name\":\"g\",\"input\":{\"url\":\"https://own.example\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":\"r\"}]}]}", "evil", false},
};
/* clang-format on */

static void one_way_out(struct play *p)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    size_t i = *(const size_t *)p->given;

    http_call(p->base, "POST", ways_out[i].path, NULL, ways_out[i].body, headers, &p->a[0]);
}

/* How the row is answered when `provider` is in use. */
static void try_way(size_t i, const char *provider)
{
    static const struct model_answer answers[] = {{.text = "well"}};
    struct model_server *m = model_server_start(0, answers, 1);
    bool anthropic = strcmp(provider, "anthropic") == 0;
    struct rig rig;
    struct play p = {.act = one_way_out, .given = &i};

    rig_init(&rig, anthropic ? "anthropic" : "openai",
             anthropic ? model_server_anthropic_url(m) : model_server_openai_url(m));
    rig.config.primary.api = strcmp(provider, "responses") == 0 ? "responses" : NULL;
    cr_assert_eq(play_serve(&rig, &p), 0, "%s", rig.err.message);
    cr_expect_eq(p.a[0].status, ways_out[i].gone ? 200 : 400, "%zu: %s", i, p.a[0].body);
    cr_expect_eq(model_server_count(m), ways_out[i].gone ? 1 : 0, "%zu", i);
    if (ways_out[i].gone) {
        PJ_CLEANUP(pj_freep) char *sent = pj_json_text(model_server_body(m, 0));
        cr_expect_null(strstr(sent, ways_out[i].gone), "%zu: %s", i, sent);
        cr_expect_str_empty(model_server_faults(m), "%zu: %s", i, model_server_faults(m));
    } else {
        cr_expect_not_null(strstr(p.a[0].body, "offline"), "%s", p.a[0].body);
    }
    cr_expect_eq(rig_saw(&rig, "are left out"), ways_out[i].said, "%zu", i);
    play_release(&rig, &p);
    model_server_stop(m);
}

/* The box is offline and its answer one: the provider must be no way round either. */
Test(gateway_foreign, a_provider_is_no_way_out_of_the_box)
{
    for (size_t i = 0; i < PJ_COUNT_OF(ways_out); i++)
        try_way(i, ways_out[i].provider);
}

/* What is refused is refused whatever the provider's format: an agent gets the same answer before and after a fallback. */
Test(gateway_foreign, references_are_refused_for_a_provider_of_another_format_too)
{
    for (size_t i = 0; i < PJ_COUNT_OF(ways_out); i++)
        if (!ways_out[i].gone)
            try_way(i, strcmp(ways_out[i].provider, "anthropic") == 0 ? "openai" : "anthropic");
}

static void flood(struct play *p)
{
    int fd[12];
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    static char body[1 << 20];
    static const char head[] = "POST /v1/messages HTTP/1.1\r\nContent-Length: 16000000\r\n\r\n";

    memset(body, ' ', sizeof body);
    (void)snprintf(addr.sun_path, sizeof addr.sun_path, "%s", p->rig->socket);
    for (size_t i = 0; i < PJ_COUNT_OF(fd); i++) {
        fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(connect(fd[i], (const struct sockaddr *)&addr, sizeof addr), 0);
        (void)!send(fd[i], head, sizeof head - 1, MSG_NOSIGNAL);
        for (int k = 0; k < 14 && send(fd[i], body, sizeof body, MSG_NOSIGNAL) > 0; k++)
            ;
    }
    p->a[0].status = (int)recv(fd[11], body, 12, MSG_WAITALL); /* "HTTP/1.1 503", or cut */
    p->a[1].status = p->a[0].status == 12 && memcmp(body, "HTTP/1.1 503", 12) == 0;
    for (size_t i = 0; i < PJ_COUNT_OF(fd); i++)
        close(fd[i]);
}

/* Many large requests that never become whole take a bounded share of memory. */
Test(gateway_foreign, unfinished_requests_are_bounded_together)
{
    struct rig rig;
    struct play p = {.act = flood};

    rig_init(&rig, "anthropic", "http://127.0.0.1:9");
    cr_assert_eq(play_serve(&rig, &p), 0, "%s", rig.err.message);
    cr_expect(p.a[1].status == 1 || p.a[0].status <= 0, "the last one was refused");
    p.a[0].status = p.a[1].status = 0;
    play_release(&rig, &p);
}

Test(http_in, refuses_what_it_need_not_understand)
{
    /* clang-format off */
    static const struct {
        const char *bytes;
        int rc;
    } rows[] = {
        {"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n", 0},
        {"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", 0},
        {"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", PJ_NONE},
        {"POST /x HTTP/1.1\r\nContent-Len", PJ_NONE},
        {"POST /x HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", 400},
        {"POST /x HTTP/1.1\r\nContent-Length: +2\r\n\r\nab", 400},
        {"POST /x HTTP/1.1\r\nContent-Length: -2\r\n\r\nab", 400},
        {"POST /x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413},
        {"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411},
        {"POST /x HTTP/1.0\r\n\r\n", 400},
        {"POST x HTTP/1.1\r\n\r\n", 400},
        {"POST  /x HTTP/1.1\r\n\r\n", 400},
        {"POST /x HTTP/1.1\r\nA : b\r\n\r\n", 400},
        {"POST /x HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400},
        {"POST /x HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 400},
        {"\r\n\r\n", 400},
    };
    /* clang-format on */
    struct http_in in;

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++)
        cr_expect_eq(http_in_parse(pj_view_of(rows[i].bytes), &in), rows[i].rc, "%s",
                     rows[i].bytes);
}
