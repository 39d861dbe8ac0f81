/* weaken.c - the test build's side of sandbox/weaken.h: PJ_WEAKEN names the layer that is off. */
#include "sandbox/weaken.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char off[64];

/* Before main(): process 1 wipes the environment. */
__attribute__((constructor)) static void remember(void)
{
    const char *layer = getenv("PJ_WEAKEN");

    snprintf(off, sizeof off, "%s", layer ? layer : "");
}

bool weakened(const char *layer)
{
    return off[0] && strcmp(off, layer) == 0;
}
