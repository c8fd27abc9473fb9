/*
 * One scalar typed by its row.
 * Input: scalars of the tree, and defaults as they stand in the rows.
 * Output: fields of the config struct; text again for dumps.
 */
#include "shared/config_value.h"

#include "shared/ckd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit sizes[] = {
    {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- reading -------------------------------------------------------------- */

static bool
parse_with_unit(
    struct span text, const struct unit *units, size_t count, int64_t *v)
{
    size_t digits = 0;
    uint64_t number;
    int64_t product;

    while (digits < text.len && text.data[digits] >= '0' &&
           text.data[digits] <= '9')
        digits++;
    if (!span_to_u64(span_sub(text, 0, digits), INT64_MAX, &number))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!span_eq(span_from(text, digits), span_str(units[i].name)))
            continue;
        if (ckd_mul(&product, (int64_t)number, units[i].factor))
            return false;
        *v = product;
        return true;
    }
    return false;
}

bool
config_parse_duration(struct span text, int64_t *ms)
{
    return parse_with_unit(text, durations, COUNT(durations), ms);
}

bool
config_parse_size(struct span text, int64_t *bytes)
{
    return parse_with_unit(text, sizes, COUNT(sizes), bytes);
}

/* Without "ms": a rate that needs it is better said per second. */
static bool
parse_rate_unit(struct span unit, int64_t *per_ms)
{
    for (size_t i = 0; i + 1 < COUNT(durations); i++) {
        if (span_eq(unit, span_str(durations[i].name))) {
            *per_ms = durations[i].factor;
            return true;
        }
    }
    return false;
}

bool
config_parse_rate(struct span text, struct config_rate *rate)
{
    size_t slash = span_find(text, '/');
    uint64_t count;
    int64_t per_ms;

    /* UINT32_MAX: two rates then compare without overflow. */
    if (!span_to_u64(span_sub(text, 0, slash), UINT32_MAX, &count) ||
        !parse_rate_unit(span_from(text, slash + 1), &per_ms))
        return false;
    *rate = (struct config_rate){(int64_t)count, per_ms};
    return true;
}

bool
config_parse_bool(struct span text, bool *value)
{
    static const char *const words[] = {
        "false", "true", "no", "yes", "off", "on"};

    for (size_t i = 0; i < COUNT(words); i++) {
        if (span_eq(text, span_str(words[i]))) {
            *value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool
parse_int(struct span text, int64_t *v)
{
    bool minus = span_starts(text, SPAN_LIT("-"));
    uint64_t number;

    if (!span_to_u64(span_from(text, minus ? 1 : 0), INT64_MAX, &number))
        return false;
    *v = minus ? -(int64_t)number : (int64_t)number;
    return true;
}

bool
config_value_has_off(const struct config_row *row)
{
    return row->min != NULL && strcmp(row->min, "off") == 0;
}

static bool
is_off(const struct config_row *row, struct span text)
{
    return config_value_has_off(row) && span_eq(text, SPAN_LIT("off"));
}

bool
config_value_number(const struct config_row *row, struct span text, int64_t *v)
{
    if (is_off(row, text)) {
        *v = 0;
        return true;
    }
    if (row->type == CONF_DURATION)
        return config_parse_duration(text, v);
    return row->type == CONF_SIZE ? config_parse_size(text, v)
                                  : parse_int(text, v);
}

/* ---- ranges --------------------------------------------------------------- */

static bool
number_in_range(const struct config_row *row, int64_t v)
{
    int64_t bound;

    if (row->min != NULL &&
        config_value_number(row, span_str(row->min), &bound) && v < bound)
        return false;
    return row->max == NULL ||
           !config_value_number(row, span_str(row->max), &bound) || v <= bound;
}

/* a < b? */
static bool
rate_below(const struct config_rate *a, const struct config_rate *b)
{
    return a->count * b->per_ms < b->count * a->per_ms;
}

static bool
rate_in_range(const struct config_row *row, const struct config_rate *rate)
{
    struct config_rate bound;

    if (row->min != NULL && config_parse_rate(span_str(row->min), &bound) &&
        rate_below(rate, &bound))
        return false;
    return row->max == NULL || !config_parse_rate(span_str(row->max), &bound) ||
           !rate_below(&bound, rate);
}

/* ---- what would be right -------------------------------------------------- */

static const char *
kind_words(const struct config_row *row)
{
    switch (row->type) {
    case CONF_BOOL:
        return "true or false";
    case CONF_INT:
        return "a whole number";
    case CONF_DURATION:
        return "a duration such as 500ms, 10s, 5m, 12h or 3d";
    case CONF_SIZE:
        return "a size such as 512, 32K, 8M or 1G";
    case CONF_RATE:
        return "a rate such as 5/s or 100/m";
    case CONF_PATH:
        return "a path";
    case CONF_ENUM:
        return "one of";
    case CONF_STRING:
    case CONF_STRINGS:
    case CONF_SECTION:
    case CONF_LIST:
    case CONF_MAP:
    case CONF_CUSTOM:
        break;
    }
    return "a text";
}

static bool
add_words(const char *const *words, struct buf *out)
{
    for (size_t i = 0; words[i] != NULL; i++)
        if (!buf_add_fmt(out, "%s%s", i == 0 ? " " : ", ", words[i]))
            return false;
    return true;
}

static bool
add_range(const struct config_row *row, struct buf *out)
{
    bool off = config_value_has_off(row);
    const char *min = off ? NULL : row->min;
    bool ok = true;

    if (min != NULL && row->max != NULL)
        ok = buf_add_fmt(out, ", from %s to %s", min, row->max);
    else if (min != NULL)
        ok = buf_add_fmt(out, ", at least %s", min);
    else if (row->max != NULL)
        ok = buf_add_fmt(out, ", at most %s", row->max);
    return ok && (!off || buf_add_str(out, ", or off"));
}

static size_t
word_count(const char *const *words)
{
    size_t n = 0;

    while (words[n] != NULL)
        n++;
    return n;
}

/* "'ping' is '5x'; expected a duration such as ..., at most 1h, or off". */
static bool
fail_value(const struct config_row *row, const struct config_node *node,
    struct err *err)
{
    const char *shown = row->secret ? "***" : node->text;
    const char *near = NULL;
    struct buf want;

    buf_init(&want, ERR_TEXT_SIZE);
    (void)buf_add_str(&want, kind_words(row));
    if (row->type == CONF_ENUM) {
        near = config_nearest(node->text, row->words, word_count(row->words));
        (void)add_words(row->words, &want);
    } else {
        (void)add_range(row, &want);
    }
    if (near != NULL)
        (void)buf_add_fmt(&want, "; did you mean '%s'?", near);
    (void)config_fail(&node->mark, err, "'%s' is '%.200s'; expected %s",
        row->name, shown, buf_cstr(&want));
    buf_fini(&want);
    return false;
}

/* ---- fields --------------------------------------------------------------- */

static bool
set_text(char **field, char *text, struct err *err)
{
    if (text == NULL)
        return err_memory(err);
    free(*field);
    *field = text;
    return true;
}

static bool
set_enum(const struct config_row *row, const struct config_node *node,
    int *field, struct err *err)
{
    for (int i = 0; row->words[i] != NULL; i++) {
        if (strcmp(row->words[i], node->text) == 0) {
            *field = i;
            return true;
        }
    }
    return fail_value(row, node, err);
}

static bool
set_number(const struct config_row *row, const struct config_node *node,
    int64_t *field, struct err *err)
{
    int64_t v;

    if (!config_value_number(row, span_str(node->text), &v) ||
        !number_in_range(row, v))
        return fail_value(row, node, err);
    *field = v;
    return true;
}

static bool
set_rate(const struct config_row *row, const struct config_node *node,
    struct config_rate *field, struct err *err)
{
    struct config_rate rate = {0, 0};

    if (!is_off(row, span_str(node->text)) &&
        (!config_parse_rate(span_str(node->text), &rate) ||
            !rate_in_range(row, &rate)))
        return fail_value(row, node, err);
    *field = rate;
    return true;
}

bool
config_value_is_scalar(enum config_type type)
{
    return type != CONF_STRINGS && type != CONF_SECTION && type != CONF_LIST &&
           type != CONF_MAP && type != CONF_CUSTOM;
}

static bool
set_typed(const struct config_row *row, const struct config_node *node,
    void *field, struct err *err)
{
    switch (row->type) {
    case CONF_STRING:
        return set_text(field, strdup(node->text), err);
    case CONF_PATH:
        if (node->text[0] == 0)
            return fail_value(row, node, err);
        return set_text(
            field, config_resolve_path(&node->mark, node->text), err);
    case CONF_BOOL:
        return config_parse_bool(span_str(node->text), field) ||
               fail_value(row, node, err);
    case CONF_INT:
    case CONF_DURATION:
    case CONF_SIZE:
        return set_number(row, node, field, err);
    case CONF_RATE:
        return set_rate(row, node, field, err);
    case CONF_ENUM:
        return set_enum(row, node, field, err);
    case CONF_STRINGS:
    case CONF_SECTION:
    case CONF_LIST:
    case CONF_MAP:
    case CONF_CUSTOM:
        break;
    }
    return config_fail(&node->mark, err, "'%s' is no scalar", row->name);
}

bool
config_value_set(const struct config_row *row, const struct config_node *node,
    void *field, struct err *err)
{
    if (node->kind != CONFIG_SCALAR)
        return config_fail(&node->mark, err,
            "'%s' is %s; expected one value, %s%s", row->name,
            node->kind == CONFIG_SEQUENCE ? "a list" : "a section",
            kind_words(row), row->type == CONF_ENUM ? " its words" : "");
    return set_typed(row, node, field, err);
}

/* ---- lists of texts ------------------------------------------------------- */

void
config_strings_fini(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    free(strings->marks);
    *strings = (struct config_strings){0};
}

/* Room for n; count stays 0. */
static bool
strings_init(struct config_strings *s, size_t n, struct err *err)
{
    config_strings_fini(s);
    s->items = calloc(n + 1, sizeof(*s->items));
    s->marks = calloc(n + 1, sizeof(*s->marks));
    if (s->items != NULL && s->marks != NULL)
        return true;
    config_strings_fini(s);
    return err_memory(err);
}

static bool
strings_add(struct config_strings *s, struct span text,
    const struct config_mark *mark, struct err *err)
{
    char *copy = span_dup(text);

    if (copy == NULL)
        return err_memory(err);
    s->items[s->count] = copy;
    s->marks[s->count++] = *mark;
    return true;
}

static bool
add_item(const struct config_row *row, const struct config_node *node,
    struct config_strings *field, struct err *err)
{
    if (node->kind != CONFIG_SCALAR)
        return config_fail(&node->mark, err,
            "an item of '%s' is %s; expected one value", row->name,
            node->kind == CONFIG_SEQUENCE ? "a list" : "a section");
    if (node->is_null)
        return config_fail(&node->mark, err,
            "an item of '%s' is empty; remove it or write a value", row->name);
    return strings_add(field, span_str(node->text), &node->mark, err);
}

bool
config_value_set_strings(const struct config_row *row,
    const struct config_node *node, struct config_strings *field,
    struct err *err)
{
    if (node->kind == CONFIG_MAPPING)
        return config_fail(&node->mark, err,
            "'%s' is a section; expected a value or a list of values",
            row->name);
    if (!strings_init(
            field, node->kind == CONFIG_SCALAR ? 1 : node->count, err))
        return false;
    if (node->kind == CONFIG_SCALAR)
        return add_item(row, node, field, err);
    for (size_t i = 0; i < node->count; i++)
        if (!add_item(row, node->items[i], field, err))
            return false;
    return true;
}

bool
config_value_default_strings(
    const char *text, struct config_strings *field, struct err *err)
{
    static const struct config_mark nowhere = {NULL, 0, 0};
    struct span rest = span_str(text);
    struct span part;

    if (!strings_init(field, rest.len, err))
        return false;
    if (!span_starts(rest, SPAN_LIT("[")) || !span_ends(rest, SPAN_LIT("]")))
        return strings_add(field, rest, &nowhere, err);
    rest = span_sub(rest, 1, rest.len - 2);
    while (span_split(&rest, ',', &part)) {
        part = span_trim(part);
        if (part.len > 0 && !strings_add(field, part, &nowhere, err))
            return false;
    }
    return true;
}

/* ---- printing ------------------------------------------------------------- */

static bool
print_with_unit(
    int64_t v, const struct unit *units, size_t count, struct buf *out)
{
    size_t i = 0;

    while (i + 1 < count && (v == 0 || v % units[i].factor != 0))
        i++;
    return buf_add_fmt(
        out, "%lld%s", (long long)(v / units[i].factor), units[i].name);
}

static bool
print_rate(const struct config_rate *rate, struct buf *out)
{
    const char *unit = "s";

    if (rate->per_ms == 0)
        return buf_add_str(out, "off");
    for (size_t i = 0; i < COUNT(durations); i++)
        if (durations[i].factor == rate->per_ms)
            unit = durations[i].name;
    return buf_add_fmt(out, "%lld/%s", (long long)rate->count, unit);
}

static bool
print_number(const struct config_row *row, int64_t v, struct buf *out)
{
    if (v == 0 && config_value_has_off(row))
        return buf_add_str(out, "off");
    if (v == 0 && row->type == CONF_DURATION)
        return buf_add_str(out, "0s");
    if (row->type == CONF_DURATION)
        return print_with_unit(v, durations, COUNT(durations), out);
    if (row->type == CONF_SIZE)
        return print_with_unit(v, sizes, COUNT(sizes), out);
    return buf_add_fmt(out, "%lld", (long long)v);
}

bool
config_value_print(
    const struct config_row *row, const void *field, struct buf *out)
{
    if (row->type == CONF_BOOL)
        return buf_add_str(out, *(const bool *)field ? "true" : "false");
    if (row->type == CONF_ENUM)
        return buf_add_str(out, row->words[*(const int *)field]);
    if (row->type == CONF_RATE)
        return print_rate(field, out);
    return print_number(row, *(const int64_t *)field, out);
}
