/*
 * One row per directive: name, type, default, range, one line of help. The rows
 * drive the parser, the dump, the JSON Schema and the man page's test.
 *
 * A config struct is plain data filled from a tree; config_table_fini() frees
 * what the rows allocated. Paths stay as written; config_resolve_path() makes
 * them absolute from the file that names them.
 */
#ifndef SHARED_CONFIG_TABLE_H
#define SHARED_CONFIG_TABLE_H

#include "shared/buf.h"
#include "shared/config_tree.h"
#include "shared/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_type {
    CONF_STRING, /* char *, owned; NULL when absent and without default */
    CONF_PATH, /* as CONF_STRING, made absolute from the naming file */
    CONF_BOOL, /* bool: true false yes no on off */
    CONF_INT, /* int64_t */
    CONF_DURATION, /* int64_t milliseconds: 500ms 10s 5m 12h 3d; "off" = 0 where
                      the range's minimum is "off" */
    CONF_SIZE, /* int64_t bytes: 512 32K 8M 1G */
    CONF_RATE, /* struct config_rate: 5/s 100/m */
    CONF_ENUM, /* int: index into `words` */
    CONF_STRINGS, /* struct config_strings: a list, or one scalar for a list of
                      one */
    CONF_SECTION, /* a nested struct: `rows` describe it */
    CONF_LIST, /* struct config_list of structs, from a sequence (a mapping
                      counts as a list of one) */
    CONF_MAP, /* struct config_list of structs, from a mapping; the key
                      goes into the item's field at `key_offset` (char *) */
    CONF_CUSTOM /* `parse` reads the node itself */
};

struct config_rate {
    int64_t count;
    int64_t per_ms;
};

struct config_strings {
    char **items;
    struct config_mark *marks; /* one per item */
    size_t count;
};

struct config_list {
    void *items; /* count structs of item_size bytes each */
    size_t count;
};

struct config_row {
    const char *name; /* NULL ends a table */
    enum config_type type;
    size_t offset; /* of the field, offsetof */
    const char *fallback; /* default as written in a file; NULL: none */
    const char *min; /* as written; NULL: no bound */
    const char *max;
    const char *const *words; /* CONF_ENUM: ends with NULL */
    const struct config_row *rows; /* SECTION, LIST, MAP */
    size_t item_size; /* LIST, MAP */
    size_t key_offset; /* MAP; (size_t)-1: none */
    size_t mark_offset; /* SECTION, LIST, MAP: struct config_mark in the item;
                           (size_t)-1: none */
    size_t set_offset; /* SECTION: bool "was given" in the nested struct;
                           (size_t)-1: none */
    bool required;
    bool secret; /* masked in dumps */
    /*
     * CUSTOM: field points at the row's field. SECTION, LIST and MAP items may
     * have one too: it is then called for a node that is not a mapping (a short
     * form such as "0.0.0.0:443" for {address: "0.0.0.0:443"}); field is the
     * item. Fills or fails with config_fail().
     */
    bool (*parse)(const struct config_node *node, void *field, struct err *err);
    /* CUSTOM: frees what parse allocated; may be NULL. */
    void (*fini)(void *field);
    /* CUSTOM: writes the value as YAML behind "name: "; may be NULL. */
    bool (*dump)(const void *field, struct buf *out);
    const char *help;
};

#define CONF_NONE ((size_t)-1)
/* SECTION, LIST and MAP must name each offset or say that there is none: 0 is
 * the item's first field. For rows that have none of them. */
#define CONF_NO_OFFSETS                                                        \
    .key_offset = CONF_NONE, .mark_offset = CONF_NONE, .set_offset = CONF_NONE

/*
 * Fills *config (zeroed by the caller) from `node` (a mapping; NULL counts as
 * an empty one): defaults first, then values. Unknown key: "file:line:column:
 * unknown key 'sever', did you mean 'servers'?". On failure *config is zeroed
 * and nothing leaks.
 */
bool config_table_fill(const struct config_row *rows,
    const struct config_node *node, void *config, struct err *err);
void config_table_fini(const struct config_row *rows, void *config);

/* Resolved configuration as YAML, secrets masked. */
bool config_table_dump(
    const struct config_row *rows, const void *config, struct buf *out);
/* JSON Schema (draft 2020-12) of a table. */
bool config_table_schema(
    const struct config_row *rows, const char *title, struct buf *out);

/* One scalar typed by hand, for CUSTOM rows: false leaves *out alone; `mark`
 * stands in the error. */
bool config_parse_duration(struct span text, int64_t *ms);
bool config_parse_size(struct span text, int64_t *bytes);
bool config_parse_rate(struct span text, struct config_rate *rate);
bool config_parse_bool(struct span text, bool *value);

/* New path: absolute ones are copied, others start at the folder of the file
 * that `mark` names (the working folder for the no-file form). */
char *config_resolve_path(const struct config_mark *mark, const char *path);

/* The word of `words` nearest to `typed`, or NULL when none is near. */
const char *
config_nearest(const char *typed, const char *const *words, size_t count);

#endif
