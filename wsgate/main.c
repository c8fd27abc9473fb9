/*
 * wsgate: options, configuration check (-t), then the master.
 * Input: the command line. Output: an exit code of sysexits.h.
 */
#include "shared/cli.h"
#include "shared/log.h"
#include "shared/now.h"
#include "shared/service.h"
#include "wsgate/gate_config.h"
#include "wsgate/process/master.h"
#include "wsgate/process/worker.h"
#include "wsgate/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* From a file, or from the command line alone. */
static bool
load_config(void *ctx, struct gate_config **out, struct err *err)
{
    const struct cli_args *args = ctx;
    int cert_count = 0, listen_count = 0;
    const char *const *certs = cli_values(args, "certificate", &cert_count);
    const char *const *listens = cli_values(args, "listen", &listen_count);

    if (args->count == 0 && cert_count == 0 && listen_count == 0)
        return gate_config_load(
            cli_value(args, "config", VERB_CONFIG_PATH), out, err);
    return gate_config_make(certs, cert_count, listens, listen_count,
        cli_value(args, "spool", NULL), args->operands, args->count, out, err);
}

static int
fail(const struct err *err)
{
    (void)fprintf(stderr, "wsgate: %s\n", err->text);
    return err_exit_code(err);
}

static int
dump_config(struct cli_args *args)
{
    struct gate_config *config = NULL;
    struct err err = {0};
    struct buf text;

    if (!load_config(args, &config, &err))
        return fail(&err);
    buf_init(&text, 64 * 1024 * 1024);
    if (gate_config_dump(config, &text))
        (void)fputs(buf_cstr(&text), stdout);
    buf_fini(&text);
    gate_config_free(config);
    return EX_OK;
}

static int
check_config(struct cli_args *args)
{
    struct err err = {0};

    if (!master_check(load_config, args, &err))
        return fail(&err);
    (void)puts("wsgate: the configuration is good");
    return EX_OK;
}

static void complain_of_word(const char *word);

/* "wsgate relaod" is no route. */
static bool
are_routes(const struct cli_args *args)
{
    for (int i = 0; i < args->count; i++) {
        if (args->operands[i][0] == '/')
            continue;
        complain_of_word(args->operands[i]);
        return false;
    }
    return true;
}

static int
verb_run(const struct cli_args *given)
{
    struct cli_args args = *given;

    if (!are_routes(given))
        return EX_USAGE;
    if (cli_has(given, "dump"))
        return dump_config(&args);
    if (cli_has(given, "test"))
        return check_config(&args);
    if (now_init())
        log_warn("the clock is moved by TEST_CLOCK_FILE");
    return master_run(load_config, &args);
}

static int
verb_schema(const struct cli_args *args)
{
    struct buf text;
    bool ok;

    (void)args;
    buf_init(&text, 1024 * 1024);
    ok = config_table_schema(gate_config_rows, "wsgate.yaml", &text);
    if (ok)
        (void)puts(buf_cstr(&text));
    buf_fini(&text);
    return ok ? EX_OK : EX_SOFTWARE;
}

static const struct cli_option run_options[] = {
    {"config", 'c', "FILE", "configuration (" VERB_CONFIG_PATH ")", false},
    {"test", 't', NULL, "check the configuration and its files, then exit",
        false},
    {"dump", 0, NULL, "print the resolved configuration, then exit", false},
    {"certificate", 0, "FILE", "chain and key, for the form without a file",
        true},
    {"listen", 0, "ADDRESS", "as 0.0.0.0:443, [::]:443 or :8443", true},
    {"spool", 0, "DIR", "where ocspd keeps OCSP responses", false},
    {0},
};

static const struct cli_option reload_options[] = {
    VERB_ADMIN_OPTIONS,
    {0},
};

static const struct cli_option status_options[] = {
    VERB_ADMIN_OPTIONS,
    {"json", 0, NULL, "the answer as it came", false},
    {0},
};

static const struct cli_verb verbs[] = {
    {"", "/PREFIX=KIND:TARGET...", 0, -1, run_options,
        "serve; routes on the command line replace the file", verb_run},
    {"run", "/PREFIX=KIND:TARGET...", 0, -1, run_options,
        "serve, as without a verb", verb_run},
    {"schema", NULL, 0, 0, NULL, "print a JSON Schema of the configuration",
        verb_schema},
    {"reload", NULL, 0, 0, reload_options,
        "make a running wsgate reload; says how it went", verb_reload},
    {"status", NULL, 0, 0, status_options,
        "workers and last reload of a running wsgate", verb_status},
    {0},
};

static void
complain_of_word(const char *word)
{
    const char *before = "";

    (void)fprintf(stderr, "wsgate: '%s' is neither a verb (", word);
    for (const struct cli_verb *v = verbs; v->name != NULL; v++) {
        if (v->name[0] == 0)
            continue;
        (void)fprintf(stderr, "%s%s", before, v->name);
        before = ", ";
    }
    (void)fputs(") nor a route (/PREFIX=KIND:TARGET)\n", stderr);
}

static const struct cli_program program = {
    .name = "wsgate",
    .purpose = "TLS front door for WebSocket services: stapled TLS, WebSocket "
               "and HTTP on one URI",
    .verbs = verbs,
};

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], WORKER_ARGUMENT) == 0) {
        log_init("wsgate", LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
        (void)now_init();
        return worker_run(WORKER_CHANNEL_FD);
    }
    service_init();
    log_init("wsgate", LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    return cli_main(&program, argc, argv);
}
