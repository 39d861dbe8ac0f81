#include <criterion/criterion.h>
#include "lib/base/settings.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "lib/base/fs.h"

struct target {
    char *url, *secret, *mode;
    int64_t slots, timeout, size, cost;
    bool flag;
};

static const char *const modes[] = {"fast", "slow", NULL};
static const struct pj_setting table[] = {
    {"PJ_T_URL", PJ_SET_STR, offsetof(struct target, url), "http://x", 0, 0, NULL, "where"},
    {"PJ_T_KEY", PJ_SET_SECRET, offsetof(struct target, secret), NULL, 0, 0, NULL, "the key"},
    {"PJ_T_MODE", PJ_SET_WORD, offsetof(struct target, mode), "fast", 0, 0, modes, "how"},
    {"PJ_T_SLOTS", PJ_SET_INT, offsetof(struct target, slots), "2", 1, 64, NULL, "how many"},
    {"PJ_T_TIMEOUT", PJ_SET_DURATION, offsetof(struct target, timeout), "10m", 1, 86400000, NULL,
     "how long"},
    {"PJ_T_SIZE", PJ_SET_SIZE, offsetof(struct target, size), "1M", 0, 0, NULL, "how big"},
    {"PJ_T_COST", PJ_SET_MONEY, offsetof(struct target, cost), NULL, 0, 0, NULL, "how dear"},
    {"PJ_T_FLAG", PJ_SET_BOOL, offsetof(struct target, flag), "0", 0, 0, NULL, "whether"},
};

static int load(struct target *t, struct pj_settings_args *args, struct pj_err *err)
{
    memset(t, 0, sizeof(*t));
    return pj_settings_load(table, PJ_COUNT_OF(table), t, args, NULL, err);
}

static void drop(struct target *t)
{
    pj_settings_release(table, PJ_COUNT_OF(table), t);
}

Test(settings, defaults)
{
    struct target t;
    struct pj_err err;

    cr_assert_eq(load(&t, NULL, &err), 0);
    cr_assert_str_eq(t.url, "http://x");
    cr_assert_null(t.secret);
    cr_assert_eq(t.slots, 2);
    cr_assert_eq(t.timeout, 600000);
    cr_assert_eq(t.size, 1048576);
    cr_assert_eq(t.cost, -1);
    cr_assert_not(t.flag);
    drop(&t);
}

Test(settings, flag_beats_environment_beats_file)
{
    char path[] = "/tmp/pj-settings-XXXXXX", a0[] = "prog", a1[] = "--t-slots", a2[] = "9",
         a3[] = "--t-flag";
    char *argv[] = {a0, a1, a2, a3, NULL};
    struct pj_settings_args args = {.argc = 4, .argv = argv};
    static const char text[] =
        "# comment\nPJ_T_SLOTS=3\nPJ_T_URL='http://file'\nexport PJ_T_MODE=slow\n";
    struct target t;
    struct pj_err err;
    int fd = mkstemp(path);

    cr_assert_eq(pj_write_all(fd, text, strlen(text)), 0);
    close(fd);
    setenv("PJ_CONFIG", path, 1);
    setenv("PJ_T_SLOTS", "5", 1);
    cr_assert_eq(load(&t, &args, &err), 0, "%s", err.message);
    cr_assert_eq(t.slots, 9);
    cr_assert_str_eq(t.url, "http://file");
    cr_assert_str_eq(t.mode, "slow");
    cr_assert(t.flag);
    cr_assert_eq(args.rest, 4);
    drop(&t);
    cr_assert_eq(load(&t, NULL, &err), 0);
    cr_assert_eq(t.slots, 5);
    drop(&t);
    unlink(path);
}

Test(settings, a_line_of_the_file_that_sets_nothing_is_named)
{
    char path[] = "/tmp/pj-settings-XXXXXX";
    static const char text[] = "# comment\n\nPJ_T_SLOTS=3\r\nPJ_T_MODE slow\n";
    struct target t;
    struct pj_err err;
    int fd = mkstemp(path);

    cr_assert_eq(pj_write_all(fd, text, strlen(text)), 0);
    close(fd);
    setenv("PJ_CONFIG", path, 1);
    cr_assert_eq(load(&t, NULL, &err), -1);
    cr_assert(strstr(err.message, "PJ_CONFIG: line 4"), "%s", err.message);
    cr_assert_eq(err.cls, PJ_E_INVALID);
    unlink(path);
}

Test(settings, secrets_come_from_files_and_never_from_argv)
{
    char path[] = "/tmp/pj-secret-XXXXXX", a0[] = "prog", a1[] = "--t-key=abc";
    char *argv[] = {a0, a1, NULL};
    struct pj_settings_args args = {.argc = 2, .argv = argv};
    struct target t;
    struct pj_err err;
    int fd = mkstemp(path);

    cr_assert_eq(pj_write_all(fd, "hush hush\n", 10), 0);
    close(fd);
    setenv("PJ_T_KEY_FILE", path, 1);
    cr_assert_eq(load(&t, NULL, &err), 0);
    cr_assert_str_eq(t.secret, "hush hush");
    drop(&t);
    cr_assert_eq(load(&t, &args, &err), -1);
    cr_assert(strstr(err.message, "PJ_T_KEY"));
    cr_assert(strstr(err.remedy, "PJ_T_KEY_FILE"));
    unlink(path);
}

Test(settings, a_mistake_names_the_setting)
{
    static const struct {
        const char *name, *value, *part;
    } rows[] = {
        {"PJ_T_SLOTS", "many", "whole number"}, {"PJ_T_SLOTS", "65", "65"},
        {"PJ_T_TIMEOUT", "10", "duration"},     {"PJ_T_SIZE", "1X", "size"},
        {"PJ_T_MODE", "medium", "fast slow"},   {"PJ_T_FLAG", "maybe", "true"},
        {"PJ_T_COST", "cheap", "dollars"},
    };
    struct target t;
    struct pj_err err;

    for (size_t i = 0; i < PJ_COUNT_OF(rows); i++) {
        setenv(rows[i].name, rows[i].value, 1);
        cr_assert_eq(load(&t, NULL, &err), -1, "%s", rows[i].name);
        cr_assert(strstr(err.message, rows[i].name), "%s", err.message);
        cr_assert(strstr(err.message, rows[i].part), "%s", err.message);
        cr_assert_eq(err.cls, PJ_E_INVALID);
        unsetenv(rows[i].name);
    }
}

Test(settings, unknown_options_are_refused)
{
    char a0[] = "prog", a1[] = "--nope";
    char *argv[] = {a0, a1, NULL};
    struct pj_settings_args args = {.argc = 2, .argv = argv};
    struct target t;
    struct pj_err err;

    cr_assert_eq(load(&t, &args, &err), -1);
    cr_assert(strstr(err.message, "--nope"));
}
