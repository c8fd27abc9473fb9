/*
 * Rows of directives + tree -> fields of a struct.
 * Input: a table and the tree's nodes.
 * Output: the config struct, or an error that names place, word and remedy.
 */
#include "shared/config_table.h"

#include "shared/config_value.h"

#include <stdlib.h>
#include <string.h>

/* No mark: a default is our own words, not the operator's. */
static struct config_node
default_node(const struct config_row *row)
{
    return (struct config_node){
        .kind = CONFIG_SCALAR, .text = (char *)(uintptr_t)row->fallback};
}

static bool fill_struct(const struct config_row *rows,
    const struct config_node *node, bool is_given, void *base, struct err *err);

/* ---- keys ----------------------------------------------------------------- */

static size_t
row_count(const struct config_row *rows)
{
    size_t n = 0;

    while (rows != NULL && rows[n].name != NULL)
        n++;
    return n;
}

static bool
has_row(const struct config_row *rows, const char *name)
{
    for (size_t n = row_count(rows); n > 0; n--)
        if (strcmp(rows[n - 1].name, name) == 0)
            return true;
    return false;
}

/* Nothing is near: the operator sees what there is. */
static bool
fail_with_all(const struct config_node *child, const char *const *names,
    size_t count, struct err *err)
{
    struct buf all;

    buf_init(&all, ERR_TEXT_SIZE / 2);
    for (size_t i = 0; i < count; i++)
        if (!buf_add_fmt(&all, "%s%s", i == 0 ? "" : ", ", names[i]))
            break;
    (void)config_fail(&child->key_mark, err,
        "unknown key '%.100s'; the keys here are %s", child->key,
        buf_cstr(&all));
    buf_fini(&all);
    return false;
}

static bool
fail_unknown(const struct config_row *rows, const struct config_node *child,
    struct err *err)
{
    size_t count = row_count(rows);
    const char **names = calloc(count + 1, sizeof(*names));
    const char *near;

    if (names == NULL)
        return err_memory(err);
    for (size_t i = 0; i < count; i++)
        names[i] = rows[i].name;
    near = config_nearest(child->key, names, count);
    if (near != NULL)
        (void)config_fail(&child->key_mark, err,
            "unknown key '%s', did you mean '%s'?", child->key, near);
    else
        (void)fail_with_all(child, names, count, err);
    free(names);
    return false;
}

static bool
check_keys(const struct config_row *rows, const struct config_node *node,
    struct err *err)
{
    if (node == NULL || node->kind != CONFIG_MAPPING)
        return true;
    for (size_t i = 0; i < node->count; i++)
        if (!has_row(rows, node->items[i]->key))
            return fail_unknown(rows, node->items[i], err);
    return true;
}

/* ---- nested structs ------------------------------------------------------- */

static bool
is_short_form(const struct config_row *row, const struct config_node *node)
{
    if (row->parse == NULL)
        return false;
    return row->rows == NULL ||
           (node->kind != CONFIG_MAPPING && !node->is_null);
}

static void
set_mark(
    const struct config_row *row, const struct config_node *node, void *item)
{
    /* An item of a map is named by its key: "/chat:" alone on its line. */
    if (row->mark_offset != CONF_NONE)
        *(struct config_mark *)(void *)((char *)item + row->mark_offset) =
            row->type == CONF_MAP ? node->key_mark : node->mark;
}

/* Defaults first, then the short form or the mapping. */
static bool
fill_item(const struct config_row *row, const struct config_node *node,
    void *item, struct err *err)
{
    set_mark(row, node, item);
    if (is_short_form(row, node))
        return fill_struct(row->rows, NULL, false, item, err) &&
               row->parse(node, item, err);
    if (node->kind != CONFIG_MAPPING && !node->is_null)
        return config_fail(&node->mark, err,
            "'%s' is %s; expected a section of 'name: value'", row->name,
            node->kind == CONFIG_SEQUENCE ? "a list" : "one value");
    return fill_struct(row->rows, node, true, item, err);
}

static bool
fill_section(const struct config_row *row, const struct config_node *node,
    void *field, struct err *err)
{
    if (row->set_offset != CONF_NONE)
        *(bool *)(void *)((char *)field + row->set_offset) = true;
    return fill_item(row, node, field, err);
}

/* Rows that counts items: its bounds are numbers of them. */
static bool
check_count(const struct config_row *row, const struct config_node *node,
    size_t count, struct err *err)
{
    uint64_t bound;

    if (row->min != NULL && span_to_u64(span_str(row->min), SIZE_MAX, &bound) &&
        count < bound)
        return config_fail(&node->mark, err,
            "'%s' has %zu items; expected at least %s", row->name, count,
            row->min);
    if (row->max != NULL && span_to_u64(span_str(row->max), SIZE_MAX, &bound) &&
        count > bound)
        return config_fail(&node->mark, err,
            "'%s' has %zu items; expected at most %s", row->name, count,
            row->max);
    return true;
}

static void *
list_item(
    const struct config_row *row, const struct config_list *list, size_t i)
{
    return (char *)list->items + i * row->item_size;
}

/* One more of the items that were allocated in a row. */
static bool
fill_next(const struct config_row *row, const struct config_node *node,
    struct config_list *list, struct err *err)
{
    void *item = list_item(row, list, list->count++);

    if (row->type == CONF_MAP && row->key_offset != CONF_NONE) {
        char *key = strdup(node->key);

        if (key == NULL)
            return err_memory(err);
        *(char **)(void *)((char *)item + row->key_offset) = key;
    }
    return fill_item(row, node, item, err);
}

/* Does the node stand for several items, or is it the only one itself? */
static bool
is_many(const struct config_row *row, const struct config_node *node)
{
    return node->kind ==
           (row->type == CONF_MAP ? CONFIG_MAPPING : CONFIG_SEQUENCE);
}

static bool
check_list_kind(const struct config_row *row, const struct config_node *node,
    struct err *err)
{
    if (row->type == CONF_MAP && node->kind != CONFIG_MAPPING)
        return config_fail(&node->mark, err,
            "'%s' is %s; expected a section of named items", row->name,
            node->kind == CONFIG_SEQUENCE ? "a list" : "one value");
    if (row->type == CONF_LIST && node->kind == CONFIG_SCALAR &&
        row->parse == NULL)
        return config_fail(&node->mark, err,
            "'%s' is one value; expected a list ('- ' before each item)",
            row->name);
    return true;
}

static bool
fill_list(const struct config_row *row, const struct config_node *node,
    struct config_list *list, struct err *err)
{
    bool many = is_many(row, node);
    size_t count = many ? node->count : 1;

    if (!check_list_kind(row, node, err) || !check_count(row, node, count, err))
        return false;
    if (count == 0)
        return true;
    list->items = calloc(count, row->item_size);
    if (list->items == NULL)
        return err_memory(err);
    if (!many)
        return fill_next(row, node, list, err);
    for (size_t i = 0; i < count; i++)
        if (!fill_next(row, node->items[i], list, err))
            return false;
    return true;
}

/* ---- one row -------------------------------------------------------------- */

static bool
fill_strings(const struct config_row *row, const struct config_node *node,
    struct config_strings *field, struct err *err)
{
    return config_value_set_strings(row, node, field, err) &&
           check_count(row, node, field->count, err);
}

static bool
fill_value(const struct config_row *row, const struct config_node *node,
    void *field, struct err *err)
{
    if (config_value_is_scalar(row->type))
        return config_value_set(row, node, field, err);
    if (row->type == CONF_STRINGS)
        return fill_strings(row, node, field, err);
    if (row->type == CONF_SECTION)
        return fill_section(row, node, field, err);
    if (row->type == CONF_CUSTOM)
        return row->parse(node, field, err);
    return fill_list(row, node, field, err);
}

static bool
fill_default(const struct config_row *row, void *field, struct err *err)
{
    struct config_node node = default_node(row);

    if (row->type == CONF_STRINGS && row->fallback != NULL)
        return config_value_default_strings(row->fallback, field, err);
    if (row->type == CONF_SECTION && row->fallback == NULL)
        return fill_struct(row->rows, NULL, false, field, err);
    if (row->type == CONF_SECTION)
        return fill_item(row, &node, field, err);
    return row->fallback == NULL || fill_value(row, &node, field, err);
}

static bool
fail_missing(const struct config_row *row, const struct config_node *node,
    struct err *err)
{
    const struct config_mark *mark = node == NULL ? NULL : &node->mark;

    if (row->help == NULL)
        return config_fail(mark, err, "'%s' is missing", row->name);
    return config_fail(mark, err, "'%s' is missing (%s)", row->name, row->help);
}

/* An empty value (`name:` alone) counts as absent. */
static const struct config_node *
child_of(const struct config_node *node, const char *name)
{
    const struct config_node *child = config_node_get(node, name);

    return child != NULL && child->is_null ? NULL : child;
}

static bool
fill_struct(const struct config_row *rows, const struct config_node *node,
    bool is_given, void *base, struct err *err)
{
    if (!check_keys(rows, node, err))
        return false;
    for (size_t i = 0; rows != NULL && rows[i].name != NULL; i++) {
        const struct config_row *row = &rows[i];
        const struct config_node *child = child_of(node, row->name);
        void *field = (char *)base + row->offset;
        bool ok;

        if (child != NULL)
            ok = fill_value(row, child, field, err);
        else if (is_given && row->required)
            ok = fail_missing(row, node, err);
        else
            ok = fill_default(row, field, err);
        if (!ok)
            return false;
    }
    return true;
}

bool
config_table_fill(const struct config_row *rows, const struct config_node *node,
    void *config, struct err *err)
{
    bool ok;

    if (node != NULL && node->kind != CONFIG_MAPPING && !node->is_null)
        return config_fail(
            &node->mark, err, "expected a section of 'name: value'");
    ok = fill_struct(rows, node, true, config, err);
    if (!ok)
        config_table_fini(rows, config);
    return ok;
}

/* ---- giving back ---------------------------------------------------------- */

static void
fini_list(const struct config_row *row, struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        void *item = list_item(row, list, i);

        if (row->rows != NULL)
            config_table_fini(row->rows, item);
        if (row->fini != NULL)
            row->fini(item);
        if (row->type == CONF_MAP && row->key_offset != CONF_NONE)
            free(*(char **)(void *)((char *)item + row->key_offset));
    }
    free(list->items);
    *list = (struct config_list){0};
}

static void
fini_section(const struct config_row *row, void *field)
{
    if (row->rows != NULL)
        config_table_fini(row->rows, field);
    if (row->fini != NULL)
        row->fini(field);
    if (row->set_offset != CONF_NONE)
        *(bool *)(void *)((char *)field + row->set_offset) = false;
    if (row->mark_offset != CONF_NONE)
        *(struct config_mark *)(void *)((char *)field + row->mark_offset) =
            (struct config_mark){0};
}

static void
fini_row(const struct config_row *row, void *field)
{
    switch (row->type) {
    case CONF_STRING:
    case CONF_PATH:
        free(*(char **)field);
        *(char **)field = NULL;
        break;
    case CONF_BOOL:
        *(bool *)field = false;
        break;
    case CONF_INT:
    case CONF_DURATION:
    case CONF_SIZE:
        *(int64_t *)field = 0;
        break;
    case CONF_RATE:
        *(struct config_rate *)field = (struct config_rate){0};
        break;
    case CONF_ENUM:
        *(int *)field = 0;
        break;
    case CONF_STRINGS:
        config_strings_fini(field);
        break;
    case CONF_SECTION:
        fini_section(row, field);
        break;
    case CONF_LIST:
    case CONF_MAP:
        fini_list(row, field);
        break;
    case CONF_CUSTOM:
        if (row->fini != NULL)
            row->fini(field);
        break;
    }
}

void
config_table_fini(const struct config_row *rows, void *config)
{
    for (size_t i = 0; rows[i].name != NULL; i++)
        fini_row(&rows[i], (char *)config + rows[i].offset);
}
