/*
 * What comes back from the spool's writer, and what it means for a care.
 * Input: a cycle made by hand over a real spool. Output: Check's report.
 */
#include "ocspd/cycle_private.h"
#include "shared/log.h"
#include "shared/now.h"
#include "tests/support/temp_folder.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct temp_folder folder;
static struct ocspd_config config;
static const struct cycle_options options;
static struct cycle c;
static struct care *care;

static struct target *
make(void)
{
    struct target *target = calloc(1, sizeof(*target));

    ck_assert_ptr_nonnull(target);
    list_init(&target->node);
    memset(target->fp, 'a', CERT_FINGERPRINT_SIZE - 1);
    target->label = strdup("a.example");
    target->path = strdup("/etc/a.pem");
    target->mode = TARGET_OCSP;
    target->not_after = now_wall() + 86400;
    return target;
}

static void
setup(void)
{
    log_init("test", LOG_FORMAT_TEXT, LOG_LEVEL_ERROR);
    (void)now_init();
    temp_folder_init(&folder);
    memset(&c, 0, sizeof(c));
    config.spool = folder.path;
    c.config = &config;
    c.options = &options;
    c.delay_fd = -1;
    c.limits = (struct schedule_limits){12 * 3600, 60};
    ck_assert_int_eq(uv_loop_init(&c.loop), 0);
    c.publish = publish_new(&c.loop, folder.path, true, NULL);
    ck_assert_ptr_nonnull(c.publish);
    care = care_new(make());
    ck_assert_ptr_nonnull(care);
    care->owner = &c;
    care->target->state.next_attempt = now_wall() + 7777;
    HASH_ADD_KEYPTR(
        hh, c.cares, care->target->fp, strlen(care->target->fp), care);
}

static void
teardown(void)
{
    if (c.cares != NULL) {
        HASH_DEL(c.cares, care);
        care_free(care);
    }
    publish_free(c.publish);
    ck_assert_int_eq(uv_loop_close(&c.loop), 0);
    temp_folder_fini(&folder);
}

static struct target_state *
state(void)
{
    return &care->target->state;
}

static void
turn(void)
{
    (void)uv_run(&c.loop, UV_RUN_DEFAULT);
}

/* As care_accept() leaves it. */
static void
store(struct span der, int64_t age)
{
    state()->this_update = now_wall() - age;
    state()->next_update = state()->life_end = now_wall() + 86400;
    spool_digest(der, state()->der_sha256);
    cycle_write(&c, care, CARE_WRITE_STORE, der);
}

static bool
holds(struct span bytes)
{
    struct buf der;
    bool same;

    buf_init(&der, OCSP_RESPONSE_MAX);
    same = spool_load(publish_spool(c.publish), care->target->fp, &der, NULL) &&
           span_eq(buf_span(&der), bytes);
    buf_fini(&der);
    return same;
}

/* ---- retired and back --------------------------------------------------- */

/* It came back before its files went: they were counted as a staple. */
START_TEST(a_staple_that_a_late_retire_took_is_asked_for)
{
    store(SPAN_LIT("one"), 60);
    turn();
    ck_assert(state()->has_staple);
    cycle_retire(&c, care->target->fp);
    turn();
    ck_assert(!holds(SPAN_LIT("one")));
    ck_assert(!state()->has_staple);
    ck_assert_str_eq(state()->der_sha256, "");
    ck_assert_int_le(state()->next_attempt, now_wall());
    ck_assert(c.want_tick);
}
END_TEST

START_TEST(bytes_that_follow_a_retire_serve)
{
    int64_t planned = state()->next_attempt;

    cycle_retire(&c, care->target->fp);
    store(SPAN_LIT("two"), 60);
    turn();
    ck_assert(holds(SPAN_LIT("two")));
    ck_assert(state()->has_staple);
    ck_assert_uint_eq(strlen(state()->der_sha256), 64);
    ck_assert_int_eq(state()->next_attempt, planned);
}
END_TEST

/* Else its answer would be counted for one that comes back. */
START_TEST(a_care_leaves_after_its_last_write)
{
    store(SPAN_LIT("one"), 60);
    ck_assert_uint_eq(care->writing, 1);
    care->gone_at = now_boot_ms();
    cycle_work(&c, now_wall());
    ck_assert_uint_eq(HASH_COUNT(c.cares), 1);
    turn();
    cycle_work(&c, now_wall());
    ck_assert_ptr_null(c.cares);
    turn();
}
END_TEST

/* ---- memory gone -------------------------------------------------------- */

/* More than the copy may hold: the same as no memory for it. */
static struct span
uncopyable(void)
{
    static const unsigned char bytes[OCSP_RESPONSE_MAX + 1];

    return span_make(bytes, sizeof(bytes));
}

START_TEST(bytes_that_could_not_be_kept_are_no_staple)
{
    store(uncopyable(), 60);
    turn();
    ck_assert(!state()->has_staple);
    ck_assert_str_eq(state()->der_sha256, "");
    ck_assert_int_eq(care->pending, CARE_WRITE_META);
    ck_assert_int_gt(state()->next_attempt, now_wall());
    ck_assert_int_le(state()->next_attempt, now_wall() + 60);
}
END_TEST

START_TEST(what_is_in_the_spool_serves_on_meanwhile)
{
    int64_t life_end;

    store(SPAN_LIT("one"), 3600);
    turn();
    life_end = care->spooled_life_end;
    store(uncopyable(), 60);
    turn();
    ck_assert(state()->has_staple);
    ck_assert(holds(SPAN_LIT("one")));
    ck_assert_int_eq(care->spooled_life_end, life_end);
    ck_assert_int_lt(care->spooled_this_update, state()->this_update);
}
END_TEST

START_TEST(what_waits_for_the_disk_is_not_forgotten_for_it)
{
    store(SPAN_LIT("one"), 3600);
    store(uncopyable(), 60);
    ck_assert_int_eq(care->pending, CARE_WRITE_STORE);
    turn();
    ck_assert(state()->has_staple);
    ck_assert(holds(SPAN_LIT("one")));
    ck_assert_int_eq(care->pending, CARE_WRITE_META);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cycle_work");
    TCase *t = tcase_create("cycle_work");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_staple_that_a_late_retire_took_is_asked_for);
    tcase_add_test(t, bytes_that_follow_a_retire_serve);
    tcase_add_test(t, a_care_leaves_after_its_last_write);
    tcase_add_test(t, bytes_that_could_not_be_kept_are_no_staple);
    tcase_add_test(t, what_is_in_the_spool_serves_on_meanwhile);
    tcase_add_test(t, what_waits_for_the_disk_is_not_forgotten_for_it);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
