#include <criterion/criterion.h>
#include <string.h>
#include "api/diff_view.h"

static const char diff[] =
    "diff --git a/x.c b/x.c\nindex 1..2 100644\n--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,3 @@ int main\n "
    "a\n-b\n+c\n+--- d\n"
    "diff --git a/old.c b/new.c\nsimilarity index 90%\nrename from old.c\nrename to new.c\n"
    "diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1 +0,0 "
    "@@\n-x\n";

static const json_t *file_at(const json_t *doc, size_t i)
{
    return json_array_get(json_object_get(doc, "files"), i);
}

Test(diff_view, shows_files_counts_and_hunks)
{
    const struct pj_task none = {0};
    json_t *doc = diff_view(pj_view_of(diff), &none);

    cr_assert_eq(json_array_size(json_object_get(doc, "files")), 3);
    const json_t *first = file_at(doc, 0), *moved = file_at(doc, 1), *gone = file_at(doc, 2);
    cr_expect_str_eq(json_string_value(json_object_get(first, "path")), "x.c");
    cr_expect(json_is_null(json_object_get(first, "oldPath")));
    cr_expect_eq(json_integer_value(json_object_get(first, "added")), 2);
    cr_expect_eq(json_integer_value(json_object_get(first, "removed")), 1);
    const json_t *hunk = json_array_get(json_object_get(first, "hunks"), 0);
    cr_expect_str_eq(json_string_value(json_object_get(hunk, "header")),
                     "@@ -1,2 +1,3 @@ int main");
    cr_expect(json_is_false(json_object_get(hunk, "rejected")));
    cr_expect_str_eq(json_string_value(json_object_get(moved, "path")), "new.c");
    cr_expect_str_eq(json_string_value(json_object_get(moved, "oldPath")), "old.c");
    cr_expect_str_eq(json_string_value(json_object_get(gone, "path")), "gone");
    json_decref(doc);
}

Test(diff_view, marks_hunks_of_a_file_that_did_not_apply)
{
    char code[] = "patch_conflict", detail[] = "x.c: hunk 1 does not apply";
    const struct pj_task task = {.error = {.code = code, .detail = detail}};
    json_t *doc = diff_view(pj_view_of(diff), &task);
    const json_t *hunk = json_array_get(json_object_get(file_at(doc, 0), "hunks"), 0);
    const json_t *other = json_array_get(json_object_get(file_at(doc, 2), "hunks"), 0);

    cr_expect(json_is_true(json_object_get(hunk, "rejected")));
    cr_expect_str_eq(json_string_value(json_object_get(hunk, "reason")), detail);
    cr_expect(json_is_false(json_object_get(other, "rejected")));
    json_decref(doc);
}

Test(diff_view, marks_the_hunks_that_are_on_record_and_no_other)
{
    static const char two[] = "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n-c\n+d\n"
                              "--- a/y.c\n+++ b/y.c\n@@ -1 +1 @@\n-a\n+b\n";
    char code[] = "patch_conflict", detail[] = "2 places do not apply, the first: x.c, hunk 2";
    json_t *rejects =
        json_pack("[{s:s, s:i, s:s}, {s:s, s:n, s:s}]", "path", "x.c", "hunk", 2, "reason",
                  "no such lines", "path", "y.c", "hunk", "reason", "does not exist");
    const struct pj_task task = {.error = {.code = code, .detail = detail}, .rejects = rejects};
    json_t *doc = diff_view(pj_view_of(two), &task);
    const json_t *x = json_object_get(file_at(doc, 0), "hunks");
    const json_t *y = json_object_get(file_at(doc, 1), "hunks");

    cr_expect(json_is_false(json_object_get(json_array_get(x, 0), "rejected")));
    cr_expect(json_is_null(json_object_get(json_array_get(x, 0), "reason")));
    cr_expect(json_is_true(json_object_get(json_array_get(x, 1), "rejected")));
    cr_expect_str_eq(json_string_value(json_object_get(json_array_get(x, 1), "reason")),
                     "no such lines");
    cr_expect(json_is_true(json_object_get(json_array_get(y, 0), "rejected")));
    json_decref(doc);
    json_decref(rejects);
}

Test(diff_view, survives_anything)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "@@ -1 +1 @@\n",
                                        "--- \n+++ \n@@ \n",
                                        "diff --git \n@@ -\n",
                                        "--- a\n@@ -9999999999999999999,9 +1\n+x"};
    const struct pj_task none = {0};

    for (size_t i = 0; i < PJ_COUNT_OF(texts); i++)
        json_decref(diff_view(pj_view_of(texts[i]), &none));
}
