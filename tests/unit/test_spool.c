/*
 * The contract between the daemons: names, modes, side files, listing.
 */
#include "shared/spool.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FP_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define FP_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define FP_C "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Not constants: a new folder for each test. */
static struct temp_folder folder;
static struct spool spool;

static void
setup(void)
{
    struct err err;

    temp_folder_init(&folder);
    ck_assert(spool_open(&spool, folder.path, &err));
}

static void
teardown(void)
{
    spool_close(&spool);
    temp_folder_fini(&folder);
}

START_TEST(only_64_lowercase_hex_digits_and_der_are_a_name)
{
    static const struct {
        const char *name;
        bool ok;
    } cases[] = {{FP_C ".der", true}, {FP_C ".json", false}, {FP_C, false},
        {FP_C ".der.der", false}, {"." FP_C ".der", false},
        {"A" FP_C ".der", false}, {".der", false}, {"", false},
        {"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef.der",
            false}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char fp[CERT_FINGERPRINT_SIZE] = "";

        ck_assert_msg(
            spool_is_der_name(span_str(cases[i].name), fp) == cases[i].ok, "%s",
            cases[i].name);
        ck_assert_str_eq(fp, cases[i].ok ? FP_C : "");
    }
}
END_TEST

START_TEST(a_folder_that_is_missing_is_an_error)
{
    struct spool other = {NULL, -1};
    struct err err = {0};

    ck_assert(!spool_open(&other, "/nonexistent/spool", &err));
    ck_assert_int_eq(err.sys_errno, ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/spool"));
    spool_close(&other);
    spool_close(&other);
}
END_TEST

START_TEST(bytes_come_back_as_stored_and_world_readable)
{
    mode_t old = umask(0077);
    struct err err = {0};
    bool changed = false;
    struct stat st;
    struct buf der;

    buf_init(&der, 100);
    ck_assert(!spool_load(&spool, FP_A, &der, &err));
    ck_assert_int_eq(err.sys_errno, ENOENT);
    ck_assert(spool_store(&spool, FP_A, SPAN_LIT("0\0z"), &changed, &err));
    ck_assert(changed);
    (void)umask(old);
    ck_assert(spool_sync(&spool, &err));
    ck_assert(spool_load(&spool, FP_A, &der, &err));
    ck_assert(span_eq(buf_span(&der), SPAN_LIT("0\0z")));
    ck_assert_int_eq(fstatat(folder.dirfd, FP_A ".der", &st, 0), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0644);
    buf_fini(&der);
}
END_TEST

static ino_t
inode(const char *name)
{
    struct stat st;

    ck_assert_int_eq(fstatat(folder.dirfd, name, &st, 0), 0);
    return st.st_ino;
}

START_TEST(equal_bytes_are_not_rewritten)
{
    struct err err = {0};
    bool changed = true;
    ino_t first;

    ck_assert(spool_store(&spool, FP_A, SPAN_LIT("one"), &changed, &err));
    first = inode(FP_A ".der");
    ck_assert(spool_store(&spool, FP_A, SPAN_LIT("one"), &changed, &err));
    ck_assert(!changed);
    ck_assert_uint_eq(inode(FP_A ".der"), first);
    ck_assert(spool_store(&spool, FP_A, SPAN_LIT("two"), &changed, &err));
    ck_assert(changed);
    ck_assert(spool_store(&spool, FP_A, SPAN_LIT("three"), NULL, &err));
}
END_TEST

START_TEST(no_empty_file_and_no_foreign_name_is_ever_written)
{
    struct spool_meta meta = {0};
    struct err err = {0};
    struct buf der;

    buf_init(&der, 100);
    ck_assert(!spool_store(&spool, FP_A, SPAN_EMPTY, NULL, &err));
    ck_assert(!spool_store(&spool, "../x", SPAN_LIT("x"), NULL, &err));
    ck_assert_int_eq(err.kind, ERR_FORMAT);
    ck_assert(!spool_load(&spool, "", &der, &err));
    ck_assert(!spool_load_meta(&spool, "x", &meta, &err));
    ck_assert(!spool_store_meta(&spool, "x", &meta, &err));
    ck_assert(!spool_remove(&spool, "../../etc/passwd", &err));
    buf_fini(&der);
}
END_TEST

START_TEST(a_side_file_comes_back_as_stored)
{
    struct spool_meta meta = {.label = (char *)(uintptr_t) "www.example.org",
        .cert_path = (char *)(uintptr_t) "/etc/\xff/\"x\"",
        .status = (char *)(uintptr_t) "good",
        .next_update = INT64_C(253402300799),
        .this_update = -5,
        .failures = 3,
        .revoked_reason = -1,
        .must_staple = true};
    struct spool_meta back = {0};
    struct err err = {0};

    ck_assert(spool_store_meta(&spool, FP_B, &meta, &err));
    ck_assert_msg(spool_load_meta(&spool, FP_B, &back, &err), "%s", err.text);
    ck_assert_str_eq(back.label, "www.example.org");
    ck_assert_str_eq(back.cert_path, "/etc/?/\"x\"");
    ck_assert_str_eq(back.status, "good");
    ck_assert_ptr_null(back.source);
    ck_assert_int_eq(back.next_update, INT64_C(253402300799));
    ck_assert_int_eq(back.this_update, -5);
    ck_assert_int_eq(back.failures, 3);
    ck_assert_int_eq(back.revoked_reason, -1);
    ck_assert(back.must_staple);
    spool_meta_fini(&back);
    spool_meta_fini(&back);
}
END_TEST

START_TEST(side_files_of_others_are_read_with_care)
{
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"{\"version\": 1}", true},
        {"{\"version\": 1, \"label\": null, \"unknown\": [1]}", true},
        {"{\"version\": 2}", false},
        {"{\"version\": \"1\"}", false},
        {"{}", false},
        {"[]", false},
        {"", false},
        {"{\"version\": 1", false},
        {"{\"version\": 1} x", false},
        {"{\"version\": 1, \"version\": 1}", false},
        {"{\"version\": 1, \"label\": 1}", false},
        {"{\"version\": 1, \"label\": \"a\", \"must_staple\": 1}", false},
        {"{\"version\": 1, \"failures\": 1.5}", false},
        {"{\"version\": 1, \"revoked_reason\": 9999999999}", false},
        {"{\"version\": 1, \"failures\": 99999999999999999999}", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct spool_meta meta = {0};
        struct err err = {0};

        temp_folder_put(&folder, FP_A ".json", cases[i].text);
        ck_assert_msg(spool_load_meta(&spool, FP_A, &meta, &err) == cases[i].ok,
            "%s", cases[i].text);
        spool_meta_fini(&meta);
    }
}
END_TEST

static bool
on_entry(void *ctx, const char *fp, bool has_der)
{
    ck_assert(buf_add_fmt(ctx, "%c%d ", fp[0], has_der));
    return fp[0] != 'b';
}

START_TEST(each_fingerprint_is_listed_once)
{
    struct err err = {0};
    struct buf seen;

    buf_init(&seen, 1000);
    ck_assert(spool_each(&spool, on_entry, &seen, &err));
    ck_assert_str_eq(buf_cstr(&seen), "");
    temp_folder_put(&folder, FP_A ".der", "x");
    temp_folder_put(&folder, FP_A ".json", "x");
    temp_folder_put(&folder, FP_C ".json", "x");
    temp_folder_put(&folder, "." FP_C ".der.ABCDEF", "x");
    temp_folder_put(&folder, "README", "x");
    ck_assert(spool_each(&spool, on_entry, &seen, &err));
    ck_assert_str_eq(buf_cstr(&seen), "00 a1 ");
    buf_clear(&seen);
    temp_folder_put(&folder, FP_B ".der", "x");
    temp_folder_put(&folder,
        "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.der",
        "x");
    ck_assert(spool_each(&spool, on_entry, &seen, &err));
    ck_assert_str_eq(buf_cstr(&seen), "00 a1 b1 ");
    buf_fini(&seen);
}
END_TEST

START_TEST(files_are_removed_and_absence_is_no_error)
{
    struct err err = {0};

    temp_folder_put(&folder, FP_A ".der", "x");
    temp_folder_put(&folder, FP_A ".json", "x");
    ck_assert(spool_remove_der(&spool, FP_A, &err));
    ck_assert_int_eq(faccessat(folder.dirfd, FP_A ".der", F_OK, 0), -1);
    ck_assert_int_eq(faccessat(folder.dirfd, FP_A ".json", F_OK, 0), 0);
    ck_assert(spool_remove(&spool, FP_A, &err));
    ck_assert_int_eq(faccessat(folder.dirfd, FP_A ".json", F_OK, 0), -1);
    ck_assert(spool_remove(&spool, FP_A, &err));
    ck_assert(spool_sweep(&spool, &err));
}
END_TEST

START_TEST(the_digest_is_sha256)
{
    char hex[65];

    spool_digest(SPAN_LIT("abc"), hex);
    ck_assert_str_eq(hex, /* FIPS 180-2, B.1 */
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("spool");
    TCase *t = tcase_create("spool");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, only_64_lowercase_hex_digits_and_der_are_a_name);
    tcase_add_test(t, a_folder_that_is_missing_is_an_error);
    tcase_add_test(t, bytes_come_back_as_stored_and_world_readable);
    tcase_add_test(t, equal_bytes_are_not_rewritten);
    tcase_add_test(t, no_empty_file_and_no_foreign_name_is_ever_written);
    tcase_add_test(t, a_side_file_comes_back_as_stored);
    tcase_add_test(t, side_files_of_others_are_read_with_care);
    tcase_add_test(t, each_fingerprint_is_listed_once);
    tcase_add_test(t, files_are_removed_and_absence_is_no_error);
    tcase_add_test(t, the_digest_is_sha256);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
