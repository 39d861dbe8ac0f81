#include "api/text.h"

#include <string.h>

bool text_is_one_line(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

bool text_is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n\v\f")] == '\0';
}

bool text_is_word(const char *text)
{
    const char *p = text;

    while (*p > ' ' && *p < 0x7f)
        p++;
    return *p == '\0' && p > text;
}

bool text_is_address(const char *text)
{
    return text_is_word(text) &&
           (strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0);
}
