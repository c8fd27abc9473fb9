/*
 * YAML -> a tree in which every value knows its file, line and column.
 * Input: a file with the conf.d beside it, or text from memory.
 * Output: struct config_tree, or ERR_CONFIG that says what would be right.
 */
#include "shared/config_tree.h"

#include "shared/buf.h"
#include "shared/config_expand.h"
#include "shared/config_merge.h"
#include "shared/config_syntax.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { DEPTH_MAX = 32 /* ours: the deepest directive is at 8 */ };

/* One file on its way into nodes. */
struct builder {
    yaml_parser_t parser;
    const char *file; /* borrowed from the tree */
    struct span text;
    config_env *env;
    struct err *err;
};

static struct config_node *
build(struct builder *b, const yaml_event_t *ev, unsigned depth);

bool
config_fail(
    const struct config_mark *mark, struct err *err, const char *fmt, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (mark == NULL || mark->file == NULL)
        return err_set(err, ERR_CONFIG, "%s", text);
    return err_set(err, ERR_CONFIG, "%s:%u:%u: %s", mark->file, mark->line,
        mark->column, text);
}

const struct config_node *
config_node_get(const struct config_node *node, const char *key)
{
    if (node == NULL || node->kind != CONFIG_MAPPING)
        return NULL;
    for (size_t i = 0; i < node->count; i++)
        if (strcmp(node->items[i]->key, key) == 0)
            return node->items[i];
    return NULL;
}

/* ---- events --------------------------------------------------------------- */

static struct config_mark
mark_of(const struct builder *b, const yaml_event_t *ev)
{
    return (struct config_mark){b->file, (unsigned)ev->start_mark.line + 1,
        (unsigned)ev->start_mark.column + 1};
}

static bool
next_event(struct builder *b, yaml_event_t *ev)
{
    if (yaml_parser_parse(&b->parser, ev))
        return true;
    return config_syntax_fail(&b->parser, b->file, b->text, b->err);
}

/* What YAML can and a configuration should not: one name, one place. */
static bool
refuse(const struct builder *b, const yaml_event_t *ev, const char *anchor,
    const char *tag)
{
    struct config_mark mark = mark_of(b, ev);

    if (ev->type == YAML_ALIAS_EVENT)
        return config_fail(&mark, b->err,
            "aliases are not allowed; for the text '*%s' put it in quotes: "
            "\"*%s\"",
            anchor, anchor);
    if (anchor != NULL)
        return config_fail(&mark, b->err,
            "anchors are not allowed; for a text that begins with '&%s' put "
            "it in quotes",
            anchor);
    if (tag != NULL)
        return config_fail(&mark, b->err,
            "tags are not allowed; for a text that begins with '!' put it in "
            "quotes");
    return true;
}

static const char *
text_of(const yaml_char_t *s)
{
    return (const char *)s;
}

static bool
check_properties(const struct builder *b, const yaml_event_t *ev)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;

    if (ev->type == YAML_ALIAS_EVENT) {
        anchor = ev->data.alias.anchor;
    } else if (ev->type == YAML_SCALAR_EVENT) {
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
    } else if (ev->type == YAML_SEQUENCE_START_EVENT) {
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
    } else if (ev->type == YAML_MAPPING_START_EVENT) {
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
    }
    return refuse(b, ev, text_of(anchor), text_of(tag));
}

/* ---- nodes ---------------------------------------------------------------- */

static struct config_node *
new_node(struct builder *b, const yaml_event_t *ev, enum config_kind kind)
{
    struct config_node *node = calloc(1, sizeof(*node));

    if (node == NULL) {
        (void)err_memory(b->err);
        return NULL;
    }
    node->kind = kind;
    node->mark = mark_of(b, ev);
    return node;
}

static bool
is_null_word(const yaml_event_t *ev)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    const char *text = text_of(ev->data.scalar.value);

    if (ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

/* New text of a scalar or key, variables filled in. */
static char *
scalar_text(struct builder *b, const yaml_event_t *ev)
{
    struct config_mark mark = mark_of(b, ev);
    const char *text = text_of(ev->data.scalar.value);

    if (strlen(text) != ev->data.scalar.length) {
        (void)config_fail(
            &mark, b->err, "the text holds a NUL byte (\\0); remove it");
        return NULL;
    }
    return config_expand(&mark, text, b->env, b->err);
}

static struct config_node *
build_scalar(struct builder *b, const yaml_event_t *ev)
{
    struct config_node *node = new_node(b, ev, CONFIG_SCALAR);

    if (node == NULL)
        return NULL;
    node->is_null = is_null_word(ev);
    node->text = scalar_text(b, ev);
    if (node->text != NULL)
        return node;
    config_node_free(node);
    return NULL;
}

/* The child becomes the node's, or is freed. */
static bool
adopt(struct builder *b, struct config_node *node, struct config_node *child)
{
    if (child == NULL)
        return false;
    if (config_node_add(node, child))
        return true;
    config_node_free(child);
    return err_memory(b->err);
}

static bool
build_items(struct builder *b, struct config_node *node, unsigned depth)
{
    for (;;) {
        yaml_event_t ev;
        struct config_node *child;

        if (!next_event(b, &ev))
            return false;
        if (ev.type == YAML_SEQUENCE_END_EVENT)
            break;
        child = build(b, &ev, depth);
        yaml_event_delete(&ev);
        if (!adopt(b, node, child))
            return false;
    }
    return true;
}

static bool
check_key(const struct builder *b, const yaml_event_t *ev)
{
    struct config_mark mark = mark_of(b, ev);

    if (!check_properties(b, ev))
        return false;
    if (ev->type != YAML_SCALAR_EVENT)
        return config_fail(&mark, b->err,
            "a list or section can't be a name; put a text such as "
            "\"[::]:443\" in quotes");
    if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        strcmp(text_of(ev->data.scalar.value), "<<") == 0)
        return config_fail(&mark, b->err,
            "merge keys ('<<') are not allowed; write the values out");
    if (ev->data.scalar.length == 0)
        return config_fail(
            &mark, b->err, "a value without a name; write 'name: value'");
    return true;
}

/* The value behind a key whose event is `key`. */
static struct config_node *
build_pair(struct builder *b, const yaml_event_t *key, unsigned depth)
{
    struct config_node *child;
    yaml_event_t ev;
    char *name;

    if (!check_key(b, key))
        return NULL;
    name = scalar_text(b, key);
    if (name == NULL)
        return NULL;
    if (!next_event(b, &ev)) {
        free(name);
        return NULL;
    }
    child = build(b, &ev, depth);
    yaml_event_delete(&ev);
    if (child == NULL) {
        free(name);
        return NULL;
    }
    child->key = name;
    child->key_mark = mark_of(b, key);
    return child;
}

static int
by_key_and_place(const void *a, const void *b)
{
    const struct config_node *const *x = a;
    const struct config_node *const *y = b;
    int order = strcmp((*x)->key, (*y)->key);

    if (order != 0)
        return order;
    if ((*x)->key_mark.line != (*y)->key_mark.line)
        return (*x)->key_mark.line < (*y)->key_mark.line ? -1 : 1;
    return (*x)->key_mark.column < (*y)->key_mark.column ? -1 : 1;
}

/* Sorted, so that a file full of names costs no quadratic time. */
static bool
check_twins(struct builder *b, const struct config_node *node)
{
    const struct config_node **sorted;
    bool ok = true;

    if (node->count < 2)
        return true;
    sorted = calloc(node->count, sizeof(*sorted));
    if (sorted == NULL)
        return err_memory(b->err);
    memcpy(sorted, node->items, node->count * sizeof(*sorted));
    qsort(sorted, node->count, sizeof(*sorted), by_key_and_place);
    for (size_t i = 1; ok && i < node->count; i++) {
        const struct config_mark *first = &sorted[i - 1]->key_mark;

        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            ok = config_fail(&sorted[i]->key_mark, b->err,
                "'%s' is set twice, first at %s:%u:%u; keep one of them",
                sorted[i]->key, first->file, first->line, first->column);
    }
    free(sorted);
    return ok;
}

static bool
build_pairs(struct builder *b, struct config_node *node, unsigned depth)
{
    for (;;) {
        yaml_event_t ev;
        struct config_node *child;

        if (!next_event(b, &ev))
            return false;
        if (ev.type == YAML_MAPPING_END_EVENT)
            break;
        child = build_pair(b, &ev, depth);
        yaml_event_delete(&ev);
        if (!adopt(b, node, child))
            return false;
    }
    return check_twins(b, node);
}

static struct config_node *
build_collection(struct builder *b, const yaml_event_t *ev, unsigned depth)
{
    bool is_list = ev->type == YAML_SEQUENCE_START_EVENT;
    struct config_mark mark = mark_of(b, ev);
    struct config_node *node;

    if (depth > DEPTH_MAX) {
        (void)config_fail(
            &mark, b->err, "nested deeper than %d levels", DEPTH_MAX);
        return NULL;
    }
    node = new_node(b, ev, is_list ? CONFIG_SEQUENCE : CONFIG_MAPPING);
    if (node == NULL)
        return NULL;
    if (is_list ? build_items(b, node, depth + 1)
                : build_pairs(b, node, depth + 1))
        return node;
    config_node_free(node);
    return NULL;
}

static struct config_node *
build(struct builder *b, const yaml_event_t *ev, unsigned depth)
{
    if (!check_properties(b, ev))
        return NULL;
    return ev->type == YAML_SCALAR_EVENT ? build_scalar(b, ev)
                                         : build_collection(b, ev, depth);
}

/* ---- a document ----------------------------------------------------------- */

/* An empty file is an empty mapping; anything else must be one. */
static bool
as_mapping(struct builder *b, struct config_node *node)
{
    if (node->kind == CONFIG_MAPPING)
        return true;
    if (node->kind == CONFIG_SCALAR && node->is_null) {
        free(node->text);
        node->text = NULL;
        node->is_null = false;
        node->kind = CONFIG_MAPPING;
        return true;
    }
    return config_fail(&node->mark, b->err,
        "expected 'name: value' lines, found %s",
        node->kind == CONFIG_SEQUENCE
            ? "a list"
            : "a text without a name; a blank belongs behind the ':'");
}

static bool
expect_end(struct builder *b)
{
    yaml_event_type_t type = YAML_NO_EVENT;

    while (type != YAML_STREAM_END_EVENT) {
        struct config_mark mark;
        yaml_event_t ev;

        if (!next_event(b, &ev))
            return false;
        type = ev.type;
        mark = mark_of(b, &ev);
        yaml_event_delete(&ev);
        if (type == YAML_DOCUMENT_START_EVENT)
            return config_fail(&mark, b->err,
                "a second document begins here; a file holds one, put the "
                "other into conf.d/*.yaml");
    }
    return true;
}

/* The first event that carries a node, or the end of an empty stream. */
static bool
first_event(struct builder *b, yaml_event_t *ev)
{
    for (;;) {
        if (!next_event(b, ev))
            return false;
        if (ev->type != YAML_STREAM_START_EVENT &&
            ev->type != YAML_DOCUMENT_START_EVENT)
            return true;
        yaml_event_delete(ev);
    }
}

static struct config_node *
build_document(struct builder *b)
{
    struct config_node *root;
    yaml_event_t ev;
    bool ended;

    if (!first_event(b, &ev))
        return NULL;
    ended = ev.type == YAML_STREAM_END_EVENT;
    if (ended) {
        root = new_node(b, &ev, CONFIG_MAPPING);
        if (root != NULL)
            root->mark = (struct config_mark){b->file, 1, 1};
    } else {
        root = build(b, &ev, 1);
    }
    yaml_event_delete(&ev);
    if (root != NULL && (!as_mapping(b, root) || (!ended && !expect_end(b)))) {
        config_node_free(root);
        root = NULL;
    }
    return root;
}

/* ---- trees ---------------------------------------------------------------- */

void
config_tree_free(struct config_tree *tree)
{
    if (tree == NULL)
        return;
    config_node_free(tree->root);
    for (size_t i = 0; i < tree->file_count; i++)
        free(tree->files[i]);
    free(tree->files);
    free(tree);
}

/* The tree's own copy of a file's name, which marks borrow. */
static const char *
add_file(struct config_tree *tree, const char *name)
{
    char **grown =
        realloc(tree->files, (tree->file_count + 1) * sizeof(*grown));

    if (grown == NULL)
        return NULL;
    tree->files = grown;
    grown[tree->file_count] = strdup(name);
    return grown[tree->file_count] == NULL ? NULL : grown[tree->file_count++];
}

static struct config_node *
parse_text(struct config_tree *tree, const char *name, struct span text,
    config_env *env, struct err *err)
{
    struct builder b = {.text = text, .env = env, .err = err};
    struct config_node *root;

    b.file = add_file(tree, name);
    if (b.file == NULL || !yaml_parser_initialize(&b.parser)) {
        (void)err_memory(err);
        return NULL;
    }
    yaml_parser_set_input_string(&b.parser,
        text.data == NULL ? (const unsigned char *)"" : text.data, text.len);
    root = config_syntax_check(b.file, text, err) ? build_document(&b) : NULL;
    yaml_parser_delete(&b.parser);
    return root;
}

static bool
add_text(struct config_tree *tree, const char *name, struct span text,
    config_env *env, struct err *err)
{
    struct config_node *root = parse_text(tree, name, text, env, err);
    bool ok;

    if (root == NULL)
        return false;
    if (tree->root == NULL) {
        tree->root = root;
        return true;
    }
    ok = config_merge(tree->root, root, err);
    config_node_free(root);
    return ok;
}

static bool
add_path(struct config_tree *tree, const char *path, config_env *env,
    struct err *err)
{
    struct buf text;
    bool ok;

    if (!config_read(path, &text, err))
        return false;
    ok = add_text(tree, path, buf_span(&text), env, err);
    buf_fini(&text);
    return ok;
}

static char *
fragments_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    int len = slash == NULL ? 0 : (int)(slash - path) + 1;
    char *folder = NULL;

    return asprintf(&folder, "%.*sconf.d", len, path) < 0 ? NULL : folder;
}

static bool
add_fragments(struct config_tree *tree, const char *path, config_env *env,
    struct err *err)
{
    char *folder = fragments_folder(path);
    char **paths = NULL;
    size_t count = 0;
    bool ok = false;

    if (folder == NULL)
        return err_memory(err);
    if (config_list_folder(folder, &paths, &count, err)) {
        ok = true;
        for (size_t i = 0; ok && i < count; i++)
            ok = add_path(tree, paths[i], env, err);
    }
    config_paths_free(paths, count);
    free(folder);
    return ok;
}

bool
config_tree_load(const char *path, config_env *env, struct config_tree **out,
    struct err *err)
{
    struct config_tree *tree = calloc(1, sizeof(*tree));

    if (tree == NULL)
        return err_memory(err);
    if (!add_path(tree, path, env, err) ||
        !add_fragments(tree, path, env, err)) {
        config_tree_free(tree);
        return false;
    }
    *out = tree;
    return true;
}

bool
config_tree_parse(const char *name, struct span text, config_env *env,
    struct config_tree **out, struct err *err)
{
    struct config_tree *tree = calloc(1, sizeof(*tree));

    if (tree == NULL)
        return err_memory(err);
    if (!add_text(tree, name, text, env, err)) {
        config_tree_free(tree);
        return false;
    }
    *out = tree;
    return true;
}
