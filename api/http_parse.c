#include "api/http_parse.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* tchar of RFC 9110, section 5.6.2. */
static const bool token_char[256] = {
    ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true,
    ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true, ['^'] = true, ['_'] = true,
    ['`'] = true, ['|'] = true, ['~'] = true, ['0'] = true, ['1'] = true, ['2'] = true,
    ['3'] = true, ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true,
    ['9'] = true, ['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true,
    ['F'] = true, ['G'] = true, ['H'] = true, ['I'] = true, ['J'] = true, ['K'] = true,
    ['L'] = true, ['M'] = true, ['N'] = true, ['O'] = true, ['P'] = true, ['Q'] = true,
    ['R'] = true, ['S'] = true, ['T'] = true, ['U'] = true, ['V'] = true, ['W'] = true,
    ['X'] = true, ['Y'] = true, ['Z'] = true, ['a'] = true, ['b'] = true, ['c'] = true,
    ['d'] = true, ['e'] = true, ['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true,
    ['j'] = true, ['k'] = true, ['l'] = true, ['m'] = true, ['n'] = true, ['o'] = true,
    ['p'] = true, ['q'] = true, ['r'] = true, ['s'] = true, ['t'] = true, ['u'] = true,
    ['v'] = true, ['w'] = true, ['x'] = true, ['y'] = true, ['z'] = true,
};

static bool is_token(struct pj_view v)
{
    for (size_t i = 0; i < v.n; i++)
        if (!token_char[(unsigned char)v.p[i]])
            return false;
    return v.n > 0;
}

static int refuse(struct http_refusal *why, int status, const char *detail)
{
    why->status = status;
    why->detail = detail;
    return -1;
}

/* Walks the bytes not seen yet; 0 with *end behind the empty line, PJ_NONE, or -1. */
static int scan_lines(const char *p, size_t n, size_t *scanned, size_t *end,
                      struct http_refusal *why)
{
    size_t i = *scanned;

    if (n > 0 && !token_char[(unsigned char)p[0]])
        return refuse(why, 400, "a request starts with a method");
    for (; i < n && i < HTTP_HEAD_MAX; i++) {
        if (p[i] == '\0')
            return refuse(why, 400, "NUL in the head");
        if (p[i] == '\n' && (i == 0 || p[i - 1] != '\r'))
            return refuse(why, 400, "a line ends with CR LF");
        if (p[i] != '\n' && i > 0 && p[i - 1] == '\r')
            return refuse(why, 400, "CR without LF");
        if (p[i] == '\n' && i >= 3 && p[i - 2] == '\n') {
            *scanned = i;
            *end = i + 1;
            return 0;
        }
    }
    *scanned = i;
    if (n >= HTTP_HEAD_MAX)
        return memchr(p, '\n', HTTP_TARGET_MAX + HTTP_METHOD_MAX + 16) == NULL
                   ? refuse(why, 414, "the request target is longer than 4096 bytes")
                   : refuse(why, 431, "the request head is longer than 8192 bytes");
    return PJ_NONE;
}

/* absolute-form (RFC 9112, 3.2.2): cut to origin-form; *authority must then agree with Host. */
static int take_target(struct pj_view target, struct http_head *head, struct pj_view *authority,
                       struct http_refusal *why)
{
    if (target.n > HTTP_TARGET_MAX)
        return refuse(why, 414, "the request target is longer than 4096 bytes");
    for (size_t i = 0; i < target.n; i++)
        if ((unsigned char)target.p[i] <= ' ' || (unsigned char)target.p[i] >= 0x7f ||
            target.p[i] == '#')
            return refuse(why, 400,
                          "the request target has a character that must be percent-encoded");
    if (pj_view_is(target, "*")) {
        if (!pj_view_is(head->method, "OPTIONS"))
            return refuse(why, 400, "'*' is a target for OPTIONS only");
        head->path = target;
        return 0;
    }
    if (target.n > 7 &&
        (memcmp(target.p, "http://", 7) == 0 || memcmp(target.p, "https:/", 7) == 0)) {
        size_t skip = target.p[4] == 's' ? 8 : 7;
        struct pj_view rest = pj_view_n(target.p + skip, target.n - skip);
        size_t slash = 0;
        while (slash < rest.n && rest.p[slash] != '/' && rest.p[slash] != '?')
            slash++;
        *authority = pj_view_n(rest.p, slash);
        if (target.p[skip - 1] != '/' || slash == 0 || slash == rest.n || rest.p[slash] != '/')
            return refuse(why, 400, "malformed absolute request target");
        target = pj_view_n(rest.p + slash, rest.n - slash);
    }
    if (target.n == 0 || target.p[0] != '/')
        return refuse(why, 400, "the request target starts with '/'");
    const char *mark = memchr(target.p, '?', target.n);
    size_t path_n = mark != NULL ? (size_t)(mark - target.p) : target.n;
    head->path = pj_view_n(target.p, path_n);
    head->query =
        mark != NULL ? pj_view_n(mark + 1, target.n - path_n - 1) : pj_view_n(target.p + path_n, 0);
    return 0;
}

static int take_request_line(struct pj_view line, struct http_head *head, struct pj_view *authority,
                             struct http_refusal *why)
{
    const char *sp1 = memchr(line.p, ' ', line.n);
    if (sp1 == NULL)
        return refuse(why, 400, "malformed request line");
    head->method = pj_view_n(line.p, (size_t)(sp1 - line.p));
    struct pj_view rest = pj_view_n(sp1 + 1, line.n - head->method.n - 1);
    const char *sp2 = memchr(rest.p, ' ', rest.n);
    if (sp2 == NULL || !is_token(head->method) || head->method.n > HTTP_METHOD_MAX)
        return refuse(why, 400, "malformed request line");
    struct pj_view target = pj_view_n(rest.p, (size_t)(sp2 - rest.p));
    struct pj_view version = pj_view_n(sp2 + 1, rest.n - target.n - 1);
    if (version.n != 8 || memcmp(version.p, "HTTP/", 5) != 0 || version.p[5] < '0' ||
        version.p[5] > '9' || version.p[6] != '.' || version.p[7] < '0' || version.p[7] > '9')
        return refuse(why, 400, "malformed request line");
    if (version.p[5] != '1' || version.p[7] > '1')
        return refuse(why, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    head->minor = version.p[7] - '0';
    return take_target(target, head, authority, why);
}

static int take_header(struct pj_view line, struct http_head *head, struct http_refusal *why)
{
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(why, 400, "folded header lines are not accepted");
    const char *colon = memchr(line.p, ':', line.n);
    if (colon == NULL)
        return refuse(why, 400, "header line without a colon");
    struct pj_view name = pj_view_n(line.p, (size_t)(colon - line.p));
    struct pj_view value = pj_view_trim(pj_view_n(colon + 1, line.n - name.n - 1));
    if (!is_token(name))
        return refuse(why, 400, "malformed header name");
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return refuse(why, 400, "control character in a header");
    }
    if (head->header_count == HTTP_HEADERS_MAX)
        return refuse(why, 431, "more than 64 headers");
    head->header[head->header_count++] = (struct http_header){name, value};
    return 0;
}

/* "close" and "keep-alive" anywhere in the list. */
static void take_connection(struct pj_view value, struct http_head *head)
{
    struct pj_view item;
    while (pj_view_cut(&value, ',', &item)) {
        item = pj_view_trim(item);
        if (pj_view_is_nocase(item, "close"))
            head->keep_alive = false;
        else if (pj_view_is_nocase(item, "keep-alive") && head->minor == 0)
            head->keep_alive = true;
    }
}

static int take_length(struct pj_view value, struct http_head *head, struct http_refusal *why)
{
    if (head->content_length >= 0)
        return refuse(why, 400, "Content-Length twice");
    if (value.n == 0 || value.n > 18)
        return refuse(why, 400, "malformed Content-Length");
    int64_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return refuse(why, 400, "malformed Content-Length");
        n = n * 10 + (value.p[i] - '0');
    }
    head->content_length = n;
    return 0;
}

/* What the headers that frame a message say. */
static int judge_headers(struct http_head *head, struct pj_view authority, struct http_refusal *why)
{
    size_t hosts = 0, codings = 0;

    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *h = &head->header[i];
        if (pj_view_is_nocase(h->name, "host")) {
            hosts++;
            head->host = h->value;
        } else if (pj_view_is_nocase(h->name, "content-length")) {
            if (take_length(h->value, head, why) < 0)
                return -1;
        } else if (pj_view_is_nocase(h->name, "transfer-encoding")) {
            codings++;
            head->chunked = pj_view_is_nocase(h->value, "chunked");
        } else if (pj_view_is_nocase(h->name, "connection")) {
            take_connection(h->value, head);
        } else if (pj_view_is_nocase(h->name, "expect")) {
            if (!pj_view_is_nocase(h->value, "100-continue"))
                return refuse(why, 417, "only 100-continue can be expected");
            head->expect_continue = true;
        }
    }
    if (hosts != 1 && (head->minor == 1 || hosts > 1))
        return refuse(why, 400, "exactly one Host header is needed");
    for (size_t i = 0; i < head->host.n; i++)
        if (strchr(" \t/,@?#", head->host.p[i]) != NULL)
            return refuse(why, 400, "malformed Host");
    if (codings > 0 && head->content_length >= 0)
        return refuse(why, 400, "Content-Length beside Transfer-Encoding");
    if (codings > 0 && head->minor == 0)
        return refuse(why, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (codings > 1 || (codings == 1 && !head->chunked))
        return refuse(why, 501, "chunked is the only transfer coding accepted");
    if (authority.p != NULL &&
        (authority.n != head->host.n || strncasecmp(authority.p, head->host.p, authority.n) != 0))
        return refuse(why, 400, "Host and the request target name different authorities");
    return 0;
}

int http_parse(const char *p, size_t n, size_t *scanned, struct http_head *head,
               struct http_refusal *why)
{
    size_t end = 0;
    struct pj_view authority = {NULL, 0};

    int rc = scan_lines(p, n, scanned, &end, why);
    if (rc != 0)
        return rc;
    head->size = end;
    head->content_length = -1;
    head->chunked = head->expect_continue = false;
    head->header_count = 0;
    head->host = head->query = pj_view_n(p, 0);
    bool first = true;
    for (size_t at = 0; at + 2 < end;) {
        const char *lf = memchr(p + at, '\n', end - at);
        struct pj_view line = pj_view_n(p + at, (size_t)(lf - (p + at)) - 1);
        if (first ? take_request_line(line, head, &authority, why) < 0
                  : take_header(line, head, why) < 0)
            return -1;
        if (first)
            head->keep_alive = head->minor == 1;
        first = false;
        at += line.n + 2;
    }
    return judge_headers(head, authority, why);
}

static struct pj_view moved(struct pj_view v, const char *from, const char *to)
{
    return pj_view_n(to + (v.p - from), v.n);
}

void http_head_move(struct http_head *out, const struct http_head *head, const char *from,
                    const char *to)
{
    memcpy(out, head, offsetof(struct http_head, header));
    out->method = moved(head->method, from, to);
    out->path = moved(head->path, from, to);
    out->query = moved(head->query, from, to);
    out->host = moved(head->host, from, to);
    for (size_t i = 0; i < head->header_count; i++) {
        out->header[i].name = moved(head->header[i].name, from, to);
        out->header[i].value = moved(head->header[i].value, from, to);
    }
}

struct pj_view http_header(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->header_count; i++)
        if (pj_view_is_nocase(head->header[i].name, name))
            return head->header[i].value;
    return (struct pj_view){NULL, 0};
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

enum {
    CHUNK_SIZE,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_CR,
    CHUNK_LF,
    CHUNK_LAST_CR,
    CHUNK_LAST_LF,
    CHUNK_DONE
};

/* One byte of framing; the sizes are at most 8 digits. */
static int chunk_byte(struct http_chunks *c, char b, struct http_refusal *why)
{
    int digit = hex_digit(b);

    switch (c->state) {
    case CHUNK_SIZE:
        if (digit >= 0 && c->digits < 8) {
            c->left = c->left * 16 + (uint64_t)digit;
            c->digits++;
            return 0;
        }
        if (b != '\r' || c->digits == 0)
            return refuse(why, 400, "malformed chunk size");
        c->state = CHUNK_SIZE_LF;
        return 0;
    case CHUNK_CR:
    case CHUNK_LAST_CR:
        if (b != '\r')
            return refuse(why, 400,
                          c->state == CHUNK_CR ? "a chunk is longer than its size"
                                               : "trailers are not accepted");
        c->state++;
        return 0;
    default: /* one of the three line feeds */
        if (b != '\n')
            return refuse(why, 400, "malformed chunk");
        if (c->state == CHUNK_SIZE_LF)
            c->state = c->left > 0 ? CHUNK_DATA : CHUNK_LAST_CR;
        else
            c->state = c->state == CHUNK_LF ? CHUNK_SIZE : CHUNK_DONE;
        c->digits = 0;
        return 0;
    }
}

int http_chunks_feed(struct http_chunks *c, const char *p, size_t n, size_t *used,
                     struct pj_str *out, struct http_refusal *why)
{
    size_t i = 0;

    while (i < n && c->state != CHUNK_DONE) {
        if (c->state == CHUNK_DATA) {
            size_t part = n - i < c->left ? n - i : (size_t)c->left;
            if (pj_str_append(out, p + i, part) < 0)
                return refuse(why, 413, "the body is too long");
            i += part;
            c->left -= part;
            if (c->left == 0)
                c->state = CHUNK_CR;
        } else if (chunk_byte(c, p[i++], why) < 0) {
            return -1;
        }
    }
    *used = i;
    return c->state == CHUNK_DONE ? 0 : PJ_NONE;
}

int http_unescape(struct pj_view in, bool plus, char *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++) {
        int c = (unsigned char)in.p[i];
        if (c == '%') {
            if (i + 2 >= in.n)
                return -1;
            int high = hex_digit(in.p[i + 1]), low = hex_digit(in.p[i + 2]);
            if (high < 0 || low < 0)
                return -1;
            c = high * 16 + low;
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c < ' ' || c == 0x7f || n + 1 >= cap)
            return -1;
        out[n++] = (char)c;
    }
    if (cap == 0)
        return -1;
    out[n] = '\0';
    return pj_utf8_valid(pj_view_n(out, n)) ? 0 : -1;
}

struct pj_view http_query(struct pj_view query, const char *name)
{
    struct pj_view item, rest = query, key;

    while (rest.p != NULL && pj_view_cut(&rest, '&', &item)) {
        struct pj_view value = item;
        if (!pj_view_cut(&value, '=', &key))
            continue;
        if (pj_view_is(key, name))
            return value.p != NULL ? value : pj_view_n(item.p + item.n, 0);
    }
    return (struct pj_view){NULL, 0};
}
