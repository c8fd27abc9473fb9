/*
 * What is said of a path that we may not read.
 * Input: files and folders of root's, seen by another user. Output: Check's
 * report.
 */
#include "shared/denied.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static struct temp_folder folder;
static char top[PATH_MAX], file[PATH_MAX];

static void
setup(void)
{
    temp_folder_init(&folder);
    ck_assert_int_eq(chmod(folder.path, 0755), 0);
    ck_assert_int_eq(mkdir(temp_folder_path(&folder, "live", top), 0755), 0);
    temp_folder_put(&folder, "live/a.pem", "x");
    (void)temp_folder_path(&folder, "live/a.pem", file);
    ck_assert_int_eq(chmod(file, 0644), 0);
}

static void
teardown(void)
{
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
    (void)chmod(top, 0700);
    temp_folder_fini(&folder);
}

/* Modes bind everybody but root. */
static void
become_another(void)
{
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(NOBODY), 0);
}

START_TEST(a_folder_on_the_way_is_named)
{
    struct denied denied;

    ck_assert_int_eq(chmod(top, 0600), 0);
    become_another();
    ck_assert(denied_find(file, &denied));
    ck_assert_str_eq(denied.path, top);
    ck_assert(denied.is_folder);
    ck_assert_ptr_nonnull(
        strstr(denied.text, "may not search this folder (mode 0600, owner "));
    ck_assert_ptr_nonnull(strstr(denied.mend, "chmod g+rx "));
}
END_TEST

START_TEST(a_file_is_named_with_its_mode)
{
    struct denied denied;

    ck_assert_int_eq(chmod(file, 0200), 0);
    become_another();
    ck_assert(denied_find(file, &denied));
    ck_assert_str_eq(denied.path, file);
    ck_assert(!denied.is_folder);
    ck_assert_ptr_nonnull(
        strstr(denied.text, "may not read this file (mode 0200, owner "));
}
END_TEST

START_TEST(
    a_folder_that_may_be_searched_but_not_listed_is_in_the_way_at_the_end)
{
    struct denied denied;

    ck_assert_int_eq(chmod(top, getuid() == 0 ? 0711 : 0100), 0);
    become_another();
    ck_assert(denied_find(top, &denied));
    ck_assert_str_eq(denied.path, top);
    ck_assert(!denied_find(file, &denied));
}
END_TEST

START_TEST(a_link_into_a_closed_folder_names_that_folder)
{
    struct denied denied;
    char link[PATH_MAX];

    ck_assert_int_eq(
        symlink("live/a.pem", temp_folder_path(&folder, "a.pem", link)), 0);
    ck_assert_int_eq(chmod(top, 0600), 0);
    become_another();
    ck_assert(denied_find(link, &denied));
    ck_assert_str_eq(denied.path, top);
}
END_TEST

START_TEST(what_can_be_read_or_is_not_there_is_not_denied)
{
    struct denied denied;
    char none[PATH_MAX];

    become_another();
    ck_assert(!denied_find(file, &denied));
    ck_assert(!denied_find(
        temp_folder_path(&folder, "live/none/a.pem", none), &denied));
    ck_assert(!denied_find("", &denied));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("denied");
    TCase *t = tcase_create("denied");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_folder_on_the_way_is_named);
    tcase_add_test(t, a_file_is_named_with_its_mode);
    tcase_add_test(t,
        a_folder_that_may_be_searched_but_not_listed_is_in_the_way_at_the_end);
    tcase_add_test(t, a_link_into_a_closed_folder_names_that_folder);
    tcase_add_test(t, what_can_be_read_or_is_not_there_is_not_denied);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
