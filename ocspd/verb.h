/*
 * The verbs of ocspd's command line, one file each (verb_<name>.c), and what
 * they share (verb.c): options, and the configuration that comes of them.
 */
#ifndef OCSPD_VERB_H
#define OCSPD_VERB_H

#include "ocspd/ocspd_config.h"
#include "ocspd/target.h"
#include "shared/cli.h"

#include <stdbool.h>
#include <stdint.h>

#define VERB_CONFIG_PATH "/etc/ocspd/ocspd.yaml"

/* Where the configuration comes from. */
#define VERB_SOURCE_OPTIONS                                                    \
    {"config", 'c', "FILE", "configuration (" VERB_CONFIG_PATH ")", false},    \
    {                                                                          \
        "spool", 0, "DIR", "folder of the responses, without a file", false    \
    }

/* What replaces the configuration's words for every certificate. */
#define VERB_RULE_OPTIONS                                                      \
    {"issuer", 0, "FILE", "where the issuer's certificate is", false},         \
        {"responder", 0, "URL", "ask this one, not the certificate's", false}, \
        {"signers", 0, "FILE", "who else may sign responses", false},          \
        {"proxy", 0, "URL", "proxy to responders, or none", false},            \
    {                                                                          \
        "allow-address", 0, "CIDR", "addresses to allow, such as 127.0.0.0/8", \
            true                                                               \
    }

int verb_run(const struct cli_args *args);
int verb_fetch(const struct cli_args *args);
int verb_check(const struct cli_args *args);
int verb_status(const struct cli_args *args);
int verb_show(const struct cli_args *args);
int verb_wait(const struct cli_args *args);

struct verb_config {
    struct ocspd_config *config; /* owned until given away */
    const char *path; /* the file it is from; NULL: none */
};

/*
 * The configuration that options and operands (certificate files) describe.
 * Operands that a file's rows do not name are added to them. Answers 0, or the
 * exit code after one line on stderr.
 */
int verb_load_config(const struct cli_args *args, bool has_rule_options,
    struct verb_config *out);

/* One line on stderr, "ocspd: ..."; control characters become '?'. */
void verb_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* There is no such folder, and what may be the reason. */
void verb_complain_no_spool(const char *path);

/* Does the operand name it: by path, by a folder above, or as a copy of it? */
bool verb_names(const char *operand, const struct target *target);
/* Does any operand? */
bool verb_is_named(const struct cli_args *args, const struct target *target);

/* Text from outside on stdout: control characters become '?'. */
void verb_print_text(const char *text);
/* "2026-11-23 14:00:00 UTC"; "-" for 0. */
void verb_print_time(int64_t unix_s);

#endif
