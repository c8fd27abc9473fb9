/*
 * Files that are whole or not there.
 */
#include "shared/atomic_file.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

/* Not a constant: a new folder for each test. */
static struct temp_folder folder;

static void
setup(void)
{
    temp_folder_init(&folder);
}

static void
teardown(void)
{
    temp_folder_fini(&folder);
}

static size_t
count_files(void)
{
    DIR *dir = opendir(folder.path);
    size_t count = 0;

    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count - 2;
}

static void
expect_content(const char *name, const char *text)
{
    struct err err = {0};
    struct buf b;

    buf_init(&b, 1000);
    ck_assert_msg(
        atomic_file_read(folder.dirfd, name, &b, &err), "%s", err.text);
    ck_assert_str_eq(buf_cstr(&b), text);
    buf_fini(&b);
}

START_TEST(a_file_is_written_replaced_and_removed)
{
    struct err err = {0};

    ck_assert(
        atomic_file_write(folder.dirfd, "f", SPAN_LIT("one"), 0644, &err));
    expect_content("f", "one");
    ck_assert(atomic_file_write(
        folder.dirfd, "f", SPAN_LIT("two, longer"), 0644, &err));
    expect_content("f", "two, longer");
    ck_assert(atomic_file_write(folder.dirfd, "f", SPAN_EMPTY, 0644, &err));
    expect_content("f", "");
    ck_assert(atomic_file_sync_dir(folder.dirfd, &err));
    ck_assert_uint_eq(count_files(), 1);
    ck_assert(atomic_file_remove(folder.dirfd, "f", &err));
    ck_assert(atomic_file_remove(folder.dirfd, "f", &err));
    ck_assert_uint_eq(count_files(), 0);
}
END_TEST

START_TEST(the_mode_is_set_whatever_the_umask)
{
    mode_t old = umask(0777);
    struct err err = {0};
    struct stat st;

    ck_assert(atomic_file_write(folder.dirfd, "f", SPAN_LIT("x"), 0644, &err));
    (void)umask(old);
    ck_assert_int_eq(fstatat(folder.dirfd, "f", &st, 0), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0644);
}
END_TEST

START_TEST(a_reader_of_the_old_file_keeps_the_old_bytes)
{
    struct err err = {0};
    char bytes[4] = "";
    int fd;

    temp_folder_put(&folder, "f", "old");
    fd = openat(folder.dirfd, "f", O_RDONLY | O_CLOEXEC);
    ck_assert(
        atomic_file_write(folder.dirfd, "f", SPAN_LIT("new"), 0644, &err));
    ck_assert_int_eq(read(fd, bytes, 3), 3);
    ck_assert_str_eq(bytes, "old");
    (void)close(fd);
}
END_TEST

START_TEST(a_name_of_the_greatest_length_works_and_no_longer)
{
    char name[NAME_MAX + 2];
    struct err err = {0};

    memset(name, 'n', sizeof(name));
    name[NAME_MAX + 1] = 0;
    ck_assert(
        !atomic_file_write(folder.dirfd, name, SPAN_LIT("x"), 0644, &err));
    name[NAME_MAX] = 0;
    ck_assert_msg(
        atomic_file_write(folder.dirfd, name, SPAN_LIT("x"), 0644, &err), "%s",
        err.text);
    expect_content(name, "x");
}
END_TEST

START_TEST(what_is_no_file_name_is_refused)
{
    struct err err = {0};

    ck_assert(!atomic_file_write(folder.dirfd, "a/b", SPAN_EMPTY, 0644, &err));
    ck_assert(!atomic_file_write(folder.dirfd, "", SPAN_EMPTY, 0644, &err));
}
END_TEST

/* A limit on file size is a full disk that needs no root. */
START_TEST(a_failed_write_leaves_the_old_file_and_nothing_else)
{
    struct rlimit old, tiny;
    struct err err = {0};
    char big[4096];
    bool ok;

    memset(big, 'x', sizeof(big));
    temp_folder_put(&folder, "f", "old");
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    tiny = old;
    tiny.rlim_cur = 1000;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tiny), 0);
    ok = atomic_file_write(
        folder.dirfd, "f", span_make(big, sizeof(big)), 0644, &err);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    ck_assert(!ok);
    ck_assert_int_eq(err.kind, ERR_SYSTEM);
    ck_assert_int_eq(err.sys_errno, EFBIG);
    expect_content("f", "old");
    ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(a_rename_onto_a_folder_fails_cleanly)
{
    struct err err = {0};

    ck_assert_int_eq(mkdirat(folder.dirfd, "d", 0755), 0);
    ck_assert(!atomic_file_write(folder.dirfd, "d", SPAN_LIT("x"), 0644, &err));
    ck_assert_str_ne(err.text, "");
    ck_assert_uint_eq(count_files(), 1);
}
END_TEST

START_TEST(a_file_is_read_up_to_its_limit)
{
    struct err err = {0};
    struct buf b;

    temp_folder_put(&folder, "f", "12345678");
    buf_init(&b, 8);
    ck_assert(atomic_file_read(folder.dirfd, "f", &b, &err));
    ck_assert_str_eq(buf_cstr(&b), "12345678");
    buf_fini(&b);
    buf_init(&b, 7);
    ck_assert(!atomic_file_read(folder.dirfd, "f", &b, &err));
    ck_assert_int_eq(err.kind, ERR_LIMIT);
    buf_fini(&b);
    buf_init(&b, 100000);
    /* The size of files in /proc is 0 until they are read. */
    ck_assert(atomic_file_read(AT_FDCWD, "/proc/self/status", &b, &err));
    ck_assert_uint_gt(b.len, 100);
    buf_fini(&b);
    buf_init(&b, 100);
    ck_assert(!atomic_file_read(AT_FDCWD, "/proc/self/status", &b, &err));
    ck_assert_int_eq(err.kind, ERR_LIMIT);
    buf_fini(&b);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused_at_once)
{
    struct err err = {0};
    struct buf b;

    buf_init(&b, 100);
    ck_assert_int_eq(mkfifoat(folder.dirfd, "fifo", 0600), 0);
    ck_assert(!atomic_file_read(folder.dirfd, "fifo", &b, &err));
    ck_assert_int_eq(err.kind, ERR_FORMAT);
    ck_assert(!atomic_file_read(folder.dirfd, ".", &b, &err));
    ck_assert(!atomic_file_read(AT_FDCWD, "/dev/zero", &b, &err));
    ck_assert(!atomic_file_read(folder.dirfd, "missing", &b, &err));
    ck_assert_int_eq(err.sys_errno, ENOENT);
    buf_fini(&b);
}
END_TEST

START_TEST(only_old_temp_files_are_swept)
{
    static const char *const kept[] = {
        "f", ".hidden", ".a.b", ".x.ABCDE", ".x.ABCD-F", "x.ABCDEF"};
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct err err = {0};
    size_t removed = 0;

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        temp_folder_put(&folder, kept[i], "");
        ck_assert_int_eq(utimensat(folder.dirfd, kept[i], old, 0), 0);
    }
    temp_folder_put(&folder, ".f.AAAAAA", "");
    ck_assert_int_eq(utimensat(folder.dirfd, ".f.AAAAAA", old, 0), 0);
    temp_folder_put(&folder, ".f.bbbbb9", "");
    ck_assert(atomic_file_sweep(folder.dirfd, 60, &removed, &err));
    ck_assert_uint_eq(removed, 1);
    ck_assert_int_eq(faccessat(folder.dirfd, ".f.AAAAAA", F_OK, 0), -1);
    ck_assert(atomic_file_sweep(folder.dirfd, 0, &removed, &err));
    ck_assert_uint_eq(removed, 1);
    ck_assert_uint_eq(count_files(), sizeof(kept) / sizeof(kept[0]));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("atomic_file");
    TCase *t = tcase_create("atomic_file");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_file_is_written_replaced_and_removed);
    tcase_add_test(t, the_mode_is_set_whatever_the_umask);
    tcase_add_test(t, a_reader_of_the_old_file_keeps_the_old_bytes);
    tcase_add_test(t, a_name_of_the_greatest_length_works_and_no_longer);
    tcase_add_test(t, what_is_no_file_name_is_refused);
    tcase_add_test(t, a_failed_write_leaves_the_old_file_and_nothing_else);
    tcase_add_test(t, a_rename_onto_a_folder_fails_cleanly);
    tcase_add_test(t, a_file_is_read_up_to_its_limit);
    tcase_add_test(t, what_is_no_regular_file_is_refused_at_once);
    tcase_add_test(t, only_old_temp_files_are_swept);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
