#include "runner/gateway/http_in.h"

#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/base/err.h"

static bool is_token(struct pj_view v)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("!#$%&'*+-.^_`|~", c)) ||
            !c)
            return false;
    }
    return v.n > 0;
}

static int parse_line(struct pj_view line, struct http_in *out)
{
    struct pj_view rest = line, target;

    if (!pj_view_cut(&rest, ' ', &out->method) || !is_token(out->method) ||
        !pj_view_cut(&rest, ' ', &target) || !pj_view_is(rest, "HTTP/1.1") || target.n == 0 ||
        target.p[0] != '/')
        return 400;
    (void)pj_view_cut(&target, '?', &out->path);
    return 0;
}

/* Everything between the request line and the empty line, which end in CRLF each. */
static int parse_fields(struct pj_view fields, struct http_in *out, int64_t *length)
{
    struct pj_view line;
    bool have = false;

    *length = 0;
    while (fields.n > 0) {
        struct pj_view name, value;
        const char *end = memmem(fields.p, fields.n, "\r\n", 2);

        if (!end)
            return 400;
        line = pj_view_n(fields.p, (size_t)(end - fields.p));
        fields = pj_view_n(end + 2, fields.n - line.n - 2);
        value = line;
        if (memchr(line.p, '\n', line.n) || memchr(line.p, '\r', line.n) ||
            memchr(line.p, '\0', line.n) || !pj_view_cut(&value, ':', &name) || !is_token(name) ||
            name.n == line.n)
            return 400;
        value = pj_view_trim(value);
        if (pj_view_is_nocase(name, "transfer-encoding"))
            return 411;
        if (pj_view_is_nocase(name, "expect"))
            out->wants_continue = pj_view_is_nocase(value, "100-continue");
        if (!pj_view_is_nocase(name, "content-length"))
            continue;
        if (have || value.n == 0 || value.p[0] == '+' || pj_parse_i64(value, length) < 0 ||
            *length < 0)
            return 400;
        have = true;
    }
    return *length > (int64_t)HTTP_IN_BODY_MAX ? 413 : 0;
}

int http_in_parse(struct pj_view bytes, struct http_in *out)
{
    const char *end = bytes.n > 0 ? memmem(bytes.p, bytes.n, "\r\n\r\n", 4) : NULL;
    const char *first = bytes.n > 0 ? memmem(bytes.p, bytes.n, "\r\n", 2) : NULL;
    int64_t length = 0;
    int rc;

    memset(out, 0, sizeof *out);
    if (!end)
        return bytes.n > HTTP_IN_HEAD_MAX ? 431 : PJ_NONE;
    out->head_len = (size_t)(end - bytes.p) + 4;
    if (out->head_len > HTTP_IN_HEAD_MAX)
        return 431;
    rc = parse_line(pj_view_n(bytes.p, (size_t)(first - bytes.p)), out);
    if (rc == 0)
        rc = parse_fields(pj_view_n(first + 2, out->head_len - (size_t)(first + 2 - bytes.p) - 2),
                          out, &length);
    if (rc != 0)
        return rc;
    if ((int64_t)(bytes.n - out->head_len) < length)
        return PJ_NONE;
    out->wants_continue = false;
    out->body = pj_view_n(bytes.p + out->head_len, (size_t)length);
    return 0;
}

struct pj_view http_in_header(struct pj_view bytes, const struct http_in *in, const char *name)
{
    struct pj_view rest = pj_view_n(bytes.p, in->head_len), line, head;

    while (pj_view_cut(&rest, '\n', &line)) {
        struct pj_view value = line;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            value.n--;
        if (pj_view_cut(&value, ':', &head) && pj_view_is_nocase(head, name))
            return pj_view_trim(value);
    }
    return pj_view_n(NULL, 0);
}
