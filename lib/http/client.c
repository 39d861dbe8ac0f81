#include "lib/http/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/view.h"

#define DEFAULT_MAX_BODY ((size_t)1 << 20)
#define MAX_HEAD ((size_t)64 << 10)
#define DEFAULT_TIMEOUT_MS 60000
#define DEFAULT_CONNECT_TIMEOUT_MS 10000

struct pj_http {
    CURLM *multi;
    char *ca_file;
};

/* One call under way. */
struct call {
    CURL *easy;
    const struct pj_http_request *req;
    struct pj_http_response *res;
    struct pj_err *err;
    bool failed;  /* err was filled by a call-back */
    bool refused; /* an address that may not be dialled */
    size_t max_body, body_bytes;
    int64_t started_ms, last_byte_ms;
    char detail[CURL_ERROR_SIZE];
};

/* clang-format off */
static const struct {
    CURLcode curl;
    enum pj_err_class cls;
    const char *code, *text;
} failures[] = {
    {CURLE_UNSUPPORTED_PROTOCOL, PJ_E_INVALID, "http_url", "the address or its scheme is not allowed"},
    {CURLE_URL_MALFORMAT, PJ_E_INVALID, "http_url", "the address is malformed"},
    {CURLE_COULDNT_RESOLVE_PROXY, PJ_E_UNAVAILABLE, "http_resolve", "the proxy's name is not known"},
    {CURLE_COULDNT_RESOLVE_HOST, PJ_E_UNAVAILABLE, "http_resolve", "the host's name is not known"},
    {CURLE_COULDNT_CONNECT, PJ_E_UNAVAILABLE, "http_connect", "no connection"},
    {CURLE_OPERATION_TIMEDOUT, PJ_E_UNAVAILABLE, "http_connect", "no connection in time"},
    {CURLE_SSL_CONNECT_ERROR, PJ_E_UNAVAILABLE, "http_tls", "TLS handshake failed"},
    {CURLE_PEER_FAILED_VERIFICATION, PJ_E_UNAVAILABLE, "http_tls", "the certificate is not trusted"},
    {CURLE_SSL_CACERT_BADFILE, PJ_E_UNAVAILABLE, "http_tls", "the CA file cannot be read"},
    {CURLE_SSL_CERTPROBLEM, PJ_E_UNAVAILABLE, "http_tls", "certificate problem"},
};
/* clang-format on */

struct pj_http *pj_http_new(const char *ca_file)
{
    struct pj_http *http = pj_alloc(1, sizeof *http);

    curl_global_init(CURL_GLOBAL_DEFAULT);
    http->multi = curl_multi_init();
    http->ca_file = pj_strdup_or_null(ca_file);
    return http;
}

void pj_http_free(struct pj_http *http)
{
    if (!http)
        return;
    curl_multi_cleanup(http->multi);
    curl_global_cleanup();
    free(http->ca_file);
    free(http);
}

void pj_http_freep(struct pj_http **http)
{
    pj_http_free(*http);
    *http = NULL;
}

static void received(struct call *call)
{
    call->last_byte_ms = pj_mono_ms();
    if (call->res->first_byte_ms < 0)
        call->res->first_byte_ms = call->last_byte_ms - call->started_ms;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct call *call = arg;
    size_t n = size * count, len = n;
    long status = 0;

    received(call);
    if (n >= 5 &&
        memcmp(bytes, "HTTP/", 5) == 0) { /* a new head: 100 Continue is followed by another */
        pj_str_clear(&call->res->head);
        curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
        call->res->status = (int)status;
        return n;
    }
    while (len > 0 && (bytes[len - 1] == '\r' || bytes[len - 1] == '\n'))
        len--;
    if (len > 0 && (pj_str_append(&call->res->head, bytes, len) < 0 ||
                    pj_str_putc(&call->res->head, '\n') < 0)) {
        pj_fail(call->err, PJ_E_LIMIT, "the answer's head has more than %zu bytes", MAX_HEAD);
        pj_err_code(call->err, "http_large");
        call->failed = true;
        return 0;
    }
    return n;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
    struct call *call = arg;
    size_t n = size * count;
    bool good = call->res->status >= 200 && call->res->status < 300;

    received(call);
    call->body_bytes += n;
    if (call->body_bytes > call->max_body) {
        pj_fail(call->err, PJ_E_LIMIT, "the answer has more than %zu bytes", call->max_body);
        pj_err_code(call->err, "http_large");
        call->failed = true;
        return 0;
    }
    if (good && call->req->on_data) {
        if (call->req->on_data(call->req->on_data_ctx, bytes, n, call->err) < 0) {
            call->failed = true;
            return 0;
        }
    } else {
        (void)pj_str_append(&call->res->body, bytes, n); /* fits: counted above */
    }
    return n;
}

/* Closed on exec like any other: libcurl's own are. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *at)
{
    struct call *call = arg;

    (void)purpose;
    if (call->req->may_dial(&at->addr))
        return socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
    call->refused = true;
    return CURL_SOCKET_BAD;
}

static bool dials_itself(void)
{
    static const char *const proxies[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

    for (size_t i = 0; i < PJ_COUNT_OF(proxies); i++) {
        const char *proxy = getenv(proxies[i]);

        if (proxy != NULL && proxy[0] != '\0') /* an empty one is none */
            return false;
    }
    return true;
}

static struct curl_slist *headers_of(const struct pj_http_request *req)
{
    struct curl_slist *list = NULL;
    bool agent = false;

    for (size_t i = 0; i < req->header_count; i++) {
        if (!req->headers[i].value)
            continue;
        PJ_CLEANUP(pj_freep)
        char *line = pj_asprintf("%s: %s", req->headers[i].name, req->headers[i].value);
        list = curl_slist_append(list, line);
        pj_wipe(line, strlen(line)); /* it may be the credential */
        agent |= strcasecmp(req->headers[i].name, "User-Agent") == 0;
    }
    if (!agent)
        list = curl_slist_append(list, "User-Agent: pithy-jaunt/" PJ_VERSION);
    return curl_slist_append(list, "Expect:"); /* no round trip before the body */
}

static void headers_free(struct curl_slist *list)
{
    for (struct curl_slist *s = list; s; s = s->next)
        pj_wipe(s->data, strlen(s->data));
    curl_slist_free_all(list);
}

static void configure(const struct pj_http *http, struct call *call, struct curl_slist *headers)
{
    const struct pj_http_request *req = call->req;
    CURL *easy = call->easy;

    curl_easy_setopt(easy, CURLOPT_URL, req->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, req->allow_plain ? "http,https" : "https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(
        easy, CURLOPT_CONNECTTIMEOUT_MS,
        (long)(req->connect_timeout_ms > 0 ? req->connect_timeout_ms : DEFAULT_CONNECT_TIMEOUT_MS));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->detail);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, req->once ? 1L : 0L);
    if (http->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
    if (req->may_dial && dials_itself()) {
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
    } else if (req->may_dial) {
        curl_easy_setopt(easy, CURLOPT_NOPROXY, ""); /* it dials, then, whatever the host */
    }
    if (req->body) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, req->body);
    }
    if (req->method && strcmp(req->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (req->method)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
}

/* Milliseconds until the nearer of our two deadlines; fills err when one has passed. */
static int deadline_of(const struct call *call, int *wait_ms, struct pj_err *err)
{
    int64_t now = pj_mono_ms();
    int64_t total = call->req->timeout_ms > 0 ? call->req->timeout_ms : DEFAULT_TIMEOUT_MS;
    int64_t left = call->started_ms + total - now;

    if (left <= 0) {
        pj_fail(err, PJ_E_TIMEOUT, "no complete answer within %lld ms", (long long)total);
        return pj_err_code(err, "http_timeout");
    }
    if (call->req->stall_ms > 0) {
        int64_t stall = call->last_byte_ms + call->req->stall_ms - now;
        if (stall <= 0) {
            pj_fail(err, PJ_E_TIMEOUT, "no byte received for %lld ms",
                    (long long)call->req->stall_ms);
            return pj_err_code(err, "http_stall");
        }
        left = stall < left ? stall : left;
    }
    *wait_ms = left > 60000 ? 60000 : (int)left;
    return 0;
}

/* Wait for curl's descriptors and the pump's, then let the pump work. */
static int wait_once(CURLM *multi, const struct pj_pump *pump, int timeout_ms, struct pj_err *err)
{
    struct pollfd fds[PJ_PUMP_FDS_MAX];
    struct curl_waitfd extra[PJ_PUMP_FDS_MAX];
    size_t n = 0;

    if (pump) {
        int pump_ms = -1;
        n = pump->want(pump->ctx, fds, PJ_PUMP_FDS_MAX, &pump_ms);
        if (pump_ms >= 0 && pump_ms < timeout_ms)
            timeout_ms = pump_ms;
        for (size_t i = 0; i < n; i++) {
            extra[i].fd = fds[i].fd;
            extra[i].events = (short)((fds[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                                      (fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0));
            extra[i].revents = 0;
        }
    }
    curl_multi_poll(multi, extra, (unsigned)n, timeout_ms, NULL);
    if (!pump)
        return 0;
    for (size_t i = 0; i < n; i++)
        fds[i].revents = 0;
    /* curl folds POLLHUP and POLLERR into others; the pump is owed what poll(2) says. */
    if (n > 0 && poll(fds, n, 0) < 0)
        for (size_t i = 0; i < n; i++)
            fds[i].revents = 0;
    return pump->ready(pump->ctx, fds, n, err) < 0 ? -1 : 0;
}

static int judge(const struct call *call, CURLcode code, struct pj_err *err)
{
    const char *detail = call->detail[0] ? call->detail : curl_easy_strerror(code);

    if (call->refused && code == CURLE_COULDNT_CONNECT) {
        pj_fail(err, PJ_E_INVALID, "the host's name stands for an address that may not be dialled");
        return pj_err_code(err, "http_address");
    }
    for (size_t i = 0; i < PJ_COUNT_OF(failures); i++) {
        if (failures[i].curl != code)
            continue;
        pj_fail(err, failures[i].cls, "%s: %s", failures[i].text, detail);
        if (strcmp(failures[i].code, "http_tls") == 0)
            pj_err_remedy(
                err, "set PJ_CA_FILE to the bundle with the certificate authority of that host");
        return pj_err_code(err, failures[i].code);
    }
    pj_fail(err, PJ_E_UNAVAILABLE, "the connection broke: %s", detail);
    return pj_err_code(err, "http_cut");
}

static int drive(struct pj_http *http, struct call *call, struct pj_err *err)
{
    for (;;) {
        int running = 0, left = 0, wait_ms = 0;
        CURLMsg *msg;

        curl_multi_perform(http->multi, &running);
        while ((msg = curl_multi_info_read(http->multi, &left))) {
            if (msg->msg != CURLMSG_DONE || msg->easy_handle != call->easy)
                continue;
            if (call->failed)
                return -1;
            return msg->data.result == CURLE_OK ? 0 : judge(call, msg->data.result, err);
        }
        if (deadline_of(call, &wait_ms, err) < 0 ||
            wait_once(http->multi, call->req->pump, wait_ms, err) < 0)
            return -1;
    }
}

/* Values come from settings and from what users gave as a credential; they are not repeated in the message. */
static int check_headers(const struct pj_http_request *req, struct pj_err *err)
{
    for (size_t i = 0; i < req->header_count; i++) {
        const char *value = req->headers[i].value;

        if (value && strpbrk(value, "\r\n")) {
            pj_fail(err, PJ_E_INVALID, "the header %s would have a line end in its value",
                    req->headers[i].name);
            return pj_err_code(err, "http_header");
        }
    }
    return 0;
}

int pj_http_do(struct pj_http *http, const struct pj_http_request *req,
               struct pj_http_response *res, struct pj_err *err)
{
    struct call call = {.req = req, .res = res, .err = err, .started_ms = pj_mono_ms()};
    struct curl_slist *headers;
    int rc;

    call.max_body = req->max_body > 0 ? req->max_body : DEFAULT_MAX_BODY;
    call.last_byte_ms = call.started_ms;
    memset(res, 0, sizeof *res);
    res->first_byte_ms = -1;
    pj_str_init(&res->head, MAX_HEAD);
    pj_str_init(&res->body, call.max_body);
    if (check_headers(req, err) < 0)
        return -1;
    headers = headers_of(req);
    call.easy = curl_easy_init();
    configure(http, &call, headers);
    curl_multi_add_handle(http->multi, call.easy);
    rc = drive(http, &call, err);
    curl_multi_remove_handle(http->multi, call.easy);
    curl_easy_cleanup(call.easy);
    headers_free(headers);
    res->total_ms = pj_mono_ms() - call.started_ms;
    return rc;
}

void pj_http_response_release(struct pj_http_response *res)
{
    pj_str_release(&res->head);
    pj_str_release(&res->body);
}

bool pj_http_header_get(const struct pj_http_response *res, const char *name, char *buf,
                        size_t size)
{
    struct pj_view rest = pj_view_n(res->head.data, res->head.len), line, found = {0};
    bool have = false;

    while (pj_view_cut(&rest, '\n', &line)) {
        struct pj_view value = line, head;
        if (!pj_view_cut(&value, ':', &head) || !pj_view_is_nocase(head, name))
            continue;
        found = pj_view_trim(value);
        have = true;
    }
    if (!have || found.n >= size)
        return false;
    if (found.n > 0)
        memcpy(buf, found.p, found.n);
    buf[found.n] = '\0';
    return true;
}

int pj_http_pause(int64_t ms, const struct pj_pump *pump, struct pj_err *err)
{
    int64_t until = pj_mono_ms() + ms;

    for (int64_t left = ms; left > 0; left = until - pj_mono_ms()) {
        struct pollfd fds[PJ_PUMP_FDS_MAX];
        int wait_ms = left > 60000 ? 60000 : (int)left, pump_ms = -1;
        size_t n = pump ? pump->want(pump->ctx, fds, PJ_PUMP_FDS_MAX, &pump_ms) : 0;

        if (pump_ms >= 0 && pump_ms < wait_ms)
            wait_ms = pump_ms;
        if (poll(fds, n, wait_ms) < 0)
            for (size_t i = 0; i < n; i++)
                fds[i].revents = 0;
        if (pump && pump->ready(pump->ctx, fds, n, err) < 0)
            return -1;
    }
    return 0;
}
