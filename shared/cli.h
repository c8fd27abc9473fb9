/*
 * Command lines from one table: verbs, options, --help, --version. Usage errors
 * are one line on stderr and exit code 64 (sysexits.h); --help is on stdout
 * with 0.
 */
#ifndef SHARED_CLI_H
#define SHARED_CLI_H

#include "shared/err.h"

#include <stdbool.h>
#include <stddef.h>

struct cli_option {
    const char *name; /* "config": --config; NULL ends a table */
    char letter; /* 'c': -c; 0: none */
    const char *value; /* "FILE" in help; NULL: a switch */
    const char *help;
    bool repeats; /* may be given several times */
};

enum { CLI_OPTION_MAX = 32 };

/* What was typed: borrowed from argv. */
struct cli_args {
    const struct cli_verb *verb;
    int count; /* operands */
    char **operands;
    /* by index in the verb's option table; values[i] NULL: not given */
    const char *values[CLI_OPTION_MAX];
    int given[CLI_OPTION_MAX]; /* how often */
    const char **repeated[CLI_OPTION_MAX]; /* each value, in order */
};

struct cli_verb {
    const char *name; /* "" is what runs without a verb; NULL ends a table */
    const char *operands; /* "CERT..." in help; NULL: takes none */
    int operands_min;
    int operands_max; /* -1: any number */
    const struct cli_option *options; /* may be NULL */
    const char *help; /* one line */
    int (*run)(const struct cli_args *args); /* answers the exit code */
};

struct cli_program {
    const char *name;
    const char *purpose; /* one line for --help */
    const struct cli_verb *verbs;
};

/* Parses and runs; answers the process's exit code. "did you mean" for verbs
 * and options. */
int cli_main(const struct cli_program *program, int argc, char **argv);

/* The value of --name, or fallback; asserts that the table knows the name. */
const char *
cli_value(const struct cli_args *args, const char *name, const char *fallback);
bool cli_has(const struct cli_args *args, const char *name);
/* Every value of a repeating option; *count gets their number. */
const char *const *
cli_values(const struct cli_args *args, const char *name, int *count);
void cli_args_fini(struct cli_args *args);

#endif
