/* forge_app.c - the forge as a GitHub App sees it: installed everywhere, its token is FORGE_TOKEN. Any JSON web token is believed:
 * its signature is test_credential's business. */
#include "tests/support/forge_impl.h"

#include <string.h>
#include "lib/base/cleanup.h"

#define INSTALLATION 7

/* Is it the App itself that asks, not a token of one of its installations? */
static bool is_app(const struct stand_in_request *r)
{
    const char *auth = stand_in_header(r, "authorization");

    return auth != NULL && strncmp(auth, "Bearer eyJ", 10) == 0 && strchr(auth, '.') != NULL;
}

bool forge_app(struct forge_server *f, const struct stand_in_request *r,
               struct stand_in_exchange *x)
{
    size_t n = strlen(r->path), tail = strlen("/installation");

    if (!is_app(r))
        return false;
    if (n > tail && strcmp(r->path + n - tail, "/installation") == 0)
        forge_json(f, x, 200, json_pack("{s:i}", "id", INSTALLATION));
    else if (strstr(r->path, "/access_tokens") != NULL)
        forge_json(
            f, x, 201,
            json_pack("{s:s, s:s}", "token", FORGE_TOKEN, "expires_at", "2099-01-01T00:00:00Z"));
    else
        forge_error(f, x, 404, "Not Found");
    return true;
}
