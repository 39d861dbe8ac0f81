#include "runner/coderabbit.h"

#include "runner/publish.h"
#include "runner/workspace_impl.h"

const char *coderabbit_yaml(void)
{
    /* Keys of https://coderabbit.ai/integrations/schema.v2.json. */
    static const char text[] =
        "# yaml-language-server: $schema=https://coderabbit.ai/integrations/schema.v2.json\n"
        "# Added by Pithy Jaunt. CodeRabbit reads it once it is on the base branch.\n"
        "language: en-US\n"
        "reviews:\n"
        "  profile: chill\n"
        "  request_changes_workflow: false\n"
        "  high_level_summary: true\n"
        "  poem: false\n"
        "  review_status: true\n"
        "  auto_review:\n"
        "    enabled: true\n"
        "    drafts: false\n"
        "chat:\n"
        "  auto_reply: true\n";

    return text;
}

int coderabbit_add(struct workspace *ws, char tree_sha[PJ_SHA_SIZE], bool *added,
                   struct pj_err *err)
{
    static const char *const names[] = {CODERABBIT_FILE, ".coderabbit.yml"};
    struct pj_tree_entry entry;

    *added = false;
    for (size_t i = 0; i < PJ_COUNT_OF(names); i++) {
        int rc = pj_git_tree_find(ws->repo, tree_sha, names[i], &entry, err);
        if (rc <= 0)
            return rc;
    }
    if (publish_add_file(ws, CODERABBIT_FILE, pj_view_of(coderabbit_yaml()), tree_sha, err) < 0)
        return -1;
    *added = true;
    return 0;
}
