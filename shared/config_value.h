/*
 * One scalar typed by its row: text -> string, number, duration, word. Also the
 * other way, for dumps. Used by config_table, config_dump and config_schema.
 */
#ifndef SHARED_CONFIG_VALUE_H
#define SHARED_CONFIG_VALUE_H

#include "shared/config_table.h"

/* Is it a type of one scalar: neither list, section nor custom? */
bool config_value_is_scalar(enum config_type type);

/* Types node's text into the row's field; node may stand for a default (its
 * mark has no file then). */
bool config_value_set(const struct config_row *row,
    const struct config_node *node, void *field, struct err *err);
/* CONF_STRINGS: one scalar, or a list of them. */
bool config_value_set_strings(const struct config_row *row,
    const struct config_node *node, struct config_strings *field,
    struct err *err);
/* The default of CONF_STRINGS as written: "a", or "[a, b]". */
bool config_value_default_strings(
    const char *text, struct config_strings *field, struct err *err);

void config_strings_fini(struct config_strings *strings);

/* The field as a file would have it, without quotes; not for strings. */
bool config_value_print(
    const struct config_row *row, const void *field, struct buf *out);

/* INT, DURATION and SIZE to their number; "off" where the row's minimum is. */
bool
config_value_number(const struct config_row *row, struct span text, int64_t *v);
/* Does the row take "off"? */
bool config_value_has_off(const struct config_row *row);

#endif
