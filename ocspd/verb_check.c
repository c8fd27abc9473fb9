/*
 * ocspd check CERT: does this help me? Every step explained, nothing written.
 * Input: a certificate, its responder. Output: text on stdout, the exit code.
 */
#include "ocspd/verb.h"

#include "ocspd/discover.h"
#include "ocspd/fetch.h"
#include "ocspd/round.h"
#include "ocspd/verb_check_print.h"
#include "ocspd/verb_check_units.h"
#include "shared/cert.h"
#include "shared/now.h"

#include <stdio.h>
#include <sysexits.h>

struct checking {
    const struct ocspd_config *config;
    struct target *target;
    uv_loop_t loop;
    struct fetch *fetch;
    int code;
};

/* ---- asking ------------------------------------------------------------- */

static void
on_attempt(void *ctx, const struct round_attempt *attempt)
{
    (void)ctx;
    check_print_attempt(attempt);
}

static void
on_answer(void *ctx, const struct fetch_result *answer)
{
    (void)ctx;
    check_print_answer(answer);
}

static void
on_step(void *ctx, const char *step, bool passed, const char *detail)
{
    (void)ctx;
    check_print_step(step, passed, detail);
}

static void
on_done(void *ctx, const struct round_result *result)
{
    struct checking *check = ctx;

    check_print_verdict(result);
    check->code = result->verdict == VERDICT_GOOD ? EX_OK : EX_TEMPFAIL;
    fetch_free(check->fetch); /* lets the loop end */
    check->fetch = NULL;
}

static int
ask(struct checking *check)
{
    const struct ocspd_config *config = check->config;
    struct fetch_settings settings = {
        .connect_timeout_ms = config->fetch.connect_timeout_ms,
        .timeout_ms = config->fetch.timeout_ms,
        .max_transfers = 1,
        .max_per_responder = 1,
        .public_only = config->fetch.public_only,
        .allow_addresses = &config->fetch.allow_addresses};
    struct round_watch watch = {on_attempt, on_answer, on_step, NULL};
    struct err err = {0};

    if (uv_loop_init(&check->loop) != 0)
        return EX_OSERR;
    check->fetch = fetch_new(&check->loop, &settings, &err);
    if (check->fetch == NULL || round_start(check->fetch, check->target, &watch,
                                    on_done, check, &err) == NULL) {
        verb_complain("%s", err.text);
        check->code = err_exit_code(&err);
        fetch_free(check->fetch);
    }
    (void)uv_run(&check->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&check->loop);
    return check->code;
}

/* ---- the certificate ---------------------------------------------------- */

/* Where discover will have found it: the same order as there. */
static void
print_issuer(const struct target *target, const struct cert_chain *chain)
{
    if (target->issuer == NULL)
        check_print_no_issuer(target->rule.issuer);
    else
        check_print_issuer(target->issuer->cert,
            cert_find_issuer(chain->leaf, chain->others) != NULL
                ? "in the certificate's own file"
            : target->rule.issuer != NULL ? target->rule.issuer
                                          : "in the .issuer file beside it");
}

static int
check_target(struct checking *check)
{
    const struct target *target = check->target;

    switch (target->mode) {
    case TARGET_NO_URL:
        check_print_no_url(target);
        return EX_OK;
    case TARGET_DISABLED:
        (void)puts("asking       off: the configuration says responder: \"\"");
        return EX_OK;
    case TARGET_EXPIRED:
        (void)puts("verdict      the certificate has expired: a responder need "
                   "not know it any more (RFC 9919)");
        return EX_TEMPFAIL;
    case TARGET_NO_ISSUER:
        (void)puts("verdict      without the issuer no request can be made and "
                   "no answer checked\n"
                   "mend         append the CA's certificate to the file, or "
                   "name it with --issuer FILE");
        return EX_TEMPFAIL;
    case TARGET_OCSP:
        break;
    }
    return ask(check);
}

static struct target *
find_target(const struct cli_args *args, struct discover_result *found)
{
    LIST_EACH(&found->targets, it)
    {
        struct target *target = LIST_ENTRY(it, struct target, node);

        if (verb_is_named(args, target))
            return target;
    }
    return NULL;
}

static int
check_file(const struct cli_args *args, const struct ocspd_config *config)
{
    struct checking check = {.config = config, .code = EX_TEMPFAIL};
    struct discover_result found;
    struct cert_chain chain = {0};
    struct cert_facts facts = {0};
    struct err err = {0};
    int code = EX_DATAERR;

    if (!cert_file_load(args->operands[0], &chain, &err) ||
        !cert_facts_read(chain.leaf, &facts, &err) ||
        !discover_run(config, 0, now_wall(), &found, &err)) {
        verb_complain("%s", err.text);
        cert_facts_fini(&facts);
        cert_chain_fini(&chain);
        return code;
    }
    check.target = find_target(args, &found);
    check_print_certificate(args->operands[0], &facts, chain.leaf);
    if (check.target != NULL) {
        print_issuer(check.target, &chain);
        check_print_urls(check.target);
        code = check_target(&check);
    }
    for (size_t i = 0; check.target == NULL && i < found.note_count; i++)
        verb_complain("%s", found.notes[i].text);
    discover_result_fini(&found);
    cert_facts_fini(&facts);
    cert_chain_fini(&chain);
    return code;
}

int
verb_check(const struct cli_args *args)
{
    struct verb_config loaded;
    bool is_units = cli_has(args, "units");
    int code;

    if ((args->count == 0) != is_units) {
        verb_complain("check takes a certificate, or --units without one");
        return EX_USAGE;
    }
    code = verb_load_config(args, true, &loaded);
    if (code != EX_OK)
        return code;
    (void)now_init();
    code =
        is_units ? check_units(loaded.config) : check_file(args, loaded.config);
    ocspd_config_free(loaded.config);
    return code;
}
