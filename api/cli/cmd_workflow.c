/* pj repo workflow: the workflow file that carries out a repository's github_actions tasks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/cli/cmd.h"
#include "api/cli/table.h"
#include "lib/base/mem.h"
#include "lib/embed/embed.h"
#include "lib/json/codec.h"

extern const struct pj_embedded cli_workflow_files[];

struct hole {
    const char *name, *value;
};

/* May it stand between double quotes in YAML, and be an image's name? */
static bool image_ok(const char *image)
{
    return *image && strspn(image, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "._-/:@") == strlen(image);
}

/* "{{" that begins a hole of ours; "${{" is GitHub's. */
static void print_filled(const char *text, const struct hole *holes, size_t count)
{
    for (const char *p = text; *p;) {
        size_t i = 0;

        while (i < count && strncmp(p, holes[i].name, strlen(holes[i].name)) != 0)
            i++;
        if (i < count) {
            table_put_text(stdout, holes[i].value, false);
            p += strlen(holes[i].name);
        } else {
            (void)putchar(*p++);
        }
    }
}

int cmd_repo_workflow(struct cli *cli, const struct cli_args *args, struct pj_err *err)
{
    const char *image = cli_option_get(args, "image");
    PJ_CLEANUP(pj_json_decrefp) json_t *repo = NULL;
    PJ_CLEANUP(pj_freep) char *id = NULL;
    struct client *c;

    if (!image)
        image = getenv("PJ_ACTIONS_IMAGE");
    if (!image || !image_ok(image)) {
        (void)pj_fail(err, PJ_E_INVALID, "%s is no name of an image", image ? image : "(nothing)");
        return pj_err_remedy(
            err, "build one from the Dockerfile, push it to a registry that GitHub can reach, "
                 "and name it with --image or PJ_ACTIONS_IMAGE");
    }
    if (client_of(cli, &c, err) < 0 || cmd_find_repo(c, args->word[0], &id, err) < 0)
        return -1;
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("/repositories/%s", id);
    if (client_call(c, "GET", path, NULL, &repo, err) < 0)
        return -1;
    const struct hole holes[] = {{"{{image}}", image},
                                 {"{{repository}}", pj_json_str(repo, "url", "")}};
    print_filled((const char *)cli_workflow_files[0].data, holes, PJ_COUNT_OF(holes));
    (void)fputs("secrets to set at GitHub: PJ_WEBHOOK_SECRET, and OPENAI_API_KEY or "
                "ANTHROPIC_API_KEY; and\n"
                "PJ_PUBLISH_TOKEN when your other workflows are to run on the pull requests\n",
                stderr);
    return 0;
}
