#include "lib/http/smtp.h"

#include <curl/curl.h>
#include <string.h>

#define DEFAULT_TIMEOUT_MS 30000
#define REPLY_MAX 300

struct sending {
    struct pj_view rest;
    char reply[REPLY_MAX]; /* the server's last line */
};

static size_t read_message(char *buf, size_t size, size_t count, void *ctx)
{
    struct sending *s = ctx;
    size_t n = size * count < s->rest.n ? size * count : s->rest.n;

    if (n > 0)
        memcpy(buf, s->rest.p, n);
    s->rest = pj_view_n(s->rest.p + n, s->rest.n - n);
    return n;
}

/* libcurl gives replies of the server as headers. */
static size_t read_reply(char *buf, size_t size, size_t count, void *ctx)
{
    struct sending *s = ctx;
    size_t n = size * count;
    size_t keep = n < REPLY_MAX - 1 ? n : REPLY_MAX - 1;

    memcpy(s->reply, buf, keep);
    s->reply[keep] = '\0';
    s->reply[strcspn(s->reply, "\r\n")] = '\0';
    return n;
}

static void configure(CURL *easy, const struct pj_smtp *server, struct sending *s, const char *from,
                      struct curl_slist *to, char *detail)
{
    int64_t timeout = server->timeout_ms > 0 ? server->timeout_ms : DEFAULT_TIMEOUT_MS;

    curl_easy_setopt(easy, CURLOPT_URL, server->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_USE_SSL,
                     (long)(server->tls_required ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    if (server->ca_file != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, server->ca_file);
    if (server->user != NULL)
        curl_easy_setopt(easy, CURLOPT_USERNAME, server->user);
    if (server->password != NULL)
        curl_easy_setopt(easy, CURLOPT_PASSWORD, server->password);
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_message);
    curl_easy_setopt(easy, CURLOPT_READDATA, s);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, read_reply);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail);
}

/* Answers that are about our settings, not about the mail: it goes out once those are right. */
static bool is_about_login(CURLcode rc, long status)
{
    return rc == CURLE_LOGIN_DENIED || status == 530 || status == 534 || status == 535 ||
           status == 538;
}

int pj_smtp_send(const struct pj_smtp *server, const char *from, const char *to,
                 struct pj_view message, struct pj_err *err)
{
    struct sending s = {.rest = message};
    char detail[CURL_ERROR_SIZE] = "";
    struct curl_slist *list;
    long status = 0;
    CURLcode rc;
    CURL *easy;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    easy = curl_easy_init();
    list = curl_slist_append(NULL, to);
    if (easy == NULL || list == NULL) {
        curl_easy_cleanup(easy);
        curl_slist_free_all(list);
        return pj_fail(err, PJ_E_INTERNAL, "libcurl");
    }
    configure(easy, server, &s, from, list, detail);
    rc = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(list);
    curl_easy_cleanup(easy);
    if (rc == CURLE_OK)
        return 0;
    if (is_about_login(rc, status))
        return pj_fail(err, PJ_E_UNAVAILABLE,
                       "the mail server does not accept user and password (PJ_SMTP_USER, "
                       "PJ_SMTP_PASSWORD, PJ_SMTP_TLS): %s",
                       s.reply);
    if (status >= 500)
        return pj_fail(err, PJ_E_INVALID, "the mail server refused: %s", s.reply);
    return pj_fail(err, PJ_E_UNAVAILABLE, "mail server: %s%s%s",
                   detail[0] != '\0' ? detail : curl_easy_strerror(rc),
                   s.reply[0] != '\0' ? "; it said: " : "", s.reply);
}
