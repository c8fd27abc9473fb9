/*
 * list: order, removal while walking, removal twice.
 * Input: five nodes. Output: Check's report.
 */
#include "shared/list.h"

#include <check.h>
#include <stdlib.h>

enum { NODES = 5 };

struct thing {
    int number;
    struct list node;
};

static struct list head;
static struct thing things[NODES];

static void
setup(void)
{
    list_init(&head);
    for (int i = 0; i < NODES; i++) {
        things[i].number = i;
        list_init(&things[i].node);
        list_add_last(&head, &things[i].node);
    }
}

/* The numbers in the list, as the digits of one. */
static int
order(void)
{
    int sum = 0;

    LIST_EACH(&head, it)
    sum = sum * 10 + LIST_ENTRY(it, struct thing, node)->number + 1;
    return sum;
}

START_TEST(list_keeps_the_order_of_adding)
{
    struct thing extra = {.number = 6};

    ck_assert_int_eq(order(), 12345);
    list_init(&extra.node);
    ck_assert(!list_is_linked(&extra.node));
    list_add_first(&head, &extra.node);
    ck_assert(list_is_linked(&extra.node));
    ck_assert_int_eq(order(), 712345);
    list_remove(&extra.node);
    list_add_after(&things[1].node, &extra.node);
    ck_assert_int_eq(order(), 127345);
    list_remove(&extra.node);
}
END_TEST

START_TEST(list_remove_may_be_called_twice)
{
    list_remove(&things[0].node);
    list_remove(&things[0].node);
    list_remove(&things[4].node);
    ck_assert(!list_is_linked(&things[0].node));
    ck_assert_int_eq(order(), 234);
}
END_TEST

START_TEST(list_each_survives_the_removal_of_its_node)
{
    LIST_EACH(&head, it)
    if (LIST_ENTRY(it, struct thing, node)->number % 2 == 0)
        list_remove(it);
    ck_assert_int_eq(order(), 24);
    LIST_EACH(&head, it)
    list_remove(it);
    ck_assert(list_is_empty(&head));
    ck_assert_int_eq(order(), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("list");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(all, setup, NULL);
    tcase_add_test(all, list_keeps_the_order_of_adding);
    tcase_add_test(all, list_remove_may_be_called_twice);
    tcase_add_test(all, list_each_survives_the_removal_of_its_node);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
