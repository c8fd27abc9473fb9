/*
 * What is wrong with a YAML file, in an operator's words: the bytes before
 * libyaml sees them, and what libyaml complains of. Used by config_tree alone.
 */
#ifndef SHARED_CONFIG_SYNTAX_H
#define SHARED_CONFIG_SYNTAX_H

#include "shared/config_tree.h"

#include <yaml.h>

/* UTF-8, no control characters. */
bool config_syntax_check(const char *file, struct span text, struct err *err);

/* Always false: fills *err from the parser's trouble. */
bool config_syntax_fail(const yaml_parser_t *parser, const char *file,
    struct span text, struct err *err);

#endif
