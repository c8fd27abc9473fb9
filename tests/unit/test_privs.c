/*
 * shared/privs: what is given up stays given up, also over an exec.
 * Input: child processes that give up. Output: their /proc/self/status.
 */
#include "shared/privs.h"

#include <check.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const int wanted[] = {CAP_KILL, CAP_SETUID};

#define MASK ((UINT64_C(1) << CAP_KILL) | (UINT64_C(1) << CAP_SETUID))

/* The hexadecimal or decimal value behind "Name:\t" in a status text. */
static uint64_t
value_of(const char *status, const char *name, int base)
{
    const char *at = strstr(status, name);

    ck_assert_msg(at != NULL, "no %s", name);
    return strtoull(at + strlen(name), NULL, base);
}

/* The status of a program executed by a child that called privs_keep(). */
static void
status_after(const int *keep, size_t count, char *out, size_t room)
{
    int ends[2];
    size_t len = 0;
    ssize_t n;
    pid_t pid;
    int code;

    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        if (privs_keep(keep, count, NULL))
            (void)execlp("cat", "cat", "/proc/self/status", (char *)NULL);
        _exit(1);
    }
    (void)close(ends[1]);
    while (len + 1 < room && (n = read(ends[0], out + len, room - 1 - len)) > 0)
        len += (size_t)n;
    out[len] = 0;
    (void)close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &code, 0), pid);
    ck_assert_int_eq(code, 0);
}

START_TEST(privs_keeps_only_what_is_listed)
{
    char status[8192];

    status_after(wanted, 2, status, sizeof(status));
    ck_assert_uint_eq(value_of(status, "CapEff:", 16) & ~MASK, 0);
    ck_assert_uint_eq(value_of(status, "CapPrm:", 16) & ~MASK, 0);
    if (geteuid() == 0) {
        ck_assert_uint_eq(value_of(status, "CapEff:", 16), MASK);
        ck_assert_uint_eq(value_of(status, "CapBnd:", 16), MASK);
    }
    ck_assert_uint_eq(value_of(status, "NoNewPrivs:", 10), 1);
}
END_TEST

START_TEST(privs_keeps_nothing_when_nothing_is_listed)
{
    char status[8192];

    status_after(NULL, 0, status, sizeof(status));
    ck_assert_uint_eq(value_of(status, "CapEff:", 16), 0);
    ck_assert_uint_eq(value_of(status, "CapAmb:", 16), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("privs");
    TCase *all = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(all, privs_keeps_only_what_is_listed);
    tcase_add_test(all, privs_keeps_nothing_when_nothing_is_listed);
    suite_add_tcase(suite, all);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
