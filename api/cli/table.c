#include "api/cli/table.h"

#include <stdlib.h>
#include <string.h>
#include "lib/base/cleanup.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/json/codec.h"

#define COLUMNS_MAX 16
#define AS_SENT JSON_REAL_PRECISION(15) /* as many digits as the API writes */

char *table_value(const json_t *doc, const char *path)
{
    struct pj_view rest = pj_view_of(path), part;
    const json_t *at = doc;

    while (at && pj_view_cut(&rest, '.', &part)) {
        PJ_CLEANUP(pj_freep) char *name = pj_strndup(part.p, part.n);

        at = json_object_get(at, name);
    }
    if (!at || json_is_null(at))
        return NULL;
    if (json_is_string(at))
        return pj_strdup(json_string_value(at));
    return json_dumps(at, JSON_COMPACT | JSON_ENCODE_ANY | AS_SENT);
}

/* C0, DEL and C1 (as UTF-8: C2 80 to C2 9F). */
static bool is_control(const unsigned char *p)
{
    return *p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f);
}

void table_put_text(FILE *to, const char *text, bool lines)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '\t' || (lines && *p == '\n')) {
            (void)fputc(*p, to);
        } else if (is_control(p)) {
            (void)fputc(' ', to);
            p += *p == 0xc2;
        } else {
            (void)fputc(*p, to);
        }
    }
}

/* Columns a text takes: code points, which is right for all but wide scripts. */
static int width(const char *text)
{
    int n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

char *table_cell(const char *text, int max)
{
    char *copy = pj_strdup(text ? text : "-");

    for (char *p = copy; *p; p++)
        if (*p == '\n' || *p == '\t' || *p == '\r')
            *p = ' ';
    if (max <= 0 || width(copy) <= max)
        return copy;
    char *p = copy;
    for (int n = 0; *p; p++) {
        n += ((unsigned char)*p & 0xc0) != 0x80;
        if (n == max)
            break;
    }
    *p = '\0';
    char *cut = pj_asprintf("%s…", copy);
    free(copy);
    return cut;
}

static void put_padded(const char *text, int to, bool last)
{
    table_put_text(stdout, text, false);
    for (int n = width(text); !last && n < to + 2; n++)
        (void)putchar(' ');
}

static void print_aligned(const struct cli *cli, const struct table_column *columns, size_t count,
                          const json_t *rows)
{
    int widths[COLUMNS_MAX];
    size_t i, k;
    json_t *row;

    for (i = 0; i < count; i++)
        widths[i] = width(columns[i].title);
    json_array_foreach(rows, k, row)
    {
        for (i = 0; i < count; i++) {
            PJ_CLEANUP(pj_freep) char *value = table_value(row, columns[i].path);
            PJ_CLEANUP(pj_freep) char *text = table_cell(value, columns[i].max_width);
            int n = width(text);

            widths[i] = n > widths[i] ? n : widths[i];
        }
    }
    if (cli->colour)
        (void)fputs("\033[1m", stdout);
    for (i = 0; i < count; i++)
        put_padded(columns[i].title, widths[i], i + 1 == count);
    (void)fputs(cli->colour ? "\033[0m\n" : "\n", stdout);
    json_array_foreach(rows, k, row)
    {
        for (i = 0; i < count; i++) {
            PJ_CLEANUP(pj_freep) char *value = table_value(row, columns[i].path);
            PJ_CLEANUP(pj_freep) char *text = table_cell(value, columns[i].max_width);

            put_padded(text, widths[i], i + 1 == count);
        }
        (void)putchar('\n');
    }
}

static void print_tsv(const struct table_column *columns, size_t count, const json_t *rows)
{
    size_t i, k;
    json_t *row;

    json_array_foreach(rows, k, row)
    {
        for (i = 0; i < count; i++) {
            PJ_CLEANUP(pj_freep) char *value = table_value(row, columns[i].path);
            PJ_CLEANUP(pj_freep) char *text = table_cell(value ? value : "", 0);

            if (i > 0)
                (void)putchar('\t');
            table_put_text(stdout, text, false);
        }
        (void)putchar('\n');
    }
}

void table_print(const struct cli *cli, const struct table_column *columns, size_t count,
                 const json_t *rows)
{
    if (cli->json)
        table_json(cli, rows);
    else if (cli->tty)
        print_aligned(cli, columns, count, rows);
    else
        print_tsv(columns, count, rows);
}

void table_record(const struct cli *cli, const struct table_column *fields, size_t count,
                  const json_t *doc)
{
    int widest = 0;

    if (cli->json) {
        table_json(cli, doc);
        return;
    }
    for (size_t i = 0; i < count; i++)
        widest = width(fields[i].title) > widest ? width(fields[i].title) : widest;
    for (size_t i = 0; i < count; i++) {
        PJ_CLEANUP(pj_freep) char *value = table_value(doc, fields[i].path);

        if (!value || !*value)
            continue;
        if (cli->tty)
            put_padded(fields[i].title, widest, false);
        else
            (void)printf("%s\t", fields[i].title);
        table_put_text(stdout, value, cli->tty);
        (void)putchar('\n');
    }
}

void table_json(const struct cli *cli, const json_t *doc)
{
    PJ_CLEANUP(pj_freep)
    char *text =
        json_dumps(doc, JSON_ENCODE_ANY | AS_SENT | (cli->tty ? JSON_INDENT(2) : JSON_COMPACT));

    (void)puts(text ? text : "null");
}
