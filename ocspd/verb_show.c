/*
 * ocspd show FILE|CERT: a response, or the one spooled for a certificate.
 * Input: a file, or a certificate or fingerprint and the spool. Output: text.
 */
#include "ocspd/verb.h"

#include "shared/atomic_file.h"
#include "shared/denied.h"
#include "shared/ocsp_response.h"
#include "shared/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int
fail(const struct err *err)
{
    verb_complain("%s", err->text);
    return err->kind == ERR_FORMAT ? EX_DATAERR : err_exit_code(err);
}

/* Printing is OpenSSL's: it knows every extension. */
static int
print_response(struct span der)
{
    const unsigned char *p = der.data;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
    BIO *out = BIO_new_fp(stdout, BIO_NOCLOSE);
    int code = EX_SOFTWARE;

    if (response != NULL && out != NULL &&
        OCSP_RESPONSE_print(out, response, 0) == 1)
        code = EX_OK;
    OCSP_RESPONSE_free(response);
    BIO_free(out);
    return code;
}

static bool
is_response(struct span der)
{
    struct ocsp_response *response = NULL;

    if (!ocsp_response_parse(der, &response, NULL))
        return false;
    ocsp_response_free(response);
    return true;
}

static void
print_meta(const struct spool *spool, const char *fp)
{
    struct spool_meta meta = {0};

    if (!spool_load_meta(spool, fp, &meta, NULL))
        return;
    (void)fputs("certificate  ", stdout);
    verb_print_text(meta.label);
    (void)fputs("\nstatus       ", stdout);
    verb_print_text(meta.status);
    (void)fputs("\nserves until ", stdout);
    verb_print_time(meta.life_end);
    (void)fputs("\nnext attempt ", stdout);
    verb_print_time(meta.next_attempt);
    if (meta.source != NULL) {
        (void)fputs("\nsource       ", stdout);
        verb_print_text(meta.source);
    }
    if (meta.last_error != NULL) {
        (void)fputs("\nlast error   ", stdout);
        verb_print_text(meta.last_error);
    }
    (void)putchar('\n');
    spool_meta_fini(&meta);
}

static int
show_spooled(const struct spool *spool, const char *fp)
{
    struct err err = {0};
    struct buf der;
    int code;

    buf_init(&der, OCSP_RESPONSE_MAX);
    (void)printf("fingerprint  %s\n", fp);
    print_meta(spool, fp);
    if (spool_load(spool, fp, &der, &err)) {
        code = print_response(buf_span(&der));
    } else if (err.kind == ERR_SYSTEM && err.sys_errno == ENOENT) {
        verb_complain("no response is spooled for this certificate");
        code = EX_TEMPFAIL;
    } else {
        code = fail(&err);
    }
    buf_fini(&der);
    return code;
}

static int
show_from_spool(const struct cli_args *args, const char *fp)
{
    struct cli_args no_operands = *args;
    struct verb_config loaded = {NULL, NULL};
    struct spool spool;
    struct err err = {0};
    int code;

    no_operands.count = 0;
    /* the spool's usual place will do where there is no file */
    if (!cli_has(args, "config") && !cli_has(args, "spool")) {
        if (!ocspd_config_load(VERB_CONFIG_PATH, &loaded.config, NULL) &&
            !ocspd_config_make(NULL, NULL, 0, &loaded.config, &err))
            return fail(&err);
    } else {
        code = verb_load_config(&no_operands, false, &loaded);
        if (code != EX_OK)
            return code;
    }
    if (spool_open(&spool, loaded.config->spool, &err)) {
        code = show_spooled(&spool, fp);
        spool_close(&spool);
    } else if (err.kind == ERR_SYSTEM && err.sys_errno == ENOENT) {
        verb_complain_no_spool(loaded.config->spool);
        code = EX_TEMPFAIL;
    } else {
        (void)denied_err(loaded.config->spool, &err);
        code = fail(&err);
    }
    ocspd_config_free(loaded.config);
    return code;
}

static int
show_certificate(const struct cli_args *args, const char *path)
{
    char fp[CERT_FINGERPRINT_SIZE] = "";
    struct cert_chain chain = {0};
    struct err err = {0};
    bool ok;

    if (cert_is_fingerprint(span_str(path)))
        return show_from_spool(args, path);
    if (!cert_file_load(path, &chain, &err))
        return fail(&err);
    ok = cert_fingerprint(chain.leaf, fp, &err);
    cert_chain_fini(&chain);
    return ok ? show_from_spool(args, fp) : fail(&err);
}

int
verb_show(const struct cli_args *args)
{
    const char *path = args->operands[0];
    struct buf bytes;
    int code;

    buf_init(&bytes, OCSP_RESPONSE_MAX);
    if (atomic_file_read(AT_FDCWD, path, &bytes, NULL) &&
        is_response(buf_span(&bytes)))
        code = print_response(buf_span(&bytes));
    else
        code = show_certificate(args, path);
    buf_fini(&bytes);
    return code;
}
