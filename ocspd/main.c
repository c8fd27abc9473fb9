/*
 * ocspd: keeps OCSP responses for a host's certificates ready to be stapled.
 * Input: the command line. Output: the exit code of a verb.
 */
#include "ocspd/verb.h"

#include "shared/cli.h"
#include "shared/log.h"
#include "shared/service.h"

/* clang-format off */
static const struct cli_option run_options[] = {
    VERB_SOURCE_OPTIONS,
    VERB_RULE_OPTIONS,
    {"test", 't', NULL, "check the configuration and end", false},
    {"dump", 0, NULL, "print the configuration as it is understood", false},
    {0},
};

static const struct cli_option fetch_options[] = {
    VERB_SOURCE_OPTIONS,
    VERB_RULE_OPTIONS,
    {0},
};

static const struct cli_option check_options[] = {
    VERB_SOURCE_OPTIONS,
    VERB_RULE_OPTIONS,
    {"units", 0, NULL, "print the rights that publish: needs", false},
    {0},
};

static const struct cli_option status_options[] = {
    VERB_SOURCE_OPTIONS,
    {"json", 0, NULL, "one JSON object", false},
    {0},
};

static const struct cli_option show_options[] = {
    VERB_SOURCE_OPTIONS,
    {0},
};

static const struct cli_option wait_options[] = {
    VERB_SOURCE_OPTIONS,
    VERB_RULE_OPTIONS,
    {"all", 0, NULL, "every certificate that the configuration names", false},
    {"timeout", 0, "TIME", "at most so long (10m); 0 looks once", false},
    {0},
};

static const struct cli_verb verbs[] = {
    {"", "[CERT...]", 0, -1, run_options,
        "run the daemon", verb_run},
    {"run", "[CERT...]", 0, -1, run_options,
        "run the daemon", verb_run},
    {"fetch", "[CERT...]", 0, -1, fetch_options,
        "ask once; 0: all have a living staple, 75: some have not",
        verb_fetch},
    {"check", "CERT", 0, 1, check_options,
        "does stapling work for this certificate? every step explained",
        verb_check},
    {"status", NULL, 0, 0, status_options,
        "what the spool holds", verb_status},
    {"show", "FILE|CERT", 1, 1, show_options,
        "print a response, or the one spooled for a certificate", verb_show},
    {"wait", "[CERT...]", 0, -1, wait_options,
        "until each has a response to staple; 75: not within the time",
        verb_wait},
    {0},
};
/* clang-format on */

static const struct cli_program program = {
    "ocspd", "keeps OCSP responses ready to be stapled", verbs};

int
main(int argc, char **argv)
{
    service_init();
    log_init("ocspd", LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    return cli_main(&program, argc, argv);
}
