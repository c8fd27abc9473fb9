/*
 * cli: verbs, options, operands, and the exact words for what is wrong.
 * Input: tables of command lines. Output: Check's report.
 */
#include "shared/cli.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

enum { WORDS_MAX = 8, SEEN_SIZE = 256 };

/* What run() saw, as text. */
static char seen[SEEN_SIZE];

static void
see(const char *text)
{
    size_t used = strlen(seen);

    (void)snprintf(seen + used, sizeof(seen) - used, "%s ", text);
}

static int
run_check(const struct cli_args *args)
{
    const char *const *many;
    int count = 0;

    see(args->verb->name);
    see(cli_value(args, "config", "default"));
    see(cli_has(args, "test") ? "test" : "-");
    many = cli_values(args, "listen", &count);
    for (int i = 0; i < count; i++)
        see(many[i]);
    see("|");
    for (int i = 0; i < args->count; i++)
        see(args->operands[i]);
    return 3;
}

static int
run_bare(const struct cli_args *args)
{
    see(args->verb->name);
    return 0;
}

static const struct cli_option options[] = {
    {.name = "config", .letter = 'c', .value = "FILE", .help = "Read FILE."},
    {.name = "test", .letter = 't', .help = "Only test."},
    {.name = "listen", .letter = 'l', .value = "ADDR", .repeats = true},
    {.name = "verbose", .letter = 'v', .help = "More.", .repeats = true},
    {.name = NULL},
};

static const struct cli_verb verbs[] = {
    {.name = "",
        .operands = "RULE...",
        .operands_max = -1,
        .options = options,
        .help = "Run.",
        .run = run_check},
    {.name = "check",
        .operands = "CERT",
        .operands_min = 1,
        .operands_max = 2,
        .options = options,
        .help = "Explain CERT.",
        .run = run_check},
    {.name = "reload", .help = "Read the configuration.", .run = run_bare},
    {.name = NULL},
};

static const struct cli_program program = {"prog", "Does things.", verbs};
/* No verb may be left out here. */
static const struct cli_program strict = {"strict", "Is strict.", verbs + 1};

/* Both streams go into unlinked files and come back as text. */
struct capture {
    int fd;
    int saved;
    FILE *file;
    char text[2048];
};

static void
begin(struct capture *c, int fd)
{
    *c = (struct capture){.fd = fd, .saved = dup(fd), .file = tmpfile()};
    ck_assert_int_ge(c->saved, 0);
    ck_assert_ptr_nonnull(c->file);
    ck_assert_int_ge(dup2(fileno(c->file), fd), 0);
}

static void
end(struct capture *c)
{
    size_t n;

    (void)fflush(NULL);
    ck_assert_int_ge(dup2(c->saved, c->fd), 0);
    (void)close(c->saved);
    rewind(c->file);
    n = fread(c->text, 1, sizeof(c->text) - 1, c->file);
    c->text[n] = 0;
    (void)fclose(c->file);
}

static int
run(const struct cli_program *p, const char *const *words, char *out, char *err)
{
    struct capture o, e;
    char *argv[WORDS_MAX + 2] = {0};
    int argc = 1;
    int code;

    argv[0] = strdup("x");
    for (; argc <= WORDS_MAX && words[argc - 1] != NULL; argc++)
        argv[argc] = strdup(words[argc - 1]);
    seen[0] = 0;
    (void)fflush(NULL);
    begin(&o, STDOUT_FILENO);
    begin(&e, STDERR_FILENO);
    code = cli_main(p, argc, argv);
    end(&o);
    end(&e);
    memcpy(out, o.text, sizeof(o.text));
    memcpy(err, e.text, sizeof(e.text));
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    return code;
}

/* ---- understood ----------------------------------------------------------- */

static const struct {
    const char *what;
    const char *words[WORDS_MAX];
    int code;
    const char *seen;
} good[] = {
    {"nothing at all", {NULL}, 3, " default - | "},
    {"a verb", {"reload"}, 0, "reload "},
    {"a verb with an operand", {"check", "a"}, 3, "check default - | a "},
    {"a long option", {"--config", "f"}, 3, " f - | "},
    {"a long option with =", {"--config=f=g"}, 3, " f=g - | "},
    {"an empty value", {"--config="}, 3, "  - | "},
    {"a letter", {"-c", "f"}, 3, " f - | "},
    {"a letter with its value", {"-cf"}, 3, " f - | "},
    {"letters together", {"-tcf"}, 3, " f test | "},
    {"letters before a value", {"-tc", "f"}, 3, " f test | "},
    {"options behind operands", {"check", "a", "-t"}, 3,
        "check default test | a "},
    {"a value that looks like an option", {"-c", "-t"}, 3, " -t - | "},
    {"a repeated option", {"-l", "a", "--listen=b"}, 3, " default - a b | "},
    {"a repeated switch", {"-vvv"}, 3, " default - | "},
    {"rules without a verb", {"/chat=ws:a:1", "/=http:b:2"}, 3,
        " default - | /chat=ws:a:1 /=http:b:2 "},
    {"-- ends the options", {"--", "-t", "--x"}, 3, " default - | -t --x "},
    {"-- saves an operand named as a verb", {"--", "check"}, 3,
        " default - | check "},
    {"a lone dash is an operand", {"check", "-"}, 3, "check default - | - "},
    {"a word near no verb", {"zzzzzz"}, 3, " default - | zzzzzz "},
};

START_TEST(cli_main_understands)
{
    char out[2048], err[2048];
    int code = run(&program, good[_i].words, out, err);

    ck_assert_msg(code == good[_i].code, "%s: %d %s", good[_i].what, code, err);
    ck_assert_msg(
        strcmp(seen, good[_i].seen) == 0, "%s: saw '%s'", good[_i].what, seen);
    ck_assert_str_eq(out, "");
    ck_assert_str_eq(err, "");
}
END_TEST

/* ---- refused -------------------------------------------------------------- */

static const struct {
    const char *words[WORDS_MAX];
    const char *error;
} bad[] = {
    {{"relaod"}, "prog: unknown verb 'relaod', did you mean 'reload'?; see "
                 "'prog --help'\n"},
    {{"-c", "f", "reload"},
        "prog: the verb 'reload' belongs in front of the options; see 'prog "
        "--help'\n"},
    {{"--confg", "f"}, "prog: unknown option '--confg', did you mean "
                       "'--config'?; see 'prog --help'\n"},
    {{"--zzzzz=f"}, "prog: unknown option '--zzzzz'; see 'prog --help'\n"},
    {{"--hepl"}, "prog: unknown option '--hepl', did you mean '--help'?; see "
                 "'prog --help'\n"},
    {{"-x"}, "prog: unknown option '-x'; see 'prog --help'\n"},
    {{"-tx"}, "prog: unknown option '-x'; see 'prog --help'\n"},
    {{"-c"}, "prog: --config needs a value (FILE); see 'prog --help'\n"},
    {{"--config"}, "prog: --config needs a value (FILE); see 'prog --help'\n"},
    {{"--test=1"}, "prog: --test takes no value; see 'prog --help'\n"},
    {{"-c", "a", "-c", "b"},
        "prog: --config is given twice; see 'prog --help'\n"},
    {{"-tt"}, "prog: --test is given twice; see 'prog --help'\n"},
    {{"check"}, "prog check: CERT is missing; see 'prog check --help'\n"},
    {{"check", "a", "b", "c"},
        "prog check: 'c' is too much; see 'prog check --help'\n"},
    {{"reload", "a"},
        "prog reload: 'a' is too much; see 'prog reload --help'\n"},
    {{"reload", "-c"},
        "prog reload: unknown option '-c'; see 'prog reload --help'\n"},
};

START_TEST(cli_main_refuses_in_one_line_with_64)
{
    char out[2048], err[2048];

    ck_assert_int_eq(run(&program, bad[_i].words, out, err), 64);
    ck_assert_str_eq(err, bad[_i].error);
    ck_assert_str_eq(out, "");
    ck_assert_str_eq(seen, "");
}
END_TEST

START_TEST(cli_main_without_a_bare_verb_asks_for_one)
{
    static const char *const none[WORDS_MAX] = {NULL};
    static const char *const other[WORDS_MAX] = {"chekc", NULL};
    static const char *const help[WORDS_MAX] = {"--help", NULL};
    char out[2048], err[2048];

    ck_assert_int_eq(run(&strict, none, out, err), 64);
    ck_assert_str_eq(err, "strict: a verb is missing; see 'strict --help'\n");
    ck_assert_int_eq(run(&strict, other, out, err), 64);
    ck_assert_str_eq(err, "strict: unknown verb 'chekc', did you mean "
                          "'check'?; see 'strict --help'\n");
    ck_assert_int_eq(run(&strict, help, out, err), 0);
    ck_assert_ptr_nonnull(strstr(out, "Is strict."));
}
END_TEST

/* ---- help ----------------------------------------------------------------- */

static const struct {
    const char *words[WORDS_MAX];
    const char *out;
} helps[] = {
    {{"--help"}, "Usage: prog [OPTION...] RULE...\n"
                 "       prog VERB [OPTION...]\n"
                 "\n"
                 "Does things.\n"
                 "\n"
                 "Verbs:\n"
                 "  check CERT              Explain CERT.\n"
                 "  reload                  Read the configuration.\n"
                 "\n"
                 "Options:\n"
                 "  -c, --config FILE       Read FILE.\n"
                 "  -t, --test              Only test.\n"
                 "  -l, --listen ADDR ...   \n"
                 "  -v, --verbose ...       More.\n"
                 "  -h, --help              Print this and exit.\n"
                 "      --version           Print the version and exit.\n"},
    {{"reload", "-h"}, "Usage: prog reload [OPTION...]\n"
                       "\n"
                       "Read the configuration.\n"
                       "\n"
                       "Options:\n"
                       "  -h, --help              Print this and exit.\n"
                       "      --version           Print the version and "
                       "exit.\n"},
    {{"--version"}, "prog " VERSION "\n"},
    {{"check", "--version"}, "prog " VERSION "\n"},
};

START_TEST(cli_main_prints_help_on_stdout_with_0)
{
    char out[2048], err[2048];

    ck_assert_int_eq(run(&program, helps[_i].words, out, err), 0);
    ck_assert_str_eq(out, helps[_i].out);
    ck_assert_str_eq(err, "");
}
END_TEST

START_TEST(cli_main_knows_help_as_a_word)
{
    static const char *const words[WORDS_MAX] = {"help", NULL};
    char out[2048], err[2048];

    ck_assert_int_eq(run(&program, words, out, err), 0);
    ck_assert_str_eq(out, helps[0].out);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("cli");
    TCase *all = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(all, cli_main_understands, 0, COUNT(good));
    tcase_add_loop_test(
        all, cli_main_refuses_in_one_line_with_64, 0, COUNT(bad));
    tcase_add_test(all, cli_main_without_a_bare_verb_asks_for_one);
    tcase_add_loop_test(
        all, cli_main_prints_help_on_stdout_with_0, 0, COUNT(helps));
    tcase_add_test(all, cli_main_knows_help_as_a_word);
    suite_add_tcase(suite, all);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
