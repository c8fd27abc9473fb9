/*
 * The configuration: from a file or text into a struct, and back into text.
 * Input: wsgate.yaml and conf.d, or a dump. Output: struct gate_config.
 */
#include "wsgate/gate_config.h"

#include "wsgate/gate_config_check.h"

#include <stdlib.h>
#include <string.h>

static const char *
environment(const char *name)
{
    return getenv(name);
}

/* Takes the tree. */
static bool
from_tree(struct config_tree *tree, struct gate_config **out, struct err *err)
{
    struct gate_config *config = calloc(1, sizeof(*config));

    if (config == NULL) {
        config_tree_free(tree);
        return err_memory(err);
    }
    /* On failure the table zeroes the fields of its rows; the tree is ours. */
    config->tree = tree;
    if (!config_table_fill(gate_config_rows, tree->root, config, err) ||
        !gate_config_check(config, err)) {
        gate_config_free(config);
        return false;
    }
    *out = config;
    return true;
}

bool
gate_config_load(const char *path, struct gate_config **out, struct err *err)
{
    struct config_tree *tree = NULL;

    if (!config_tree_load(path, environment, &tree, err) ||
        !from_tree(tree, out, err))
        return false;
    (*out)->path = (*out)->tree->files[0];
    return true;
}

bool
gate_config_parse(struct span yaml, struct gate_config **out, struct err *err)
{
    struct config_tree *tree = NULL;

    /* No environment: a dump has every variable filled in. */
    return config_tree_parse("configuration", yaml, NULL, &tree, err) &&
           from_tree(tree, out, err);
}

bool
gate_config_dump(const struct gate_config *config, struct buf *out)
{
    return config_table_dump(gate_config_rows, config, out);
}

void
gate_config_free(struct gate_config *config)
{
    if (config == NULL)
        return;
    config_table_fini(gate_config_rows, config);
    config_tree_free(config->tree);
    free(config);
}

const struct gate_pool *
gate_config_pool(const struct gate_config *config, const char *name)
{
    const struct gate_pool *pools = config->pools.items;

    for (size_t i = 0; i < config->pools.count; i++)
        if (strcmp(pools[i].name, name) == 0)
            return &pools[i];
    return NULL;
}

const struct config_strings *
gate_upstream_servers(
    const struct gate_config *config, const struct gate_upstream *up)
{
    const struct gate_pool *pool =
        up->pool == NULL ? NULL : gate_config_pool(config, up->pool);

    return pool == NULL ? &up->servers : &pool->servers;
}
