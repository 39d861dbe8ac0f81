/* The sample of `pj up`: a small real project, connected and worked on through the API like any other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "api/cli/cmd.h"
#include "api/cli/follow.h"
#include "api/cli/up.h"
#include "lib/base/clock.h"
#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/embed/embed.h"
#include "lib/git/local.h"
#include "lib/json/codec.h"

#define SAMPLE_NAME "tally"
#define SAMPLE_CHECK "sh tests/run.sh"

extern const struct pj_embedded cli_sample_files[];

static const struct {
    const char *name, *path;
    bool executable;
} project[] = {
    {"README.md", "README.md", false},
    {"run.sh", "tests/run.sh", false},
    {"tally.sh", "tally.sh", true},
};

static const struct pj_embedded *find(const char *name)
{
    const struct pj_embedded *f = cli_sample_files;

    while (f->name && strcmp(f->name, name) != 0)
        f++;
    return f;
}

static int make_remote(const char *dir, struct pj_err *err)
{
    struct pj_local_file files[PJ_COUNT_OF(project)];

    if (pj_fs_exists(dir))
        return 0;
    for (size_t i = 0; i < PJ_COUNT_OF(project); i++) {
        const struct pj_embedded *f = find(project[i].name);

        files[i] = (struct pj_local_file){project[i].path, f->data, f->size, project[i].executable};
    }
    return pj_local_create(dir, files, PJ_COUNT_OF(files), "Tally counts words\n", pj_now_ms(),
                           err);
}

static int connect_sample(struct client *c, const char *dir, char **id, struct pj_err *err)
{
    PJ_CLEANUP(pj_json_decrefp) json_t *all = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *made = NULL;
    size_t i;
    json_t *repo;

    if (client_list(c, "/repositories?limit=200", 10000, &all, err) < 0)
        return -1;
    json_array_foreach(all, i, repo)
    {
        if (strcmp(pj_json_str(repo, "url", ""), dir) != 0)
            continue;
        *id = pj_strdup(pj_json_str(repo, "id", ""));
        return 0;
    }
    PJ_CLEANUP(pj_json_decrefp)
    json_t *body =
        json_pack("{s:s, s:s, s:s}", "url", dir, "checkCommand", SAMPLE_CHECK, "codeRabbit", "off");
    if (client_call(c, "POST", "/repositories", body, &made, err) < 0)
        return pj_err_wrap(err, "connecting the sample repository");
    *id = pj_strdup(pj_json_str(made, "id", ""));
    return 0;
}

/* First line: the title; after an empty line: the description. */
static json_t *task_body(const char *repo)
{
    const char *text = (const char *)find("task.md")->data;
    const char *eol = strchrnul(text, '\n');
    const char *rest = eol + strspn(eol, "\n");

    return json_pack("{s:s, s:s%, s:s, s:b}", "repositoryId", repo, "title", text,
                     (size_t)(eol - text), "description", rest, "execute", 1);
}

static void add_result(const char *dir, const json_t *task, json_t *result)
{
    const char *branch = pj_json_str(task, "branch", NULL);
    struct pj_local_tip tip;
    struct pj_err ignored = {0};

    json_object_update(result, (json_t *)(uintptr_t)task);
    json_object_set_new(result, "remote", json_string(dir));
    if (!branch || pj_local_branch(dir, branch, &tip, &ignored) < 0)
        return;
    json_object_set_new(result, "subject", json_string(tip.subject));
    json_object_set_new(
        result, "see",
        json_sprintf("git -c safe.directory='*' --git-dir %s log -p -1 %s", dir, branch));
}

int up_sample_run(struct cli *cli, struct up_state *s, struct client *c, json_t *result,
                  struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *dir = pj_asprintf("%s/sample/" SAMPLE_NAME ".git", s->dir);
    PJ_CLEANUP(pj_freep) char *repo = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *task = NULL;
    PJ_CLEANUP(pj_json_decrefp) json_t *ended = NULL;

    if (make_remote(dir, err) < 0 || connect_sample(c, dir, &repo, err) < 0)
        return -1;
    PJ_CLEANUP(pj_json_decrefp) json_t *body = task_body(repo);
    if (client_call(c, "POST", "/tasks", body, &task, err) < 0)
        return pj_err_wrap(err, "creating the sample task");
    if (!cli->json)
        (void)printf("sample task \"%s\"\n", pj_json_str(task, "title", ""));
    (void)fflush(stdout);
    if (follow_task(cli, c, pj_json_str(task, "id", ""), &ended, err) < 0)
        return -1;
    add_result(dir, ended, result);
    return cmd_task_exit_code(ended);
}
