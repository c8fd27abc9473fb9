/*
 * Files from a temporary folder, over a real loop.
 * Input: requests. Output: heads, bodies.
 */
#include "wsgate/backend/backend.h"

#include "tests/support/backend_rig.h"
#include "tests/support/temp_folder.h"
#include "wsgate/backend/file_open.h"
#include "wsgate/backend/file_type.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* 2020-01-02 03:04:05 UTC */
#define MODIFIED "Thu, 02 Jan 2020 03:04:05 GMT"
enum { MODIFIED_AT = 1577934245, LARGE = 300 * 1024 };

static struct backend_rig rig;
static struct temp_folder folder;
static char root[PATH_MAX];
static char *codings[] = {(char[]){"br"}, (char[]){"gzip"}};

static void
put(const char *name, const char *text)
{
    const struct timespec times[2] = {{MODIFIED_AT, 0}, {MODIFIED_AT, 0}};

    temp_folder_put(&folder, name, text);
    ck_assert_int_eq(utimensat(folder.dirfd, name, times, 0), 0);
}

static void
put_large(const char *name)
{
    char *text = malloc(LARGE + 1);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < LARGE; i++)
        text[i] = (char)('a' + i % 26);
    text[LARGE] = 0;
    put(name, text);
    free(text);
}

static void
make_folder(const char *name)
{
    ck_assert_int_eq(mkdirat(folder.dirfd, name, 0755), 0);
}

static void
setup(void)
{
    backend_rig_init(&rig, 0);
    temp_folder_init(&folder);
    make_folder("site");
    make_folder("site/sub");
    make_folder("site/empty");
    make_folder("site/.git");
    make_folder("site/.well-known");
    put("secret", "secret");
    put("site/a.txt", "0123456789");
    put("site/page.html", "<p>plain");
    put("site/page.html.br", "BR");
    put("site/page.html.gz", "GZIP");
    put("site/index.html", "root");
    put("site/sub/index.html", "sub");
    put("site/none.txt", "");
    put("site/.hidden", "x");
    put("site/.git/config", "x");
    put("site/.well-known/a", "known");
    put("site/a b.txt", "space");
    ck_assert_int_eq(symlinkat("../secret", folder.dirfd, "site/out"), 0);
    ck_assert_int_eq(symlinkat("a.txt", folder.dirfd, "site/in"), 0);
    ck_assert_int_eq(symlinkat("/etc/passwd", folder.dirfd, "site/abs"), 0);
    ck_assert_int_eq(mkfifoat(folder.dirfd, "site/fifo", 0644), 0);
    (void)temp_folder_path(&folder, "site", root);
    rig.location.files.root = root;
}

static void
teardown(void)
{
    backend_rig_fini(&rig);
    temp_folder_fini(&folder);
}

static void
run(const char *method, const char *path, const char *fields)
{
    char request[2000];

    (void)snprintf(request, sizeof(request),
        "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, path, fields);
    backend_rig_begin(&rig, backend_files_start, request, true);
    backend_rig_run(&rig);
}

/* ---- what is found ------------------------------------------------------- */

static const struct {
    const char *prefix;
    const char *path;
    unsigned status;
    const char *body; /* of 200 */
} paths[] = {
    {"/", "/a.txt", 200, "0123456789"},
    {"/", "/a%20b.txt", 200, "space"},
    {"/", "/", 200, "root"},
    {"/", "/sub/", 200, "sub"},
    {"/", "/sub", 301, ""},
    {"/", "/empty/", 404, ""},
    {"/", "/none.txt", 200, ""},
    {"/", "/nothing", 404, ""},
    {"/", "/a.txt/", 404, ""},
    {"/", "/a.txt/b", 404, ""},
    {"/", "/.hidden", 404, ""},
    {"/", "/.git/config", 404, ""},
    {"/", "/.well-known/a", 200, "known"},
    {"/", "/sub/.well-known/a", 404, ""},
    {"/", "/in", 200, "0123456789"},
    {"/", "/out", 404, ""},
    {"/", "/abs", 404, ""},
    {"/", "/fifo", 404, ""},
    {"/", "//a.txt", 404, ""},
    {"/", "//sub", 404, ""},
    {"/", "/sub%2Findex.html", 404, ""},
    {"/", "/%2e%2e/secret", 404, ""},
    {"/", "/..%5Csecret", 404, ""},
    {"/static/", "/static/a.txt", 200, "0123456789"},
    {"/static/", "/static/", 200, "root"},
    {"/static/", "/static//sub", 404, ""},
    {"/static", "/static/a.txt", 200, "0123456789"},
    {"/static", "/static", 301, ""},
    {"/static", "/static/", 200, "root"},
};

START_TEST(path_is_answered)
{
    rig.location.prefix = (char *)(uintptr_t)paths[_i].prefix;
    run("GET", paths[_i].path, "");
    ck_assert_msg(rig.is_ended, "%s: %s", paths[_i].path, rig.error);
    ck_assert_msg(
        rig.status == paths[_i].status, "%s: %u", paths[_i].path, rig.status);
    if (rig.status == 200)
        ck_assert_str_eq(backend_rig_body(&rig), paths[_i].body);
    ck_assert_uint_eq(rig.length, rig.body.len);
    ck_assert_int_eq(rig.framing, HTTP_BODY_LENGTH);
}
END_TEST

START_TEST(folder_without_slash_is_redirected)
{
    run("GET", "/sub?a=b", "");
    ck_assert_uint_eq(rig.status, 301);
    ck_assert(backend_rig_has_field(&rig, "Location: /sub/?a=b"));
}
END_TEST

START_TEST(head_of_a_file)
{
    run("GET", "/a.txt", "");
    ck_assert(
        backend_rig_has_field(&rig, "Content-Type: text/plain; charset=utf-8"));
    ck_assert(backend_rig_has_field(&rig, "X-Content-Type-Options: nosniff"));
    ck_assert(backend_rig_has_field(&rig, "Last-Modified: " MODIFIED));
    ck_assert(backend_rig_has_field(&rig, "Accept-Ranges: bytes"));
    ck_assert(backend_rig_has_field(&rig, "Content-Length: 10"));
    ck_assert(backend_rig_has_field(&rig, "ETag: \"5e0d5da500000000-a\""));
    ck_assert(!backend_rig_has_field(&rig, "Vary: Accept-Encoding"));
    ck_assert_str_eq(backend_server(rig.call), "files");
}
END_TEST

START_TEST(head_gets_no_body)
{
    static const char *const asked[] = {"/a.txt", "/nothing", "/sub"};

    run("HEAD", asked[_i], "");
    ck_assert(rig.is_ended);
    ck_assert_uint_eq(rig.body.len, 0);
    ck_assert_int_eq(rig.framing, HTTP_BODY_NONE);
    if (_i == 0)
        ck_assert(backend_rig_has_field(&rig, "Content-Length: 10"));
}
END_TEST

START_TEST(other_methods_are_refused)
{
    static const char *const methods[] = {
        "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"};

    run(methods[_i], "/a.txt", "Content-Length: 0\r\n");
    ck_assert_uint_eq(rig.status, 405);
    ck_assert(backend_rig_has_field(&rig, "Allow: GET, HEAD"));
}
END_TEST

START_TEST(unreadable_file_is_forbidden)
{
    if (geteuid() == 0)
        return; /* root reads everything */
    put("site/closed", "x");
    ck_assert_int_eq(fchmodat(folder.dirfd, "site/closed", 0, 0), 0);
    run("GET", "/closed", "");
    ck_assert_uint_eq(rig.status, 403);
}
END_TEST

START_TEST(missing_root_is_our_fault)
{
    static char nowhere[] = "/nowhere/at/all";

    rig.location.files.root = nowhere;
    run("GET", "/a.txt", "");
    ck_assert(rig.is_failed);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_INTERNAL);
    ck_assert_ptr_nonnull(strstr(rig.error, nowhere));
}
END_TEST

/* ---- conditions and ranges ----------------------------------------------- */

#define ETAG "\"5e0d5da500000000-a\""

static const struct {
    const char *fields;
    unsigned status;
    const char *body;
    const char *field; /* NULL: none */
} conditions[] = {
    {"If-None-Match: " ETAG "\r\n", 304, "", "ETag: " ETAG},
    {"If-None-Match: W/" ETAG "\r\n", 304, "", NULL},
    {"If-None-Match: \"x\", " ETAG "\r\n", 304, "", NULL},
    {"If-None-Match: *\r\n", 304, "", NULL},
    {"If-None-Match: \"x\"\r\n", 200, "0123456789", NULL},
    {"If-None-Match: \"x\"\r\nIf-Modified-Since: " MODIFIED "\r\n", 200,
        "0123456789", NULL},
    {"If-Modified-Since: " MODIFIED "\r\n", 304, "", NULL},
    {"If-Modified-Since: Thu, 02 Jan 2020 03:04:04 GMT\r\n", 200, "0123456789",
        NULL},
    {"If-Modified-Since: yesterday\r\n", 200, "0123456789", NULL},
    {"Range: bytes=0-0\r\n", 206, "0", "Content-Range: bytes 0-0/10"},
    {"Range: bytes=2-5\r\n", 206, "2345", "Content-Range: bytes 2-5/10"},
    {"Range: bytes=7-\r\n", 206, "789", "Content-Range: bytes 7-9/10"},
    {"Range: bytes=7-99\r\n", 206, "789", "Content-Range: bytes 7-9/10"},
    {"Range: bytes=-3\r\n", 206, "789", "Content-Range: bytes 7-9/10"},
    {"Range: bytes=-99\r\n", 206, "0123456789", "Content-Range: bytes 0-9/10"},
    {"Range: bytes=10-\r\n", 416, NULL, "Content-Range: bytes */10"},
    {"Range: bytes=-0\r\n", 416, NULL, "Content-Range: bytes */10"},
    {"Range: bytes=5-2\r\n", 200, "0123456789", NULL},
    {"Range: bytes=a-b\r\n", 200, "0123456789", NULL},
    {"Range: bytes=0-1,3-4\r\n", 200, "0123456789", NULL},
    {"Range: lines=0-1\r\n", 200, "0123456789", NULL},
    {"Range: bytes=99999999999999999999-\r\n", 200, "0123456789", NULL},
    {"Range: bytes=0-1\r\nIf-Range: " ETAG "\r\n", 206, "01", NULL},
    {"Range: bytes=0-1\r\nIf-Range: W/" ETAG "\r\n", 200, "0123456789", NULL},
    {"Range: bytes=0-1\r\nIf-Range: \"x\"\r\n", 200, "0123456789", NULL},
    {"Range: bytes=0-1\r\nIf-Range: " MODIFIED "\r\n", 206, "01", NULL},
    {"Range: bytes=0-1\r\nIf-Range: Thu, 02 Jan 2020 03:04:06 GMT\r\n", 200,
        "0123456789", NULL},
};

START_TEST(condition_is_met)
{
    run("GET", "/a.txt", conditions[_i].fields);
    ck_assert(rig.is_ended);
    ck_assert_msg(rig.status == conditions[_i].status, "%s: %u",
        conditions[_i].fields, rig.status);
    if (conditions[_i].body != NULL)
        ck_assert_str_eq(backend_rig_body(&rig), conditions[_i].body);
    if (conditions[_i].field != NULL)
        ck_assert(backend_rig_has_field(&rig, conditions[_i].field));
}
END_TEST

START_TEST(head_has_no_ranges)
{
    run("HEAD", "/a.txt", "Range: bytes=0-0\r\n");
    ck_assert_uint_eq(rig.status, 200);
}
END_TEST

/* ---- precompressed ------------------------------------------------------- */

static const struct {
    const char *fields;
    const char *body;
    const char *encoding; /* NULL: none */
} packed[] = {
    {"", "<p>plain", NULL},
    {"Accept-Encoding: gzip\r\n", "GZIP", "Content-Encoding: gzip"},
    {"Accept-Encoding: gzip, deflate, br\r\n", "BR", "Content-Encoding: br"},
    {"Accept-Encoding: br;q=0, gzip;q=0.5\r\n", "GZIP",
        "Content-Encoding: gzip"},
    {"Accept-Encoding: br;q=0.000, *;q=0\r\n", "<p>plain", NULL},
    {"Accept-Encoding: *\r\n", "BR", "Content-Encoding: br"},
    {"Accept-Encoding: identity\r\n", "<p>plain", NULL},
};

START_TEST(precompressed_neighbour_is_sent)
{
    rig.location.files.precompressed =
        (struct config_strings){.items = codings, .count = 2};
    run("GET", "/page.html", packed[_i].fields);
    ck_assert_uint_eq(rig.status, 200);
    ck_assert_msg(strcmp(backend_rig_body(&rig), packed[_i].body) == 0, "%s",
        packed[_i].fields);
    ck_assert(backend_rig_has_field(&rig, "Vary: Accept-Encoding"));
    ck_assert(
        backend_rig_has_field(&rig, "Content-Type: text/html; charset=utf-8"));
    if (packed[_i].encoding != NULL)
        ck_assert(backend_rig_has_field(&rig, packed[_i].encoding));
}
END_TEST

START_TEST(without_a_neighbour_the_file_itself)
{
    rig.location.files.precompressed =
        (struct config_strings){.items = codings, .count = 2};
    run("GET", "/a.txt", "Accept-Encoding: br, gzip\r\n");
    ck_assert_str_eq(backend_rig_body(&rig), "0123456789");
    ck_assert(backend_rig_has_field(&rig, "Vary: Accept-Encoding"));
}
END_TEST

/* ---- large files, back-pressure, release --------------------------------- */

static void
begin_large(void)
{
    put_large("site/large");
    backend_rig_begin(&rig, backend_files_start,
        "GET /large HTTP/1.1\r\nHost: h\r\n\r\n", true);
}

START_TEST(large_file_comes_in_parts)
{
    begin_large();
    backend_rig_run(&rig);
    ck_assert_uint_eq(rig.body.len, LARGE);
    ck_assert_uint_ge(rig.bodies, LARGE / NET_BUFFER_SIZE);
    for (size_t i = 0; i < LARGE; i++)
        ck_assert_uint_eq(rig.body.data[i], 'a' + i % 26);
}
END_TEST

/* Out of the page cache: the bytes come from libuv's pool. */
START_TEST(cold_file_is_read_in_the_pool)
{
    int fd;

    put_large("site/large");
    fd = openat(folder.dirfd, "site/large", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    (void)fsync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(fd);
    run("GET", "/large", "");
    ck_assert_uint_eq(rig.body.len, LARGE);
}
END_TEST

static bool
has_body(struct backend_rig *r)
{
    return r->bodies > 0;
}

START_TEST(paused_file_waits)
{
    rig.pause_at_body = true;
    begin_large();
    backend_rig_until(&rig, has_body);
    backend_rig_turn(&rig);
    ck_assert_uint_eq(rig.bodies, 1);
    rig.pause_at_body = false;
    backend_resume(rig.call);
    backend_rig_run(&rig);
    ck_assert_uint_eq(rig.body.len, LARGE);
}
END_TEST

static bool
is_released(struct backend_rig *r)
{
    return r->call == NULL;
}

START_TEST(released_within_an_event)
{
    rig.release = (enum rig_release)_i;
    begin_large();
    backend_rig_until(&rig, is_released);
    backend_rig_turn(&rig);
}
END_TEST

START_TEST(released_at_once)
{
    begin_large();
    backend_rig_release(&rig);
    backend_rig_turn(&rig);
    ck_assert(!rig.is_ended);
}
END_TEST

START_TEST(file_that_shrinks_is_cut)
{
    rig.pause_at_body = true;
    begin_large();
    backend_rig_until(&rig, has_body);
    put("site/large", "short");
    backend_resume(rig.call);
    backend_rig_run(&rig);
    ck_assert(rig.is_failed);
    ck_assert_int_eq(rig.why, BACKEND_FAILED_INTERNAL);
}
END_TEST

/* ---- types --------------------------------------------------------------- */

START_TEST(types_by_ending)
{
    ck_assert_str_eq(
        file_type(SPAN_LIT("a/b.HTML")), "text/html; charset=utf-8");
    ck_assert_str_eq(file_type(SPAN_LIT("a.tar.gz")), "application/gzip");
    ck_assert_str_eq(file_type(SPAN_LIT("a.wasm")), "application/wasm");
    ck_assert_str_eq(file_type(SPAN_LIT("html")), "application/octet-stream");
    ck_assert_str_eq(file_type(SPAN_LIT("a.xyz")), "application/octet-stream");
    ck_assert_str_eq(file_type(SPAN_EMPTY), "application/octet-stream");
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

int
main(void)
{
    Suite *suite = suite_create("backend_files");
    TCase *tcase = tcase_create("files");
    SRunner *runner;
    int failures;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, path_is_answered, 0, COUNT(paths));
    tcase_add_test(tcase, folder_without_slash_is_redirected);
    tcase_add_test(tcase, head_of_a_file);
    tcase_add_loop_test(tcase, head_gets_no_body, 0, 3);
    tcase_add_loop_test(tcase, other_methods_are_refused, 0, 5);
    tcase_add_test(tcase, unreadable_file_is_forbidden);
    tcase_add_test(tcase, missing_root_is_our_fault);
    tcase_add_loop_test(tcase, condition_is_met, 0, COUNT(conditions));
    tcase_add_test(tcase, head_has_no_ranges);
    tcase_add_loop_test(
        tcase, precompressed_neighbour_is_sent, 0, COUNT(packed));
    tcase_add_test(tcase, without_a_neighbour_the_file_itself);
    tcase_add_test(tcase, large_file_comes_in_parts);
    tcase_add_test(tcase, cold_file_is_read_in_the_pool);
    tcase_add_test(tcase, paused_file_waits);
    tcase_add_loop_test(tcase, released_within_an_event, RIG_RELEASE_AT_HEAD,
        RIG_RELEASE_AT_END + 1);
    tcase_add_test(tcase, released_at_once);
    tcase_add_test(tcase, file_that_shrinks_is_cut);
    tcase_add_test(tcase, types_by_ending);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures ? 1 : 0;
}
