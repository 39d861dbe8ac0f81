/* Properties of repository addresses: what is accepted reads the same again, belongs to a listed host, and holds neither user
 * information nor anything that a shell or a URL takes for more. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "lib/base/mem.h"
#include "lib/forge/hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pj_forges *forges;
    static const struct pj_forges_spec spec;
    struct pj_repo_address first;
    struct pj_repo_address second;
    struct pj_err err;

    if (forges == NULL)
        require(pj_forges_load(&spec, &forges, &err) == 0);
    char *text = pj_strndup((const char *)data, size);
    if (pj_repo_address_parse(forges, text, &first, &err) == 0) {
        require(strncmp(first.url, "https://github.com/", 19) == 0);
        require(strpbrk(first.url + 8, "@?#%\\ \"'$`;&|<>\n") == NULL);
        require(pj_repo_address_parse(forges, first.url, &second, &err) == 0);
        require(strcmp(first.url, second.url) == 0);
        pj_repo_address_release(&first);
        pj_repo_address_release(&second);
    }
    free(text);
    return 0;
}
