/*
 * YAML -> a tree in which every value knows its file, line and column
 * (libyaml's events). ${NAME} and ${NAME:-default} are expanded in scalars,
 * conf.d/X.yaml files beside the main file are merged by section. Scalars stay text: the
 * tables of config_table type them, so `on`, `no` and `1:30` change no meaning.
 */
#ifndef SHARED_CONFIG_TREE_H
#define SHARED_CONFIG_TREE_H

#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stddef.h>

struct config_mark {
    const char *file; /* borrowed from the tree */
    unsigned line; /* from 1 */
    unsigned column; /* from 1 */
};

enum config_kind { CONFIG_SCALAR, CONFIG_SEQUENCE, CONFIG_MAPPING };

struct config_node {
    enum config_kind kind;
    struct config_mark mark;
    char *text; /* CONFIG_SCALAR, after expansion; else NULL */
    bool is_null; /* a plain empty, ~ or null scalar */
    char *key; /* in a mapping: this value's key; else NULL */
    struct config_mark key_mark;
    struct config_node **items; /* sequence and mapping: the children */
    size_t count;
};

struct config_tree {
    struct config_node *root; /* always a mapping, maybe empty */
    char **files; /* every file read, in order */
    size_t file_count;
};

/* Answers NULL for an unset variable; getenv() in the daemons. */
typedef const char *config_env(const char *name);

/*
 * Reads `path` and the files of conf.d beside it (in byte order of their
 * names). New; config_tree_free(). All errors are ERR_CONFIG and begin
 * "file:line:column: " (or ERR_SYSTEM "path: No such file ...").
 */
bool config_tree_load(const char *path, config_env *env,
    struct config_tree **out, struct err *err);
/* The same from memory, without conf.d; for tests and the no-file form. */
bool config_tree_parse(const char *name, struct span text, config_env *env,
    struct config_tree **out, struct err *err);
void config_tree_free(struct config_tree *tree);

/* The child with this key; NULL when there is none or node is no mapping. */
const struct config_node *
config_node_get(const struct config_node *node, const char *key);

/* "file:line:column: text" as ERR_CONFIG. */
bool config_fail(const struct config_mark *mark, struct err *err,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
