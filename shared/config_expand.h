/*
 * ${NAME}, ${NAME:-default} and $$ in one scalar of the configuration.
 * Used by config_tree alone.
 */
#ifndef SHARED_CONFIG_EXPAND_H
#define SHARED_CONFIG_EXPAND_H

#include "shared/config_tree.h"

enum { CONFIG_TEXT_MAX = 1 << 20 /* ours: as large as a file may be */ };

/*
 * New, expanded copy of text; free(). A variable that is unset or empty and has
 * no default is an error at `mark`. A NULL env answers as if all were unset.
 */
char *config_expand(const struct config_mark *mark, const char *text,
    config_env *env, struct err *err);

#endif
