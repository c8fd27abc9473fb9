/*
 * A watched folder that is written to, removed, renamed, replaced and born
 * late. Inotify queues events before the system call that caused them returns,
 * so nothing here waits for a time.
 */
#include "shared/watch.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Not constants: new ones for each test. */
static struct temp_folder folder;
static struct watch *watch;

static void
setup(void)
{
    temp_folder_init(&folder);
    watch = NULL;
}

static void
teardown(void)
{
    watch_free(watch);
    temp_folder_fini(&folder);
}

static void
start(const char *name)
{
    struct err err = {0};
    char path[PATH_MAX];

    watch = watch_new(temp_folder_path(&folder, name, path), &err);
    ck_assert_msg(watch != NULL, "%s", err.text);
}

static bool
is_readable(void)
{
    struct pollfd p = {.fd = watch_fd(watch), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

/* Everything there is now, as one line: "rescan gone name". Each event that
 * there was made the descriptor readable. */
static const char *
events(void)
{
    static char line[4096]; /* not a constant: a test's own text */
    struct watch_event e;
    size_t used = 0;

    line[0] = 0;
    while (watch_next(watch, &e)) {
        const char *word = e.kind == WATCH_RESCAN ? "rescan"
                           : e.kind == WATCH_GONE ? "gone"
                                                  : e.name;

        ck_assert(e.kind == WATCH_NAME || e.name[0] == 0);
        used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s",
            used == 0 ? "" : " ", word);
        ck_assert_uint_lt(used, sizeof(line));
    }
    ck_assert(!is_readable());
    return line;
}

static void
make(const char *name)
{
    ck_assert_int_eq(mkdirat(folder.dirfd, name, 0755), 0);
}

static void
put(const char *name)
{
    temp_folder_put(&folder, name, "x");
}

static void
move(const char *from, const char *to)
{
    ck_assert_int_eq(renameat(folder.dirfd, from, folder.dirfd, to), 0);
}

static void
cut(const char *name)
{
    ck_assert_int_eq(unlinkat(folder.dirfd, name, 0), 0);
}

static void
cut_folder(const char *name)
{
    ck_assert_int_eq(unlinkat(folder.dirfd, name, AT_REMOVEDIR), 0);
}

static void
tie(const char *target, const char *name)
{
    ck_assert_int_eq(symlinkat(target, folder.dirfd, name), 0);
}

START_TEST(the_first_event_is_rescan_or_gone_and_readable)
{
    make("d");
    start("d");
    ck_assert(is_readable());
    ck_assert_str_eq(events(), "rescan");
    watch_free(watch);
    start("missing/deep/down");
    ck_assert(is_readable());
    ck_assert_str_eq(events(), "gone");
    watch_verify(watch);
    ck_assert_str_eq(events(), "");
}
END_TEST

START_TEST(names_are_told_once_when_they_are_whole)
{
    make("d");
    start("d");
    (void)events();
    put("d/a");
    ck_assert(is_readable());
    ck_assert_str_eq(events(), "a");
    put("d/.a.XXXXXX");
    move("d/.a.XXXXXX", "d/a");
    ck_assert_str_eq(events(), "a");
    cut("d/a");
    ck_assert_str_eq(events(), "a");
    tie("/etc/passwd", "d/link");
    ck_assert_str_eq(events(), "link");
    put("d/one");
    (void)events();
    ck_assert_int_eq(
        linkat(folder.dirfd, "d/one", folder.dirfd, "d/two", 0), 0);
    ck_assert_str_eq(events(), "two");
    ck_assert_int_eq(fchmodat(folder.dirfd, "d/one", 0600, 0), 0);
    ck_assert_str_eq(events(), "one");
    move("d/one", "elsewhere");
    ck_assert_str_eq(events(), "one");
}
END_TEST

START_TEST(a_file_under_creation_is_not_told)
{
    int fd;

    make("d");
    start("d");
    (void)events();
    fd = openat(folder.dirfd, "d/a", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_str_eq(events(), "");
    (void)close(fd);
    ck_assert_str_eq(events(), "a");
}
END_TEST

START_TEST(dot_names_and_the_neighbours_are_never_told)
{
    make("d");
    start("d");
    (void)events();
    put("d/.hidden");
    cut("d/.hidden");
    put("neighbour");
    make("dd");
    put("dd/x");
    ck_assert_str_eq(events(), "");
}
END_TEST

START_TEST(a_reader_may_take_one_event_at_a_time)
{
    struct watch_event e;

    make("d");
    start("d");
    put("d/a");
    put("d/b");
    put("d/c");
    for (int i = 0; i < 4; i++) {
        ck_assert(is_readable());
        ck_assert(watch_next(watch, &e));
    }
    ck_assert_str_eq(e.name, "c");
    ck_assert(!watch_next(watch, &e));
    ck_assert(!is_readable());
}
END_TEST

START_TEST(what_happens_between_attaching_and_scanning_is_told)
{
    make("d");
    start("d");
    put("d/a");
    ck_assert_str_eq(events(), "rescan a");
}
END_TEST

START_TEST(a_folder_born_late_is_found_level_by_level)
{
    start("a/b/c");
    ck_assert_str_eq(events(), "gone");
    make("a");
    ck_assert_str_eq(events(), "");
    make("a/b");
    ck_assert_str_eq(events(), "");
    make("a/other");
    make("a/b/c");
    ck_assert_str_eq(events(), "rescan");
    put("a/b/c/f");
    ck_assert_str_eq(events(), "f");
}
END_TEST

START_TEST(a_folder_born_with_its_ancestors_at_once_is_found)
{
    start("a/b/c");
    (void)events();
    make("a");
    make("a/b");
    make("a/b/c");
    put("a/b/c/f");
    ck_assert_str_eq(events(), "rescan");
    put("a/b/c/f");
    ck_assert_str_eq(events(), "f");
}
END_TEST

START_TEST(a_removed_folder_is_gone_and_comes_back)
{
    make("d");
    start("d");
    (void)events();
    cut_folder("d");
    ck_assert_str_eq(events(), "gone");
    make("d");
    ck_assert_str_eq(events(), "rescan");
    put("d/f");
    ck_assert_str_eq(events(), "f");
    cut("d/f");
    cut_folder("d");
    make("d");
    ck_assert_str_eq(events(), "f rescan");
}
END_TEST

START_TEST(a_folder_held_open_by_others_is_gone_too)
{
    int fd;

    make("d");
    fd = openat(folder.dirfd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    start("d");
    (void)events();
    cut_folder("d");
    ck_assert_str_eq(events(), "gone");
    (void)close(fd);
    ck_assert_str_eq(events(), "");
}
END_TEST

START_TEST(a_folder_renamed_away_is_gone)
{
    make("d");
    start("d");
    (void)events();
    move("d", "e");
    ck_assert_str_eq(events(), "gone");
    put("e/f");
    ck_assert_str_eq(events(), "");
    move("e", "d");
    ck_assert_str_eq(events(), "rescan");
    put("d/f");
    ck_assert_str_eq(events(), "f");
}
END_TEST

START_TEST(a_folder_replaced_by_rename_is_scanned_anew)
{
    make("d");
    make("new");
    start("d");
    (void)events();
    move("new", "d");
    ck_assert_str_eq(events(), "rescan");
    put("d/f");
    ck_assert_str_eq(events(), "f");
}
END_TEST

START_TEST(a_parent_renamed_away_takes_the_folder_with_it)
{
    make("p");
    make("p/d");
    start("p/d");
    (void)events();
    move("p", "q");
    ck_assert_str_eq(events(), "gone");
    make("p");
    make("p/d");
    ck_assert_str_eq(events(), "rescan");
}
END_TEST

START_TEST(a_linked_folder_is_followed_to_its_new_target)
{
    make("one");
    make("two");
    tie("one", "d");
    start("d");
    ck_assert_str_eq(events(), "rescan");
    put("one/f");
    ck_assert_str_eq(events(), "f");
    tie("two", "d.new");
    move("d.new", "d");
    ck_assert_str_eq(events(), "rescan");
    put("one/f");
    ck_assert_str_eq(events(), "");
    put("two/f");
    ck_assert_str_eq(events(), "f");
    cut("d");
    ck_assert_str_eq(events(), "gone");
}
END_TEST

START_TEST(the_swap_of_a_mounted_volume_is_one_rescan)
{
    make("vol");
    make("vol/..v1");
    put("vol/..v1/f");
    tie("..v1", "vol/..data");
    tie("..data/f", "vol/f");
    start("vol");
    (void)events();
    make("vol/..v2");
    put("vol/..v2/f");
    tie("..v2", "vol/..data_tmp");
    move("vol/..data_tmp", "vol/..data");
    ck_assert_str_eq(events(), "rescan");
}
END_TEST

START_TEST(a_folder_inside_a_mounted_volume_follows_the_swap)
{
    make("vol");
    make("vol/..v1");
    make("vol/..v1/d");
    tie("..v1", "vol/..data");
    tie("..data/d", "vol/d");
    start("vol/d");
    (void)events();
    make("vol/..v2");
    make("vol/..v2/d");
    tie("..v2", "vol/..data_tmp");
    move("vol/..data_tmp", "vol/..data");
    ck_assert_str_eq(events(), "rescan");
    put("vol/..v2/d/f");
    ck_assert_str_eq(events(), "f");
}
END_TEST

START_TEST(verify_finds_what_inotify_cannot_tell)
{
    make("r1");
    make("r1/d");
    make("r2");
    make("r2/d");
    tie("r1", "current");
    start("current/d");
    ck_assert_str_eq(events(), "rescan");
    watch_verify(watch);
    ck_assert_str_eq(events(), "");
    tie("r2", "current.new");
    move("current.new", "current");
    watch_verify(watch);
    ck_assert(is_readable());
    ck_assert_str_eq(events(), "rescan");
    put("r2/d/f");
    ck_assert_str_eq(events(), "f");
    cut("current");
    watch_verify(watch);
    ck_assert_str_eq(events(), "gone");
}
END_TEST

START_TEST(an_overflow_is_a_rescan)
{
    FILE *f = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
    struct watch_event e;
    int max = 0, rescans = 0;

    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%d", &max), 1);
    (void)fclose(f);
    make("d");
    start("d");
    (void)events();
    put("d/a");
    for (int i = 0; i < max / 4 + 2; i++) {
        move("d/a", "d/b");
        move("d/b", "d/a");
    }
    while (watch_next(watch, &e))
        rescans += e.kind == WATCH_RESCAN;
    ck_assert_int_eq(rescans, 1);
    put("d/f");
    ck_assert_str_eq(events(), "f");
}
END_TEST

START_TEST(a_link_to_the_own_parent_works)
{
    tie(".", "loop");
    start("loop");
    ck_assert_str_eq(events(), "rescan");
    put("f");
    ck_assert_str_eq(events(), "f");
    cut("loop");
    ck_assert_str_eq(events(), "loop gone");
}
END_TEST

START_TEST(slashes_behind_the_path_and_relative_paths_work)
{
    char cwd[PATH_MAX];

    make("d");
    start("d///");
    (void)events();
    move("d", "e");
    ck_assert_str_eq(events(), "gone");
    watch_free(watch);
    ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
    ck_assert_int_eq(fchdir(folder.dirfd), 0);
    watch = watch_new("d", NULL);
    ck_assert_int_eq(chdir(cwd), 0);
    ck_assert_ptr_nonnull(watch);
    ck_assert_str_eq(events(), "gone");
    make("d");
    ck_assert_str_eq(events(), "rescan");
    watch_free(watch);
    watch = watch_new("/", NULL);
    ck_assert_ptr_nonnull(watch);
    ck_assert_str_eq(events(), "rescan");
}
END_TEST

static void
add_tests(TCase *t)
{
    tcase_add_test(t, the_first_event_is_rescan_or_gone_and_readable);
    tcase_add_test(t, names_are_told_once_when_they_are_whole);
    tcase_add_test(t, a_file_under_creation_is_not_told);
    tcase_add_test(t, dot_names_and_the_neighbours_are_never_told);
    tcase_add_test(t, a_reader_may_take_one_event_at_a_time);
    tcase_add_test(t, what_happens_between_attaching_and_scanning_is_told);
    tcase_add_test(t, a_folder_born_late_is_found_level_by_level);
    tcase_add_test(t, a_folder_born_with_its_ancestors_at_once_is_found);
    tcase_add_test(t, a_removed_folder_is_gone_and_comes_back);
    tcase_add_test(t, a_folder_held_open_by_others_is_gone_too);
    tcase_add_test(t, a_folder_renamed_away_is_gone);
    tcase_add_test(t, a_folder_replaced_by_rename_is_scanned_anew);
    tcase_add_test(t, a_parent_renamed_away_takes_the_folder_with_it);
    tcase_add_test(t, a_linked_folder_is_followed_to_its_new_target);
    tcase_add_test(t, the_swap_of_a_mounted_volume_is_one_rescan);
    tcase_add_test(t, a_folder_inside_a_mounted_volume_follows_the_swap);
    tcase_add_test(t, verify_finds_what_inotify_cannot_tell);
    tcase_add_test(t, an_overflow_is_a_rescan);
    tcase_add_test(t, a_link_to_the_own_parent_works);
    tcase_add_test(t, slashes_behind_the_path_and_relative_paths_work);
}

int
main(void)
{
    Suite *suite = suite_create("watch");
    TCase *t = tcase_create("watch");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    add_tests(t);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
