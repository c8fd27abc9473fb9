/*
 * The man pages and the tables of directives say the same.
 * Input: ocspd_config_rows, gate_config_rows, the two pages of section 5.
 * Output: a failure that names the directive and what its page lacks.
 */
#include "ocspd/ocspd_config.h"
#include "shared/atomic_file.h"
#include "wsgate/gate_config.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define OCSPD_PAGE "ocspd/ocspd.yaml.5"
#define WSGATE_PAGE "wsgate/wsgate.yaml.5"
#define TOP "Top level"

static struct buf
load(const char *path)
{
    struct err err = {0};
    struct buf page;

    buf_init(&page, 256 * 1024);
    ck_assert_msg(
        atomic_file_read(AT_FDCWD, path, &page, &err), "%s", err.text);
    return page;
}

/* Is the word in the text, with no letter or digit right beside it? */
static bool
has_word(struct span text, const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; i + len <= text.len; i++) {
        const char *at = (const char *)text.data + i;
        bool begins = i == 0 || strchr(" \n\t(,:\"", at[-1]) != NULL;
        bool ends =
            i + len == text.len || strchr(" \n\t),.;:\\\"", at[len]) != NULL;

        if (begins && ends && memcmp(at, word, len) == 0)
            return true;
    }
    return false;
}

/* The next line; false at the end. */
static bool
next_line(struct span *rest, struct span *line)
{
    return rest->len > 0 && span_split(rest, '\n', line);
}

/* ".It Ic NAME : ..." */
static bool
is_item_of(struct span line, const char *name)
{
    struct span lead = SPAN_LIT(".It Ic "), word;

    if (!span_starts(line, lead))
        return false;
    line = span_from(line, lead.len);
    return span_split(&line, ' ', &word) && span_eq(word, span_str(name));
}

static bool
ends_item(struct span line)
{
    return span_starts(line, SPAN_LIT(".It ")) ||
           span_starts(line, SPAN_LIT(".El"));
}

/* What the page says of a directive, in a subsection named after its table. */
static struct span
find_item(struct span page, const char *section, const char *name)
{
    struct span line, text = SPAN_EMPTY;
    bool is_within = false, is_found = false;

    while (next_line(&page, &line)) {
        if (is_found && ends_item(line))
            return span_make(text.data, (size_t)(line.data - text.data));
        if (span_starts(line, SPAN_LIT(".Ss ")))
            is_within = strcmp(section, TOP) == 0
                            ? span_eq(line, SPAN_LIT(".Ss " TOP))
                            : has_word(line, section);
        if (is_within && is_item_of(line, name)) {
            is_found = true;
            text = page;
        }
    }
    return SPAN_EMPTY;
}

static void
check_value(struct span text, const char *section, const char *name,
    const char *what, const char *value)
{
    if (value != NULL && value[0] != 0)
        ck_assert_msg(has_word(text, value), "%s: %s: no word of its %s '%s'",
            section, name, what, value);
}

static void
check_row(struct span page, const char *section, const struct config_row *row)
{
    struct span text = find_item(page, section, row->name);

    ck_assert_msg(text.len > 0, "%s: %s: not on the page", section, row->name);
    check_value(text, section, row->name, "default", row->fallback);
    if (row->type != CONF_STRINGS && row->type != CONF_LIST &&
        row->type != CONF_MAP) {
        check_value(text, section, row->name, "least", row->min);
        check_value(text, section, row->name, "most", row->max);
    }
    for (size_t i = 0; row->words != NULL && row->words[i] != NULL; i++)
        check_value(text, section, row->name, "word", row->words[i]);
    if (row->required)
        check_value(text, section, row->name, "duty", "Required");
}

static void
check_table(
    struct span page, const char *section, const struct config_row *rows)
{
    for (; rows->name != NULL; rows++) {
        check_row(page, section, rows);
        if (rows->rows != NULL)
            check_table(page, rows->name, rows->rows);
    }
}

/* ---- the other way: nothing on the page that no table has ----------------- */

/* Is there a row of that name in a table that the subsection is named after? */
static bool
is_known(const struct config_row *rows, const char *section, struct span title,
    struct span name)
{
    for (; rows->name != NULL; rows++) {
        if (has_word(title, section) && span_eq(name, span_str(rows->name)))
            return true;
        if (rows->rows != NULL && is_known(rows->rows, rows->name, title, name))
            return true;
    }
    return false;
}

static void
check_items(struct span page, const struct config_row *rows)
{
    struct span lead = SPAN_LIT(".It Ic "), title = SPAN_EMPTY, line, name;

    while (next_line(&page, &line)) {
        if (span_starts(line, SPAN_LIT(".Ss ")))
            title = line;
        if (!span_starts(line, lead))
            continue;
        line = span_from(line, lead.len);
        (void)span_split(&line, ' ', &name);
        ck_assert_msg(is_known(rows, TOP, title, name),
            "%.*s: no table has %.*s", SPAN_FMT(title), SPAN_FMT(name));
    }
}

START_TEST(every_directive_is_on_its_page_with_default_and_range)
{
    struct buf ocspd = load(OCSPD_PAGE), wsgate = load(WSGATE_PAGE);

    check_table(buf_span(&ocspd), TOP, ocspd_config_rows);
    check_table(buf_span(&wsgate), TOP, gate_config_rows);
    buf_fini(&ocspd);
    buf_fini(&wsgate);
}
END_TEST

START_TEST(no_page_has_a_directive_that_does_not_exist)
{
    struct buf ocspd = load(OCSPD_PAGE), wsgate = load(WSGATE_PAGE);

    check_items(buf_span(&ocspd), ocspd_config_rows);
    check_items(buf_span(&wsgate), gate_config_rows);
    buf_fini(&ocspd);
    buf_fini(&wsgate);
}
END_TEST

START_TEST(a_directive_that_is_missing_is_found_out)
{
    struct span page = SPAN_LIT(".Ss log\n.It Ic level : Ar word\n"
                                "Default: info.\n.El\n");

    ck_assert_uint_gt(find_item(page, "log", "level").len, 0);
    ck_assert_uint_eq(find_item(page, "log", "format").len, 0);
    ck_assert_uint_eq(find_item(page, "fetch", "level").len, 0);
    ck_assert(!has_word(find_item(page, "log", "level"), "inf"));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("man_pages");
    TCase *tcase = tcase_create("directives");
    SRunner *runner = srunner_create(suite);
    int failures;

    suite_add_tcase(suite, tcase);
    tcase_add_test(
        tcase, every_directive_is_on_its_page_with_default_and_range);
    tcase_add_test(tcase, no_page_has_a_directive_that_does_not_exist);
    tcase_add_test(tcase, a_directive_that_is_missing_is_found_out);
    srunner_run_all(runner, CK_NORMAL);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0 ? 1 : 0;
}
