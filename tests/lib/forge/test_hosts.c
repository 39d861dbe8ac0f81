#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fs.h"
#include "lib/base/mem.h"
#include "lib/forge/hosts.h"

static char *root;

static void begin(void)
{
    char template[] = "/tmp/pj-test-XXXXXX";
    struct pj_err err;

    cr_assert_not_null(mkdtemp(template));
    root = pj_strdup(template);
    PJ_CLEANUP(pj_freep) char *inside = pj_asprintf("%s/in/team/app.git", root);
    PJ_CLEANUP(pj_freep) char *outside = pj_asprintf("%s/out/secret.git", root);
    PJ_CLEANUP(pj_freep) char *link = pj_asprintf("%s/in/link", root);
    PJ_CLEANUP(pj_freep) char *target = pj_asprintf("%s/out", root);
    cr_assert_eq(pj_fs_mkdirs(inside, 0755, &err), 0);
    cr_assert_eq(pj_fs_mkdirs(outside, 0755, &err), 0);
    cr_assert_eq(symlink(target, link), 0);
}

static void end(void)
{
    struct pj_err err;

    cr_expect_eq(pj_fs_remove_tree(root, &err), 0);
    free(root);
}

TestSuite(hosts, .init = begin, .fini = end);

static int load(const char *json, struct pj_forges **out, struct pj_err *err)
{
    PJ_CLEANUP(pj_freep) char *path = pj_asprintf("%s/forges.json", root);
    struct pj_forges_spec spec = {.file = path};

    cr_assert_eq(pj_fs_write_atomic(path, json, strlen(json), 0600, err), 0);
    return pj_forges_load(&spec, out, err);
}

static struct pj_forges *sample(void)
{
    struct pj_forges *forges = NULL;
    struct pj_err err;
    PJ_CLEANUP(pj_freep)
    char *json = pj_asprintf(
        "[{\"host\":\"github.com\",\"kind\":\"github\"},"
        "{\"host\":\"Git.Example.org:8443\",\"kind\":\"gitea\",\"token\":\"gitea-token-1\"},"
        "{\"host\":\"127.0.0.1:3000\",\"kind\":\"github\",\"apiUrl\":\"http://127.0.0.1:3000/api/"
        "v3/\",\"insecure\":true},"
        "{\"host\":\"plain.example\",\"kind\":\"git\"},"
        "{\"kind\":\"git\",\"root\":\"%s/in\"}]",
        root);

    cr_assert_eq(load(json, &forges, &err), 0, "%s", err.message);
    return forges;
}

Test(hosts, without_a_file_there_is_github)
{
    struct pj_forges_spec spec = {.github_api_url = "http://127.0.0.1:9/api/"};
    struct pj_forges *forges = NULL;
    struct pj_err err;

    cr_assert_eq(pj_forges_load(&spec, &forges, &err), 0, "%s", err.message);
    cr_assert_eq(pj_forges_count(forges), 1);
    cr_assert_str_eq(pj_forges_get(forges, 0)->host, "github.com");
    cr_assert_str_eq(pj_forges_get(forges, 0)->api_url, "http://127.0.0.1:9/api");
    pj_forges_free(forges);
    spec.github_api_url = NULL;
    cr_assert_eq(pj_forges_load(&spec, &forges, &err), 0, "%s", err.message);
    cr_assert_str_eq(pj_forges_get(forges, 0)->api_url, "https://api.github.com");
    pj_forges_free(forges);
}

Test(hosts, api_addresses_follow_the_kind)
{
    struct pj_forges *forges = sample();

    cr_assert_str_eq(pj_forges_get(forges, 1)->api_url, "https://git.example.org:8443/api/v1");
    cr_assert_str_eq(pj_forges_get(forges, 2)->api_url, "http://127.0.0.1:3000/api/v3");
    cr_assert_null(pj_forges_get(forges, 3)->api_url);
    pj_forges_free(forges);
}

Test(hosts, a_mistake_in_the_file_names_setting_entry_and_field)
{
    static const struct {
        const char *json;
        const char *word;
    } cases[] = {
        {"{}", "array"},
        {"[]", "at least one"},
        {"[{\"kind\":\"git\"}]", "\"host\" or \"root\""},
        {"[{\"host\":\"a\",\"kind\":\"svn\"}]", "kind"},
        {"[{\"host\":\"a\"}]", "kind"},
        {"[{\"host\":\"https://a\",\"kind\":\"git\"}]", "without a scheme"},
        {"[{\"host\":\"a:99999\",\"kind\":\"git\"}]", "host"},
        {"[{\"host\":\"a\",\"kind\":\"git\",\"colour\":1}]", "colour"},
        {"[{\"root\":\"relative\",\"kind\":\"git\"}]", "absolute"},
        {"[{\"root\":\"/\",\"kind\":\"github\"}]", "must be \"git\""},
        {"[{\"root\":\"/does/not/exist\",\"kind\":\"git\"}]", "entry 1"},
        {"[{\"host\":\"a\",\"kind\":\"github\",\"apiUrl\":\"http://a\"}]", "insecure"},
        {"[{\"host\":\"a\",\"kind\":\"git\",\"apiUrl\":\"https://a\"}]", "apiUrl"},
    };

    for (size_t i = 0; i < PJ_COUNT_OF(cases); i++) {
        struct pj_forges *forges = NULL;
        struct pj_err err = {0};
        cr_assert_eq(load(cases[i].json, &forges, &err), -1, "%s", cases[i].json);
        cr_expect_eq(err.cls, PJ_E_INVALID, "%s", cases[i].json);
        cr_expect_not_null(strstr(err.message, "PJ_FORGES"), "%s", err.message);
        cr_expect_not_null(strstr(err.message, cases[i].word), "%s: %s", cases[i].json,
                           err.message);
    }
}

Test(hosts, spellings_of_one_repository_become_one)
{
    static const char *const same[] = {
        "https://github.com/o/r",       "https://github.com/o/r.git", "https://GitHub.com/o/r/",
        "https://github.com:443/o/r",   "git@github.com:o/r.git",     "git@github.com:o/r",
        "ssh://git@github.com/o/r.git", "  https://github.com/o/r  ",
    };
    struct pj_forges *forges = sample();

    for (size_t i = 0; i < PJ_COUNT_OF(same); i++) {
        struct pj_repo_address a;
        struct pj_err err = {0};
        cr_assert_eq(pj_repo_address_parse(forges, same[i], &a, &err), 0, "%s: %s", same[i],
                     err.message);
        cr_expect_str_eq(a.url, "https://github.com/o/r", "%s", same[i]);
        cr_expect_str_eq(a.owner, "o");
        cr_expect_str_eq(a.name, "r");
        cr_expect_not(a.is_path);
        pj_repo_address_release(&a);
    }
    pj_forges_free(forges);
}

Test(hosts, ports_plain_http_and_deep_paths_where_the_entry_has_them)
{
    static const struct {
        const char *text, *url, *owner, *name;
    } cases[] = {
        {"http://127.0.0.1:3000/o/r.git", "http://127.0.0.1:3000/o/r", "o", "r"},
        {"https://git.example.org:8443/o/r", "https://git.example.org:8443/o/r", "o", "r"},
        {"https://plain.example/a/b/c.git", "https://plain.example/a/b/c", "a/b", "c"},
        {"https://github.com/o.o/r-r_1.x", "https://github.com/o.o/r-r_1.x", "o.o", "r-r_1.x"},
    };
    struct pj_forges *forges = sample();

    for (size_t i = 0; i < PJ_COUNT_OF(cases); i++) {
        struct pj_repo_address a;
        struct pj_err err = {0};
        cr_assert_eq(pj_repo_address_parse(forges, cases[i].text, &a, &err), 0, "%s: %s",
                     cases[i].text, err.message);
        cr_expect_str_eq(a.url, cases[i].url);
        cr_expect_str_eq(a.owner, cases[i].owner);
        cr_expect_str_eq(a.name, cases[i].name);
        pj_repo_address_release(&a);
    }
    pj_forges_free(forges);
}

Test(hosts, what_is_no_address_is_refused)
{
    static const char *const cases[] = {
        "",
        "github.com/o/r",
        "https://github.com",
        "https://github.com/",
        "https://github.com/o",
        "https://github.com/o/r/x",
        "https://github.com/o//r",
        "https://github.com/../r",
        "https://github.com/o/..",
        "https://user:pass@github.com/o/r",
        "https://token@github.com/o/r",
        "https://github.com/o/r?x=1",
        "https://github.com/o/r#x",
        "https://github.com/o/r%2e",
        "https://github.com/o/r\\x",
        "https://github.com/o/a b",
        "https://github.com/o/r\n",
        "git@github.com",
        "git@github.com:",
        "git@github.com:/o/r",
        "root@github.com:o/r",
        "ext::sh -c id",
        "file://host/x",
        "ssh://root@github.com/o/r",
    };
    struct pj_forges *forges = sample();

    for (size_t i = 0; i < PJ_COUNT_OF(cases); i++) {
        struct pj_repo_address a;
        struct pj_err err = {0};
        int rc = pj_repo_address_parse(forges, cases[i], &a, &err);
        cr_expect_eq(rc, -1, "%s gave %s", cases[i], rc == 0 ? a.url : "");
        cr_expect_eq(err.cls, PJ_E_INVALID, "%s: %s", cases[i], err.message);
        if (rc == 0)
            pj_repo_address_release(&a);
    }
    pj_forges_free(forges);
}

Test(hosts, hosts_that_are_not_listed_are_forbidden)
{
    static const char *const cases[] = {
        "https://evil.example/o/r",
        "https://github.com:444/o/r",
        "http://github.com/o/r",
        "git@evil.example:o/r",
        "https://github.com.evil.example/o/r",
        "https://127.0.0.1/o/r",
        "/etc",
        "/nowhere/at/all",
        "file:///etc",
    };
    struct pj_forges *forges = sample();

    for (size_t i = 0; i < PJ_COUNT_OF(cases); i++) {
        struct pj_repo_address a;
        struct pj_err err = {0};
        cr_expect_eq(pj_repo_address_parse(forges, cases[i], &a, &err), -1, "%s", cases[i]);
        cr_expect_eq(err.cls, PJ_E_FORBIDDEN, "%s: %s", cases[i], err.message);
        cr_expect_str_eq(err.code, "forge_not_allowed");
        cr_expect_not_null(strstr(err.remedy, "PJ_FORGES"));
    }
    pj_forges_free(forges);
}

Test(hosts, paths_are_resolved_and_stay_beneath_the_root)
{
    struct pj_forges *forges = sample();
    struct pj_repo_address a;
    struct pj_err err = {0};
    PJ_CLEANUP(pj_freep) char *inside = pj_asprintf("%s/in/team/app.git", root);
    PJ_CLEANUP(pj_freep) char *url = pj_asprintf("file://%s/in/./team/../team/app.git/", root);
    PJ_CLEANUP(pj_freep) char *through = pj_asprintf("%s/in/link/secret.git", root);
    PJ_CLEANUP(pj_freep) char *dots = pj_asprintf("%s/in/../out/secret.git", root);
    PJ_CLEANUP(pj_freep) char *missing = pj_asprintf("%s/in/none.git", root);

    cr_assert_eq(pj_repo_address_parse(forges, inside, &a, &err), 0, "%s", err.message);
    cr_assert(a.is_path);
    cr_assert_str_eq(a.url, inside);
    cr_assert_str_eq(a.name, "app");
    pj_repo_address_release(&a);
    cr_assert_eq(pj_repo_address_parse(forges, url, &a, &err), 0, "%s", err.message);
    cr_assert_str_eq(a.url, inside);
    pj_repo_address_release(&a);
    cr_assert_eq(pj_repo_address_parse(forges, through, &a, &err), -1);
    cr_assert_eq(err.cls, PJ_E_FORBIDDEN);
    cr_assert_eq(pj_repo_address_parse(forges, dots, &a, &err), -1);
    cr_assert_eq(err.cls, PJ_E_FORBIDDEN);
    cr_assert_eq(pj_repo_address_parse(forges, missing, &a, &err), -1);
    cr_assert_eq(err.cls, PJ_E_NOT_FOUND);
    pj_forges_free(forges);
}

Test(hosts, credentials_are_tried_in_order)
{
    struct pj_forges *forges = sample();
    const char *token = NULL;
    const char *username = NULL;
    struct pj_credential_choice all = {"repo-token", "me", "app-token", "env-token"};

    cr_assert_eq(pj_credential_choose(pj_forges_get(forges, 1), &all, &token, &username),
                 PJ_CREDENTIAL_REPOSITORY);
    cr_assert_str_eq(token, "repo-token");
    cr_assert_str_eq(username, "me");
    all.repository_token = NULL;
    cr_assert_eq(pj_credential_choose(pj_forges_get(forges, 1), &all, &token, &username),
                 PJ_CREDENTIAL_APP);
    cr_assert_str_eq(username, "x-access-token");
    all.app_token = "";
    cr_assert_eq(pj_credential_choose(pj_forges_get(forges, 1), &all, &token, &username),
                 PJ_CREDENTIAL_FORGE);
    cr_assert_str_eq(token, "gitea-token-1");
    cr_assert_eq(pj_credential_choose(pj_forges_get(forges, 0), &all, &token, &username),
                 PJ_CREDENTIAL_ENV);
    cr_assert_str_eq(token, "env-token");
    /* GITHUB_TOKEN goes to forges of kind github only, and a path gets nothing at all. */
    cr_assert_eq(pj_credential_choose(pj_forges_get(forges, 3), &all, &token, &username),
                 PJ_CREDENTIAL_NONE);
    all.repository_token = "repo-token";
    cr_assert_eq(pj_credential_choose(pj_forges_get(forges, 4), &all, &token, &username),
                 PJ_CREDENTIAL_NONE);
    cr_assert_null(token);
    cr_assert_str_eq(pj_credential_source_word(PJ_CREDENTIAL_ENV), "env");
    cr_assert_null(pj_credential_source_word(PJ_CREDENTIAL_NONE));
    pj_forges_free(forges);
}
