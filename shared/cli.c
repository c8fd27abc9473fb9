/*
 * Command lines from one table: verbs, options, --help, --version.
 * Input: argv.
 * Output: a verb's run() with what was typed, or one line on stderr and 64.
 */
#include "shared/cli.h"

#include "shared/config_table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#ifndef VERSION
#define VERSION "0"
#endif

enum {
    HELP_INDENT = 26, /* where help begins: the longest option of ours fits */
    GO_ON = -1 /* no exit code yet */
};

/* One command line being read. */
struct reading {
    const struct cli_program *program;
    struct cli_args *args;
    int argc;
    char **argv;
    int at; /* the next word */
    bool only_operands; /* behind "--" */
};

static const struct cli_option no_options[] = {{0}};

static const struct cli_option *
options_of(const struct cli_verb *verb)
{
    return verb->options == NULL ? no_options : verb->options;
}

static int
option_count(const struct cli_verb *verb)
{
    const struct cli_option *options = options_of(verb);
    int n = 0;

    while (options[n].name != NULL)
        n++;
    assert(n <= CLI_OPTION_MAX);
    return n;
}

/* ---- complaints ----------------------------------------------------------- */

/* "wsgate reload": what stands before each complaint. */
static void
complain_as(const struct reading *r)
{
    const char *verb = r->args->verb == NULL ? "" : r->args->verb->name;

    (void)fprintf(stderr, "%s%s%s: ", r->program->name, *verb ? " " : "", verb);
}

static int __attribute__((format(printf, 2, 3)))
usage(const struct reading *r, const char *fmt, ...)
{
    const char *verb = r->args->verb == NULL ? "" : r->args->verb->name;
    va_list ap;

    complain_as(r);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "; see '%s%s%s --help'\n", r->program->name,
        *verb ? " " : "", verb);
    return EX_USAGE;
}

static int
no_memory(const struct reading *r)
{
    complain_as(r);
    (void)fputs("out of memory\n", stderr);
    return EX_OSERR;
}

/* ---- verbs ---------------------------------------------------------------- */

static const struct cli_verb *
find_verb(const struct cli_program *program, const char *name)
{
    for (const struct cli_verb *v = program->verbs; v->name != NULL; v++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

static const char *
nearest_verb(const struct cli_program *program, const char *typed)
{
    const char *names[64];
    size_t n = 0;

    for (const struct cli_verb *v = program->verbs; v->name != NULL; v++)
        if (n < sizeof(names) / sizeof(names[0]))
            names[n++] = v->name;
    return config_nearest(typed, names, n);
}

/* A word that may be a verb with a slip; no path, address or rule. */
static bool
looks_like_verb(const char *word)
{
    return word[0] != 0 &&
           word[strspn(word, "abcdefghijklmnopqrstuvwxyz_-")] == 0;
}

static int
fail_verb(const struct reading *r, const char *word)
{
    const char *near = nearest_verb(r->program, word);

    if (near != NULL)
        return usage(r, "unknown verb '%s', did you mean '%s'?", word, near);
    return usage(r, "unknown verb '%s'", word);
}

/* ---- help ----------------------------------------------------------------- */

static void
print_padded(int width, const char *help)
{
    if (width >= HELP_INDENT)
        (void)printf("\n%*s%s\n", HELP_INDENT, "", help);
    else
        (void)printf("%*s%s\n", HELP_INDENT - width, "", help);
}

static void
print_option(const struct cli_option *o)
{
    int width = o->letter != 0 ? printf("  -%c, --%s", o->letter, o->name)
                               : printf("      --%s", o->name);

    if (o->value != NULL)
        width += printf(" %s", o->value);
    if (o->repeats)
        width += printf(" ...");
    print_padded(width, o->help == NULL ? "" : o->help);
}

static void
print_options(const struct cli_verb *verb)
{
    (void)puts("\nOptions:");
    if (verb != NULL)
        for (int i = 0; i < option_count(verb); i++)
            print_option(&verb->options[i]);
    print_option(&(const struct cli_option){
        .name = "help", .letter = 'h', .help = "Print this and exit."});
    print_option(&(const struct cli_option){
        .name = "version", .help = "Print the version and exit."});
}

static void
print_usage_line(const struct cli_program *program, const struct cli_verb *verb)
{
    (void)printf("Usage: %s%s%s [OPTION...]%s%s\n", program->name,
        verb->name[0] != 0 ? " " : "", verb->name,
        verb->operands == NULL ? "" : " ",
        verb->operands == NULL ? "" : verb->operands);
}

static void
print_verbs(const struct cli_program *program)
{
    (void)printf("       %s VERB [OPTION...]\n\n%s\n\nVerbs:\n", program->name,
        program->purpose);
    for (const struct cli_verb *v = program->verbs; v->name != NULL; v++)
        if (v->name[0] != 0)
            print_padded(
                printf("  %s%s%s", v->name, v->operands == NULL ? "" : " ",
                    v->operands == NULL ? "" : v->operands),
                v->help);
}

static bool
has_named_verb(const struct cli_program *program)
{
    for (const struct cli_verb *v = program->verbs; v->name != NULL; v++)
        if (v->name[0] != 0)
            return true;
    return false;
}

static int
print_help(const struct cli_program *program, const struct cli_verb *verb)
{
    if (verb != NULL)
        print_usage_line(program, verb);
    else
        (void)printf("Usage: %s VERB [OPTION...]\n", program->name);
    if ((verb == NULL || verb->name[0] == 0) && has_named_verb(program))
        print_verbs(program);
    else
        (void)printf("\n%s\n",
            verb == NULL || verb->help == NULL ? program->purpose : verb->help);
    print_options(verb);
    return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

static int
print_version(const struct cli_program *program)
{
    (void)printf("%s %s\n", program->name, VERSION);
    return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

/* ---- options -------------------------------------------------------------- */

static int
fail_option(const struct reading *r, struct span name)
{
    const struct cli_option *options = options_of(r->args->verb);
    const char *names[CLI_OPTION_MAX + 2];
    char typed[64];
    const char *near = NULL;
    size_t n = 0;

    for (int i = 0; i < option_count(r->args->verb); i++)
        names[n++] = options[i].name;
    names[n++] = "help";
    names[n++] = "version";
    if (span_to_cstr(name, typed, sizeof(typed)))
        near = config_nearest(typed, names, n);
    if (near != NULL)
        return usage(
            r, "unknown option '--%s', did you mean '--%s'?", typed, near);
    return usage(r, "unknown option '--%.*s'", SPAN_FMT(name));
}

/* Room for every value is made at once: argc bounds their number. */
static int
keep_repeated(struct reading *r, int i, const char *value)
{
    struct cli_args *args = r->args;

    if (args->repeated[i] == NULL)
        args->repeated[i] =
            calloc((size_t)r->argc + 1, sizeof(*args->repeated[i]));
    if (args->repeated[i] == NULL)
        return no_memory(r);
    args->repeated[i][args->given[i] - 1] = value;
    return GO_ON;
}

static int
keep(struct reading *r, int i, const char *value)
{
    const struct cli_option *o = &r->args->verb->options[i];

    if (r->args->given[i] > 0 && !o->repeats)
        return usage(r, "--%s is given twice", o->name);
    r->args->given[i]++;
    r->args->values[i] = value;
    return o->repeats && o->value != NULL ? keep_repeated(r, i, value) : GO_ON;
}

/* The option's value: behind it in the same word, or the next word. */
static int
keep_with_value(struct reading *r, int i, const char *attached)
{
    const struct cli_option *o = &r->args->verb->options[i];

    if (o->value == NULL && attached != NULL)
        return usage(r, "--%s takes no value", o->name);
    if (o->value == NULL || attached != NULL)
        return keep(r, i, attached);
    if (r->at >= r->argc)
        return usage(r, "--%s needs a value (%s)", o->name, o->value);
    return keep(r, i, r->argv[r->at++]);
}

static int
read_long(struct reading *r, const char *word)
{
    struct span all = span_str(word + 2);
    struct span name = span_sub(all, 0, span_find(all, '='));
    const char *attached = name.len == all.len ? NULL : word + 3 + name.len;
    const struct cli_option *options = options_of(r->args->verb);

    for (int i = 0; i < option_count(r->args->verb); i++)
        if (span_eq(name, span_str(options[i].name)))
            return keep_with_value(r, i, attached);
    if (span_eq(all, SPAN_LIT("help")))
        return print_help(r->program, r->args->verb);
    if (span_eq(all, SPAN_LIT("version")))
        return print_version(r->program);
    return fail_option(r, name);
}

static int
find_letter(const struct cli_verb *verb, char letter)
{
    for (int i = 0; i < option_count(verb); i++)
        if (verb->options[i].letter == letter)
            return i;
    return -1;
}

/* "-tc FILE", "-cFILE": switches may stand together, a value ends the word. */
static int
read_letters(struct reading *r, const char *word)
{
    for (const char *c = word + 1; *c != 0; c++) {
        int i = find_letter(r->args->verb, *c);
        bool takes = i >= 0 && r->args->verb->options[i].value != NULL;
        int code;

        if (i < 0 && *c == 'h')
            return print_help(r->program, r->args->verb);
        if (i < 0)
            return usage(r, "unknown option '-%c'", *c);
        code = keep_with_value(r, i, takes && c[1] != 0 ? c + 1 : NULL);
        if (code != GO_ON || takes)
            return code;
    }
    return GO_ON;
}

/* ---- words ---------------------------------------------------------------- */

static int
read_words(struct reading *r)
{
    int code = GO_ON;

    while (code == GO_ON && r->at < r->argc) {
        char *word = r->argv[r->at++];

        if (r->only_operands || word[0] != '-' || word[1] == 0)
            r->args->operands[r->args->count++] = word;
        else if (strcmp(word, "--") == 0)
            r->only_operands = true;
        else
            code = word[1] == '-' ? read_long(r, word) : read_letters(r, word);
    }
    return code;
}

/* Without a verb: is the first operand a verb at the wrong place, or one with
 * a slip? Behind "--" it is an operand. */
static int
check_forgotten_verb(const struct reading *r)
{
    const struct cli_verb *verb = r->args->verb;
    const char *word = r->args->count > 0 ? r->args->operands[0] : "";

    if (verb->name[0] != 0 || r->only_operands || !looks_like_verb(word) ||
        !has_named_verb(r->program))
        return GO_ON;
    if (find_verb(r->program, word) != NULL)
        return usage(r, "the verb '%s' belongs in front of the options", word);
    if (verb->operands == NULL || nearest_verb(r->program, word) != NULL)
        return fail_verb(r, word);
    return GO_ON;
}

static int
check_operands(const struct reading *r)
{
    const struct cli_verb *verb = r->args->verb;
    int max = verb->operands == NULL ? 0 : verb->operands_max;
    int count = r->args->count;
    int code = check_forgotten_verb(r);

    if (code != GO_ON)
        return code;
    if (count < verb->operands_min)
        return usage(r, "%s is missing",
            verb->operands == NULL ? "an operand" : verb->operands);
    if (max >= 0 && count > max)
        return usage(r, "'%s' is too much", r->args->operands[max]);
    return GO_ON;
}

static int
run_verb(struct reading *r)
{
    int code = read_words(r);

    if (code == GO_ON)
        code = check_operands(r);
    return code == GO_ON ? r->args->verb->run(r->args) : code;
}

/* The verb is the first word, or what runs without one. */
static int
choose_verb(struct reading *r)
{
    const char *first = r->argc > 1 ? r->argv[1] : "";
    const struct cli_verb *verb = find_verb(r->program, first);

    r->at = 1;
    if (verb != NULL && first[0] != 0) {
        r->at = 2;
    } else {
        verb = find_verb(r->program, "");
        if (strcmp(first, "help") == 0)
            return print_help(r->program, verb);
    }
    r->args->verb = verb;
    if (verb != NULL)
        return GO_ON;
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
        return print_help(r->program, NULL);
    if (strcmp(first, "--version") == 0)
        return print_version(r->program);
    return first[0] == 0 ? usage(r, "a verb is missing") : fail_verb(r, first);
}

int
cli_main(const struct cli_program *program, int argc, char **argv)
{
    struct cli_args args = {0};
    struct reading r = {
        .program = program, .args = &args, .argc = argc, .argv = argv};
    int code = choose_verb(&r);

    if (code != GO_ON)
        return code;
    args.operands = calloc((size_t)argc + 1, sizeof(*args.operands));
    code = args.operands == NULL ? no_memory(&r) : run_verb(&r);
    cli_args_fini(&args);
    return code;
}

/* ---- what was typed ------------------------------------------------------- */

static int
index_of(const struct cli_args *args, const char *name)
{
    const struct cli_option *options = options_of(args->verb);
    int i = 0;

    while (options[i].name != NULL && strcmp(options[i].name, name) != 0)
        i++;
    assert(options[i].name != NULL);
    return i;
}

const char *
cli_value(const struct cli_args *args, const char *name, const char *fallback)
{
    const char *value = args->values[index_of(args, name)];

    return value == NULL ? fallback : value;
}

bool
cli_has(const struct cli_args *args, const char *name)
{
    return args->given[index_of(args, name)] > 0;
}

const char *const *
cli_values(const struct cli_args *args, const char *name, int *count)
{
    int i = index_of(args, name);

    *count = args->repeated[i] == NULL ? 0 : args->given[i];
    return (const char *const *)args->repeated[i];
}

void
cli_args_fini(struct cli_args *args)
{
    for (int i = 0; i < CLI_OPTION_MAX; i++)
        free((void *)args->repeated[i]);
    free(args->operands);
    *args = (struct cli_args){0};
}
