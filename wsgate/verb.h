/*
 * The verbs that talk to a running wsgate, one file each (verb_<name>.c), and
 * what they share (verb_ask.c): where its admin socket is, and what it means
 * when nobody answers there.
 */
#ifndef WSGATE_VERB_H
#define WSGATE_VERB_H

#include "shared/cli.h"

#include <jansson.h>
#include <stdint.h>

#define VERB_CONFIG_PATH "/etc/wsgate/wsgate.yaml"
#define VERB_ADMIN_PATH "/run/wsgate/admin.sock"

#define VERB_ADMIN_OPTIONS                                                     \
    {"config", 'c', "FILE", "whose admin: is meant (" VERB_CONFIG_PATH ")",    \
        false},                                                                \
        {"socket", 0, "PATH", "admin socket (" VERB_ADMIN_PATH ")", false},    \
    {                                                                          \
        "timeout", 0, "TIME", "how long to wait, as 60s or 2m", false          \
    }

int verb_reload(const struct cli_args *args);
int verb_status(const struct cli_args *args);

/*
 * Asks {"do": word} and waits, `timeout` unless --timeout says otherwise.
 * Answers 0 and a new object; or, after one line on stderr, an exit code: 75
 * nobody answers, 77 no permission, else the one that the answer names.
 * `failed` stands before the error of an answer: "reload failed".
 */
int verb_ask(const struct cli_args *args, const char *word, const char *timeout,
    const char *failed, json_t **answer);

/* Text of another process on a terminal: control characters become '?'. */
void verb_print_text(const char *text);
/* "2026-11-23 14:00:00 UTC". */
void verb_print_time(int64_t unix_s);

#endif
