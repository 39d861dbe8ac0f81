/* weaken.h - one layer switched off, in a test build only: shows that each attack is stopped by
 * the layer that is said to stop it. In the program that ships every call is the constant false
 * and leaves no trace. */
#ifndef SANDBOX_WEAKEN_H
#define SANDBOX_WEAKEN_H

#include <stdbool.h>

#ifdef SANDBOX_WEAKEN
bool weakened(const char *layer);
#else
static inline bool weakened(const char *layer)
{
    (void)layer;
    return false;
}
#endif

#endif
