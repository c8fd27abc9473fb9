/*
 * ocspd fetch: asks about each certificate once and ends; for cron and
 * containers. Input: a configuration, certificates. Output: the spool, a line
 * per certificate on stdout, the exit code.
 */
#include "ocspd/verb.h"

#include "ocspd/cycle.h"
#include "shared/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static void
print_why(const struct target *target, bool is_live, const char *error)
{
    const struct target_state *state = &target->state;

    switch (target->mode) {
    case TARGET_NO_URL:
        (void)fputs("  has no OCSP URL: nothing to staple", stdout);
        return;
    case TARGET_EXPIRED:
        (void)fputs("  the certificate has expired", stdout);
        return;
    case TARGET_NO_ISSUER:
        (void)fputs("  its issuer was not found", stdout);
        return;
    case TARGET_DISABLED:
        (void)fputs("  responder is \"\": not asked about", stdout);
        return;
    case TARGET_OCSP:
        break;
    }
    if (is_live) {
        (void)fputs("  until ", stdout);
        verb_print_time(state->life_end);
    } else {
        (void)fputs("  no staple", stdout);
    }
    if (error != NULL) {
        (void)fputs(": ", stdout);
        verb_print_text(error);
    }
}

/* Which operands came to something: what names no certificate is a failure. */
struct fetching {
    const struct cli_args *args;
    bool *is_found; /* one per operand */
};

static void
report(void *ctx, const struct target *target, bool is_live, const char *error)
{
    struct fetching *fetching = ctx;

    for (int i = 0; i < fetching->args->count; i++)
        if (verb_names(fetching->args->operands[i], target))
            fetching->is_found[i] = true;
    if (target->mode == TARGET_OCSP)
        (void)fputs(verdict_word(target->state.last_verdict), stdout);
    else
        (void)fputs(target_mode_word(target->mode), stdout);
    (void)fputs("  ", stdout);
    verb_print_text(target->label);
    (void)fputs("  ", stdout);
    verb_print_text(target->path);
    print_why(target, is_live, error);
    (void)putchar('\n');
}

static bool
wants(void *ctx, const struct target *target)
{
    const struct fetching *fetching = ctx;

    return verb_is_named(fetching->args, target);
}

static int
report_missing(const struct fetching *fetching, int code)
{
    for (int i = 0; i < fetching->args->count; i++) {
        if (fetching->is_found[i] || (code != EX_OK && code != EX_TEMPFAIL))
            continue;
        (void)fputs("missing  -  ", stdout);
        verb_print_text(fetching->args->operands[i]);
        (void)puts("  no certificate there");
        code = EX_TEMPFAIL;
    }
    return code;
}

int
verb_fetch(const struct cli_args *args)
{
    struct cycle_options options = {.once = true, .report = report};
    struct fetching fetching = {args, NULL};
    struct verb_config loaded;
    int code;

    if (args->count == 0 && !cli_has(args, "config")) {
        verb_complain("fetch: name certificates, or a configuration with -c");
        return EX_USAGE;
    }
    code = verb_load_config(args, true, &loaded);
    if (code != EX_OK)
        return code;
    log_init(
        "ocspd", (enum log_format)loaded.config->log.format, LOG_LEVEL_WARN);
    fetching.is_found = calloc((size_t)args->count + 1, sizeof(bool));
    if (fetching.is_found == NULL) {
        ocspd_config_free(loaded.config);
        return EX_OSERR;
    }
    options.config = loaded.config;
    options.config_path = loaded.path;
    options.wants = args->count > 0 ? wants : NULL;
    options.ctx = &fetching;
    code = report_missing(&fetching, cycle_run(&options));
    free(fetching.is_found);
    return code;
}
