/* shared/file_watch: a file is replaced, or a link on the way to it; what
 * happens beside it is no news. */
#include "shared/file_watch.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/file_watchXXXXXX";
static struct file_watch *watch;

static const char *
in(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *out = paths[next++ % 8];

    (void)snprintf(out, 256, "%s/%s", folder, name);
    return out;
}

static void
write_file(const char *name, const char *text)
{
    FILE *f = fopen(in(name), "we");

    ck_assert_ptr_nonnull(f);
    (void)fputs(text, f);
    (void)fclose(f);
}

static void
run(const char *command)
{
    char text[512];

    (void)snprintf(text, sizeof(text), "cd %s && %s", folder, command);
    ck_assert_int_eq(system(text), 0);
}

static bool
is_news(void)
{
    struct pollfd p = {.fd = file_watch_fd(watch), .events = POLLIN};

    return poll(&p, 1, 0) == 1 && file_watch_take(watch);
}

static void
set(const char *path)
{
    struct err err = {0};

    ck_assert_msg(file_watch_set(watch, &path, 1, &err), "%s", err.text);
    (void)file_watch_take(watch);
}

static void
set_up(void)
{
    struct err err = {0};

    memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    watch = file_watch_new(&err);
    ck_assert_msg(watch != NULL, "%s", err.text);
}

static void
tear_down(void)
{
    file_watch_free(watch);
    run("rm -rf ./*");
    (void)rmdir(folder);
}

/* made, then "news" by one of these */
static const struct {
    const char *what, *make, *path, *change;
    bool is_news;
} cases[] = {
    {"written in place", "echo a > f", "f", "echo b > f", true},
    {"replaced by rename", "echo a > f; echo b > g", "f", "mv g f", true},
    {"removed", "echo a > f", "f", "rm f", true},
    {"made readable", "echo a > f; chmod 0 f", "f", "chmod 644 f", true},
    {"appears", "true", "f", "echo a > f", true},
    {"its folder appears", "true", "d/e/f", "mkdir d", true},
    {"another file beside it", "echo a > f", "f", "echo b > g", false},
    {"only read", "echo a > f", "f", "cat f > /dev/null", false},
    {"the link's target is written", "mkdir d; echo a > d/f; ln -s d/f l", "l",
        "echo b > d/f", true},
    {"the link is switched", "echo a > f; echo b > g; ln -s f l", "l",
        "ln -s g m; mv -T m l", true},
    {"a link in the middle is switched",
        "mkdir 1 2; echo a > 1/f; echo b > 2/f; ln -s 1 d", "d/f",
        "ln -s 2 m; mv -T m d", true},
    {"the folder a link leads to is replaced",
        "mkdir -p x/1 2; echo a > x/1/f; ln -s x/1 d", "d/f",
        "mv x/1 old; mv 2 x/1", true},
    {"links behind links, up and down",
        "mkdir -p a/b c; echo a > c/f; ln -s ../../c a/b/d; ln -s a/b/d l",
        "l/f", "echo b > c/f", true},
    {"an absolute link", "mkdir d; echo a > d/f; ln -s $PWD/d l", "l/f",
        "echo b > d/f", true},
    {"..data as volumes have it",
        "mkdir ..1 ..2; echo a > ..1/f; echo b > ..2/f; ln -s ..1 ..data; "
        "ln -s ..data/f f",
        "f", "ln -s ..2 m; mv -T m ..data", true},
    {"a link to itself", "ln -s l l", "l", "rm l", true},
};

START_TEST(what_happens_on_the_way_is_told)
{
    run(cases[_i].make);
    set(in(cases[_i].path));
    ck_assert_msg(!is_news(), "%s: before", cases[_i].what);
    run(cases[_i].change);
    ck_assert_msg(is_news() == cases[_i].is_news, "%s", cases[_i].what);
    ck_assert_msg(!is_news(), "%s: once", cases[_i].what);
}
END_TEST

START_TEST(what_is_wanted_no_more_is_no_news)
{
    write_file("f", "a");
    write_file("g", "a");
    set(in("f"));
    set(in("g"));
    write_file("f", "b");
    ck_assert(!is_news());
    write_file("g", "b");
    ck_assert(is_news());
    run("mkdir d; echo a > d/f");
    set(in("d/f"));
    set(in("g"));
    run("rm -r d");
    ck_assert(!is_news());
}
END_TEST

START_TEST(many_files_in_two_folders)
{
    static char names[200][256];
    const char *paths[200];
    struct err err = {0};

    run("mkdir 0 1");
    for (int i = 0; i < 200; i++) {
        (void)snprintf(
            names[i], sizeof(names[i]), "%s/%d/%d", folder, i / 100, i);
        paths[i] = names[i];
    }
    ck_assert(file_watch_set(watch, paths, 200, &err));
    (void)file_watch_take(watch);
    run("echo a > 0/7");
    ck_assert(is_news());
    run("echo a > 1/199");
    ck_assert(is_news());
    run("echo a > 1/7");
    ck_assert(!is_news());
}
END_TEST

/* Mode 0711 lets us through, no more; 0700 does not. Needs root to be tried. */
START_TEST(a_closed_folder_on_the_way)
{
    const char *path = in("d/e/f");
    struct err err = {0};

    if (geteuid() != 0)
        return;
    run("chmod 711 . && mkdir -p d/e && chmod 711 d && echo a > d/e/f");
    ck_assert_int_eq(seteuid(65534), 0);
    ck_assert_msg(file_watch_set(watch, &path, 1, &err), "%s", err.text);
    ck_assert_int_eq(seteuid(0), 0);
    run("echo b > d/e/f");
    ck_assert(is_news());
    run("chmod 711 d/e");
    ck_assert_int_eq(seteuid(65534), 0);
    file_watch_free(watch);
    watch = file_watch_new(&err);
    ck_assert(!file_watch_set(watch, &path, 1, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "d/e"));
    ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("file_watch");
    TCase *tcase = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, what_happens_on_the_way_is_told, 0,
        (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(tcase, what_is_wanted_no_more_is_no_news);
    tcase_add_test(tcase, many_files_in_two_folders);
    tcase_add_test(tcase, a_closed_folder_on_the_way);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
