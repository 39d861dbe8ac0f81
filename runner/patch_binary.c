/* git's binary parts: base 85, deflate, and a delta against the old content (git, base85.c and patch-delta.c). */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/base/mem.h"
#include "runner/patch_apply.h"

static int broken(struct pj_err *err, const char *why)
{
    (void)pj_fail(err, PJ_E_INVALID, "broken binary part: %s", why);
    return pj_err_code(err, "patch_malformed");
}

static int digit(char c)
{
    static const char alphabet[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    const char *at = strchr(alphabet, c);

    return c != '\0' && at != NULL ? (int)(at - alphabet) : -1;
}

/* One line of a part: its length letter and groups of five. */
static int decode_line(struct pj_view line, struct pj_str *out)
{
    size_t left = line.p[0] >= 'a' ? (size_t)(line.p[0] - 'a') + 27 : (size_t)(line.p[0] - 'A') + 1;

    for (size_t i = 1; i + 5 <= line.n; i += 5) {
        uint64_t value = 0;
        for (size_t k = 0; k < 5; k++)
            value = value * 85 + (uint64_t)digit(line.p[i + k]);
        if (value > UINT32_MAX)
            return -1;
        for (int shift = 24; shift >= 0 && left > 0; shift -= 8, left--) {
            if (pj_str_putc(out, (char)(unsigned char)(value >> shift)) < 0)
                return -1;
        }
    }
    return 0;
}

/* The bytes of a part, inflated: exactly as many as it states. */
static int inflate_part(struct pj_view part, struct pj_str *out, bool *is_delta, struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str packed;
    struct pj_view rest = part;
    struct pj_view line = {0};
    uint64_t bytes = 0;

    pj_str_init(&packed, part.n);
    (void)pj_view_cut(&rest, '\n', &line);
    *is_delta = pj_view_starts(line, "delta ");
    size_t word = *is_delta ? 6 : 8;
    if (pj_parse_u64(pj_view_n(line.p + word, line.n - word), &bytes) < 0 || bytes > out->max)
        return broken(err, "its size is over the limit");
    while (pj_view_cut(&rest, '\n', &line)) {
        if (line.n > 0 && decode_line(line, &packed) < 0)
            return broken(err, "not base 85");
    }
    PJ_CLEANUP(pj_freep) char *flat = pj_alloc((size_t)bytes + 1, 1);
    z_stream z = {.next_in = (Bytef *)packed.data,
                  .avail_in = (uInt)packed.len,
                  .next_out = (Bytef *)flat,
                  .avail_out = (uInt)bytes + 1};
    if (inflateInit(&z) != Z_OK)
        return pj_fail(err, PJ_E_INTERNAL, "zlib does not start");
    int rc = inflate(&z, Z_FINISH);
    uLong got = z.total_out;
    inflateEnd(&z);
    if (rc != Z_STREAM_END || got != bytes || z.avail_in != 0)
        return broken(err, "it does not inflate to the size it states");
    (void)pj_str_append(out, flat, (size_t)bytes);
    return 0;
}

struct bytes {
    const unsigned char *p, *end;
};

static bool varint(struct bytes *b, uint64_t *out)
{
    unsigned shift = 0;

    *out = 0;
    while (b->p < b->end && shift < 56) {
        unsigned char c = *b->p++;
        *out |= (uint64_t)(c & 0x7f) << shift;
        shift += 7;
        if ((c & 0x80) == 0)
            return true;
    }
    return false;
}

/* The bytes of an offset (four) or a size (three) that the instruction says are there. */
static bool sparse(struct bytes *b, unsigned char bits, unsigned count, uint64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < count; i++) {
        if ((bits & (1u << i)) == 0)
            continue;
        if (b->p == b->end)
            return false;
        *out |= (uint64_t)*b->p++ << (8 * i);
    }
    return true;
}

static bool copy(struct bytes *b, unsigned char op, struct pj_view base, struct pj_str *out)
{
    uint64_t offset = 0;
    uint64_t n = 0;

    if (!sparse(b, op & 0x0f, 4, &offset) || !sparse(b, (op >> 4) & 0x07, 3, &n))
        return false;
    if (n == 0)
        n = 0x10000;
    if (offset > base.n || n > base.n - offset)
        return false;
    return pj_str_append(out, base.p + offset, (size_t)n) == 0;
}

static bool apply_delta(struct pj_view base, const struct pj_str *delta, struct pj_str *out)
{
    struct bytes b = {(const unsigned char *)delta->data,
                      (const unsigned char *)delta->data + delta->len};
    uint64_t old_bytes = 0;
    uint64_t new_bytes = 0;

    if (!varint(&b, &old_bytes) || !varint(&b, &new_bytes) || old_bytes != base.n ||
        new_bytes > out->max)
        return false;
    while (b.p < b.end) {
        unsigned char op = *b.p++;
        if ((op & 0x80) != 0) {
            if (!copy(&b, op, base, out))
                return false;
        } else if (op == 0 || (size_t)(b.end - b.p) < op) {
            return false;
        } else {
            if (pj_str_append(out, b.p, op) < 0)
                return false;
            b.p += op;
        }
    }
    return out->len == new_bytes;
}

int patch_apply_binary(const struct patch_file *file, struct pj_view base, struct pj_str *out,
                       struct pj_err *err)
{
    PJ_CLEANUP(pj_str_release) struct pj_str part;
    bool is_delta = false;

    pj_str_init(&part, out->max);
    if (inflate_part(file->forward, &part, &is_delta, err) < 0)
        return pj_err_wrap(err, "%s", patch_file_path(file));
    if (!is_delta) {
        (void)pj_str_append(out, part.data, part.len);
        return 0;
    }
    if (!apply_delta(base, &part, out)) {
        (void)broken(err, "the delta does not fit");
        return pj_err_wrap(err, "%s", patch_file_path(file));
    }
    return 0;
}
