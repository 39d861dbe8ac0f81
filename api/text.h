/* text.h - what a piece of a caller's text may not be, where it becomes part of a commit, a header or a line that others read. */
#ifndef API_TEXT_H
#define API_TEXT_H

#include <stdbool.h>

/* No control characters: one line, and nothing that a terminal or a protocol would obey. */
bool text_is_one_line(const char *text);
/* Nothing but blanks and line ends. */
bool text_is_blank(const char *text);
/* Visible ASCII without blanks, not empty: a token, an address. */
bool text_is_word(const char *text);
/* The same, beginning with http:// or https://. */
bool text_is_address(const char *text);

#endif
