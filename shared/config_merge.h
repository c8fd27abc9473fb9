/*
 * Files into one tree: reading with a limit, conf.d, and the merge by section.
 * Used by config_tree alone.
 */
#ifndef SHARED_CONFIG_MERGE_H
#define SHARED_CONFIG_MERGE_H

#include "shared/buf.h"
#include "shared/config_tree.h"

/* The file's bytes into *out; ERR_SYSTEM "path: reason", ERR_CONFIG when
 * larger than 1 MiB. */
bool config_read(const char *path, struct buf *out, struct err *err);

/* Paths of the folder's *.yaml, no dot-files, in byte order; *paths is new
 * (config_paths_free). A folder that is not there has none. */
bool config_list_folder(
    const char *folder, char ***paths, size_t *count, struct err *err);
void config_paths_free(char **paths, size_t count);

/*
 * Moves what `from` holds into `into`, both mappings: mappings merge, lists
 * append, the same scalar twice is an error naming both places. `from` keeps
 * what was not moved and stays the caller's.
 */
bool config_merge(
    struct config_node *into, struct config_node *from, struct err *err);

/* Room for one more child, at the end; the child becomes the node's. */
bool config_node_add(struct config_node *node, struct config_node *child);
void config_node_free(struct config_node *node);

#endif
