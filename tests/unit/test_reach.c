/*
 * Why a path cannot be reached, and the mend in words.
 * Input: files, folders and links of root's, seen by another user. Output:
 * Check's report.
 */
#include "shared/reach.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { NOBODY = 65534, TEXT_SIZE = 640 };

static struct temp_folder folder;

static const char *
at(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;

    next = (next + 1) % 4;
    return temp_folder_path(&folder, name, paths[next]);
}

static void
set_mode(const char *name, mode_t mode)
{
    ck_assert_int_eq(chmod(at(name), mode), 0);
}

static void
setup(void)
{
    temp_folder_init(&folder);
    ck_assert_int_eq(chmod(folder.path, 0755), 0);
    ck_assert_int_eq(mkdir(at("live"), 0755), 0);
    temp_folder_put(&folder, "live/a.pem", "x");
    set_mode("live/a.pem", 0644);
}

static void
teardown(void)
{
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
    (void)chmod(at("live"), 0700);
    temp_folder_fini(&folder);
}

/* Modes bind everybody but root. */
static void
become_another(void)
{
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(NOBODY), 0);
}

static void
ck_reach(const char *name, enum reach_want want, enum reach_kind kind,
    const char *stopped_at)
{
    struct reach r;

    become_another();
    reach_find(at(name), want, &r);
    ck_assert_int_eq(r.kind, kind);
    if (stopped_at != NULL)
        ck_assert_str_eq(r.path, at(stopped_at));
}

START_TEST(what_can_be_read_is_free)
{
    ck_reach("live/a.pem", REACH_PAIR, REACH_FREE, NULL);
}
END_TEST

START_TEST(what_is_missing_is_named_from_the_top)
{
    ck_reach("no/such/file", REACH_PAIR, REACH_MISSING, "no");
}
END_TEST

START_TEST(a_folder_on_the_way_stops)
{
    set_mode("live", 0600);
    ck_reach("live/a.pem", REACH_PAIR, REACH_FOLDER, "live");
}
END_TEST

START_TEST(a_file_of_others_stops)
{
    set_mode("live/a.pem", 0600);
    ck_reach("live/a.pem", REACH_PAIR, REACH_DENIED, "live/a.pem");
}
END_TEST

START_TEST(a_link_is_followed_to_what_stops)
{
    ck_assert_int_eq(mkdir(at("site"), 0755), 0);
    ck_assert_int_eq(symlink("../live/a.pem", at("site/a.pem")), 0);
    set_mode("live", 0600);
    ck_reach("site/a.pem", REACH_PAIR, REACH_FOLDER, "site/../live");
}
END_TEST

START_TEST(links_in_a_circle_end)
{
    ck_assert_int_eq(symlink("b", at("a")), 0);
    ck_assert_int_eq(symlink("a", at("b")), 0);
    ck_reach("a", REACH_PAIR, REACH_OTHER, NULL);
}
END_TEST

START_TEST(a_root_needs_to_be_searched_only)
{
    set_mode("live", 0711);
    ck_reach("live", REACH_ROOT, REACH_FREE, NULL);
}
END_TEST

START_TEST(a_root_that_can_only_be_listed_stops)
{
    set_mode("live", 0744);
    ck_reach("live/", REACH_ROOT, REACH_DENIED, "live");
}
END_TEST

START_TEST(a_relative_or_endless_path_is_refused)
{
    static char endless[2 * PATH_MAX];
    struct reach r;

    reach_find("live", REACH_PAIR, &r);
    ck_assert_int_eq(r.kind, REACH_OTHER);
    memset(endless, 'a', sizeof(endless) - 1);
    endless[0] = '/';
    reach_find(endless, REACH_PAIR, &r);
    ck_assert_int_eq(r.kind, REACH_OTHER);
    reach_find("/", REACH_ROOT, &r);
    ck_assert_int_eq(r.kind, REACH_FREE);
}
END_TEST

/* ---- in words ------------------------------------------------------------- */

static const struct {
    const char *sentence;
    enum reach_want want;
    enum reach_kind kind;
    mode_t mode;
    gid_t gid;
    const char *asked, *path;
    const char *describes; /* a part of it */
    const char *mends; /* a part of it; "": none */
} texts[] = {
    {"certbot's folder: the lineage's own hook", REACH_PAIR, REACH_FOLDER,
        S_IFDIR | 0700, 0, "/etc/letsencrypt/live/a.example/fullchain.pem",
        "/etc/letsencrypt/live",
        "may not search the folder /etc/letsencrypt/live (root:root 0700)",
        "`RENEWED_LINEAGE=/etc/letsencrypt/live/a.example "},
    {"another private folder: deploy-pair", REACH_PAIR, REACH_FOLDER,
        S_IFDIR | 0700, 0, "/opt/k/a.pem", "/opt/k", "the folder /opt/k (",
        "/hooks/deploy-pair NAME CHAIN KEY`"},
    {"a key: group and mode", REACH_PAIR, REACH_DENIED, S_IFREG | 0600, 0, "/k",
        "/k", "may not read the file /k (root:root 0600)",
        " /k` and `chmod 640 /k`"},
    {"a socket that its group may use: the group", REACH_SOCKET, REACH_DENIED,
        S_IFSOCK | 0660, 33, "/s", "/s", "may not use the socket /s (",
        "www-data"},
    {"a socket of its owner alone: no group helps", REACH_SOCKET, REACH_DENIED,
        S_IFSOCK | 0600, 33, "/s", "/s", "may not use the socket /s (",
        "let its server give it a group and mode 0660"},
    {"a socket of root's group: no group helps", REACH_SOCKET, REACH_DENIED,
        S_IFSOCK | 0660, 0, "/s", "/s", "(root:root 0660)",
        "let its server give it a group"},
    {"ProtectHome=", REACH_ROOT, REACH_HIDDEN, S_IFDIR, 0, "/x", "/x",
        "ProtectHome= of the unit hides /x", "ProtectHome=read-only; "},
    {"a private root", REACH_ROOT, REACH_DENIED, S_IFDIR | 0700, 0, "/w", "/w",
        "may not search the folder /w (root:root 0700)", "`chmod o+rx /w`"},
    {"a root of a group", REACH_ROOT, REACH_DENIED, S_IFDIR | 0750, 33, "/w",
        "/w", "may not search the folder /w", "www-data"},
    {"a folder of a group on the way", REACH_ROOT, REACH_FOLDER, S_IFDIR | 0710,
        33, "/w/x", "/w", "may not search the folder /w", "www-data"},
    {"a private file of a site", REACH_FILE, REACH_DENIED, S_IFREG | 0600, 0,
        "/w", "/w", "may not read the file /w", "`chmod o+r /w`"},
    {"a private spool", REACH_SPOOL, REACH_DENIED, S_IFDIR | 0700, 0, "/sp",
        "/sp", "may not read the folder /sp", "`chmod 755 /sp`"},
    {"what is missing has no mend", REACH_ROOT, REACH_MISSING, 0, 0, "/w/x",
        "/w", "/w does not exist", ""},
};

START_TEST(what_stops_us_is_said_with_its_mend)
{
    struct reach r = {.want = texts[_i].want,
        .kind = texts[_i].kind,
        .asked = texts[_i].asked,
        .st = {.st_mode = texts[_i].mode, .st_gid = texts[_i].gid}};
    char text[TEXT_SIZE];

    (void)snprintf(r.path, sizeof(r.path), "%s", texts[_i].path);
    reach_describe(&r, text, sizeof(text));
    ck_assert_msg(strstr(text, texts[_i].describes) != NULL, "%s: %s",
        texts[_i].sentence, text);
    reach_mend(&r, text, sizeof(text));
    ck_assert_msg(texts[_i].mends[0] == 0
                      ? text[0] == 0
                      : strstr(text, texts[_i].mends) != NULL,
        "%s: %s", texts[_i].sentence, text);
}
END_TEST

START_TEST(an_error_is_explained_once_it_is_one_of_rights)
{
    struct err err;

    set_mode("live", 0600);
    become_another();
    errno = ENOENT;
    (void)err_sys(&err, "open it");
    ck_assert(!reach_explain(at("live/a.pem"), REACH_PAIR, &err));
    ck_assert_str_eq(err.text, "open it: No such file or directory");
    errno = EACCES;
    (void)err_sys(&err, "open it");
    ck_assert(!reach_explain(at("live/a.pem"), REACH_PAIR, &err));
    ck_assert_ptr_nonnull(
        strstr(err.text, "open it: Permission denied: user "));
    ck_assert_int_eq(err.sys_errno, EACCES);
    ck_assert_int_eq(err.kind, ERR_SYSTEM);
    ck_assert(!reach_explain(at("live/a.pem"), REACH_PAIR, NULL));
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("reach");
    TCase *t = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, what_can_be_read_is_free);
    tcase_add_test(t, what_is_missing_is_named_from_the_top);
    tcase_add_test(t, a_folder_on_the_way_stops);
    tcase_add_test(t, a_file_of_others_stops);
    tcase_add_test(t, a_link_is_followed_to_what_stops);
    tcase_add_test(t, links_in_a_circle_end);
    tcase_add_test(t, a_root_needs_to_be_searched_only);
    tcase_add_test(t, a_root_that_can_only_be_listed_stops);
    tcase_add_test(t, a_relative_or_endless_path_is_refused);
    tcase_add_loop_test(t, what_stops_us_is_said_with_its_mend, 0,
        (int)(sizeof(texts) / sizeof(texts[0])));
    tcase_add_test(t, an_error_is_explained_once_it_is_one_of_rights);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
