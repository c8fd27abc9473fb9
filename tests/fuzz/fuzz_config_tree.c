/*
 * Any bytes as a configuration file.
 * Input: libFuzzer's bytes. Output: a tree, or an error with words; no crash.
 */
#include "shared/config_tree.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *
fuzz_env(const char *name)
{
    return name[0] == 'A' ? "value" : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_tree *tree = NULL;
    struct err err = {0};

    if (config_tree_parse("f", span_make(data, size), fuzz_env, &tree, &err)) {
        if (tree->root->kind != CONFIG_MAPPING)
            abort();
        config_tree_free(tree);
    } else if (err.text[0] == 0 || err.kind == ERR_NONE || tree != NULL) {
        abort();
    }
    return 0;
}
