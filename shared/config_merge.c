/*
 * Files into one tree: reading with a limit, conf.d, and the merge by section.
 * Input: paths, and trees that were already parsed.
 * Output: bytes, and nodes moved from one tree into another.
 */
#include "shared/config_merge.h"

#include "shared/denied.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_STEP = 16384,
    CONFIG_FILE_MAX = 1 << 20 /* ours: 1 MiB, 20,000 lines of sites */
};

static bool
read_fd(int fd, const char *path, struct buf *out, struct err *err)
{
    const struct config_mark mark = {path, 1, 1};

    for (;;) {
        ssize_t n;

        if (!buf_reserve(out, READ_STEP))
            return err_memory(err);
        n = read(fd, out->data + out->len, READ_STEP);
        if (n == 0)
            return true;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, "%s", path);
        buf_grew(out, (size_t)n);
        if (out->len > CONFIG_FILE_MAX)
            return config_fail(&mark, err,
                "larger than 1 MiB; move parts of it into conf.d/*.yaml");
    }
}

bool
config_read(const char *path, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok;

    if (fd < 0) {
        (void)err_sys(err, "%s", path);
        return denied_err(path, err);
    }
    buf_init(out, CONFIG_FILE_MAX + 2 * READ_STEP);
    ok = read_fd(fd, path, out, err);
    if (!ok)
        buf_fini(out);
    (void)close(fd);
    return ok;
}

/* ---- conf.d --------------------------------------------------------------- */

static int
is_fragment(const struct dirent *entry)
{
    return entry->d_name[0] != '.' &&
           span_ends(span_str(entry->d_name), SPAN_LIT(".yaml"));
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static char *
join(const char *folder, const char *name)
{
    char *path = NULL;

    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

void
config_paths_free(char **paths, size_t count)
{
    for (size_t i = 0; paths != NULL && i < count; i++)
        free(paths[i]);
    free(paths);
}

static bool
join_all(const char *folder, struct dirent **entries, size_t n, char ***paths,
    struct err *err)
{
    char **all = calloc(n + 1, sizeof(*all));
    bool ok = all != NULL;

    for (size_t i = 0; ok && i < n; i++) {
        all[i] = join(folder, entries[i]->d_name);
        ok = all[i] != NULL;
    }
    if (!ok) {
        config_paths_free(all, n);
        return err_memory(err);
    }
    *paths = all;
    return true;
}

bool
config_list_folder(
    const char *folder, char ***paths, size_t *count, struct err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, is_fragment, by_bytes);
    bool ok;

    if (n < 0 && errno == ENOENT) {
        *paths = NULL;
        *count = 0;
        return true;
    }
    if (n < 0) {
        (void)err_sys(err, "%s", folder);
        return denied_err(folder, err);
    }
    ok = join_all(folder, entries, (size_t)n, paths, err);
    if (ok)
        *count = (size_t)n;
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
    return ok;
}

/* ---- nodes ---------------------------------------------------------------- */

void
config_node_free(struct config_node *node)
{
    if (node == NULL)
        return;
    for (size_t i = 0; i < node->count; i++)
        config_node_free(node->items[i]);
    free(node->items);
    free(node->text);
    free(node->key);
    free(node);
}

bool
config_node_add(struct config_node *node, struct config_node *child)
{
    size_t n = node->count;

    if ((n & (n - 1)) == 0) { /* full: the room is always a power of two */
        size_t room = n == 0 ? 1 : n * 2;
        struct config_node **grown =
            realloc(node->items, room * sizeof(struct config_node *));

        if (grown == NULL)
            return false;
        node->items = grown;
    }
    node->items[node->count++] = child;
    return true;
}

static struct config_node *
find(struct config_node *node, const char *key)
{
    for (size_t i = 0; i < node->count; i++)
        if (strcmp(node->items[i]->key, key) == 0)
            return node->items[i];
    return NULL;
}

static const char *
kind_word(const struct config_node *node)
{
    switch (node->kind) {
    case CONFIG_SCALAR:
        return "one value";
    case CONFIG_SEQUENCE:
        return "a list";
    case CONFIG_MAPPING:
        return "a section";
    }
    return "?";
}

static bool
is_empty(const struct config_node *node)
{
    return node->kind == CONFIG_SCALAR && node->is_null;
}

static bool
append_all(struct config_node *into, struct config_node *from, struct err *err)
{
    for (size_t i = 0; i < from->count; i++) {
        if (!config_node_add(into, from->items[i])) {
            /* What moved already must not be freed twice. */
            from->count -= i;
            memmove(from->items, from->items + i,
                from->count * sizeof(from->items[0]));
            return err_memory(err);
        }
    }
    from->count = 0;
    return true;
}

/* The later value takes the place of an empty one: contents change hands. */
static void
swap_contents(struct config_node *a, struct config_node *b)
{
    struct config_node old = *a;

    *a = *b;
    *b = old;
}

static bool
merge_pair(struct config_node *old, struct config_node *new, struct err *err)
{
    const struct config_mark *at = &old->key_mark;

    if (is_empty(new))
        return true;
    if (is_empty(old)) {
        swap_contents(old, new);
        return true;
    }
    if (old->kind != new->kind)
        return config_fail(&new->key_mark, err,
            "'%s' is %s here and %s at %s:%u:%u; write both the same way",
            new->key, kind_word(new), kind_word(old), at->file, at->line,
            at->column);
    if (old->kind == CONFIG_SCALAR)
        return config_fail(&new->key_mark, err,
            "'%s' is set twice, first at %s:%u:%u; keep one of them", new->key,
            at->file, at->line, at->column);
    return old->kind == CONFIG_MAPPING ? config_merge(old, new, err)
                                       : append_all(old, new, err);
}

bool
config_merge(
    struct config_node *into, struct config_node *from, struct err *err)
{
    for (size_t i = 0; i < from->count; i++) {
        struct config_node *new = from->items[i];
        struct config_node *old = find(into, new->key);

        if (old != NULL) {
            if (!merge_pair(old, new, err))
                return false;
            continue;
        }
        if (!config_node_add(into, new))
            return err_memory(err);
        from->items[i] = NULL; /* now the other tree's */
    }
    return true;
}
