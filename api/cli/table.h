/* table.h - lists: aligned columns on a terminal, tab-separated lines in a pipe, the documents themselves with --json.
 *
 * Control characters in values are shown as spaces, so that foreign text can neither break a row nor steer the terminal. */
#ifndef API_CLI_TABLE_H
#define API_CLI_TABLE_H

#include <stdio.h>
#include "api/cli/cli.h"

struct table_column {
    const char *title;
    const char *path; /* dotted path into a row's document */
    int max_width;    /* on a terminal; 0: none */
};

/* Print the array of documents. */
void table_print(const struct cli *cli, const struct table_column *columns, size_t count,
                 const json_t *rows);
/* One document: "title  value" lines (absent ones are left out), or the document with --json. */
void table_record(const struct cli *cli, const struct table_column *fields, size_t count,
                  const json_t *doc);
/* The document, indented on a terminal. */
void table_json(const struct cli *cli, const json_t *doc);
/* The value at a dotted path as text, owned by the caller; NULL when absent or null. */
char *table_value(const json_t *doc, const char *path);
/* The text as one line of at most `max` columns (0: no limit), cut with an ellipsis; NULL is "-". Owned by the caller. */
char *table_cell(const char *text, int max);
/* Print foreign text to a stream with control characters (but tab, and newlines when `lines`) made harmless. */
void table_put_text(FILE *to, const char *text, bool lines);

#endif
