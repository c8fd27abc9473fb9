/*
 * One look at every certificate of a configuration.
 * Input: the files on disk, the bundle in force, the spool. Output: a verdict
 * for each row, and the bytes the next release is made of.
 */
#include "wsgate/process/pair_look.h"

#include "wsgate/tls/tls_cert.h"
#include "wsgate/tls/tls_context.h"

#include <stdio.h>
#include <stdlib.h>

struct looking {
    struct pair_look *look;
    const struct gate_config *config;
    struct pair_facts *facts;
    enum pair_asker asker;
    bool has_old;
    int64_t now;
    struct err *err;
};

/* ---- rows and their files --------------------------------------------------- */

bool
pair_each_row(const struct gate_config *config, pair_row_fn *fn, void *ctx)
{
    for (size_t i = 0; i < config->sites.count; i++) {
        const struct gate_site *site =
            (const struct gate_site *)config->sites.items + i;
        const struct gate_certificate *rows = site->certificates.items;

        for (size_t k = 0; k < site->certificates.count; k++)
            if (!fn(ctx, site, &rows[k]))
                return false;
    }
    return true;
}

void
pair_row_paths(
    const struct gate_certificate *row, const char *paths[PAIR_ROW_FILES])
{
    paths[0] = row->chain;
    paths[1] = row->key;
    paths[2] = row->issuer;
    paths[3] = row->signers;
}

static bool
count_row(
    void *ctx, const struct gate_site *site, const struct gate_certificate *row)
{
    (void)site;
    (void)row;
    ++*(size_t *)ctx;
    return true;
}

size_t
pair_row_count(const struct gate_config *config)
{
    size_t count = 0;

    (void)pair_each_row(config, count_row, &count);
    return count;
}

/* ---- a pair ------------------------------------------------------------------ */

/* The bytes of a row's files, all from the disk or all in force. */
static bool
make_source(const struct gate_certificate *row,
    struct pair_file *const files[PAIR_ROW_FILES], bool is_new,
    struct tls_cert_source *out, struct err *err)
{
    struct span bytes[PAIR_ROW_FILES] = {{NULL, 0}};

    for (size_t i = 0; i < PAIR_ROW_FILES; i++) {
        const struct pair_file *f = files[i];

        if (f == NULL)
            continue;
        if (is_new && !f->is_read) {
            *err = f->err;
            return false;
        }
        if (!is_new && f->old.data == NULL)
            return err_set(err, ERR_REJECTED, "not in force");
        bytes[i] = is_new ? f->disk : f->old;
    }
    *out = (struct tls_cert_source){
        .chain_name = row->chain,
        .key_name = row->key != NULL ? row->key : row->chain,
        .chain_pem = bytes[0],
        .key_pem = row->key != NULL ? bytes[1] : bytes[0],
        .issuer_pem = bytes[2],
        .signers_pem = bytes[3],
        .staple_mode = (enum tls_staple_mode)row->staple,
    };
    return true;
}

static bool
load_pair(const struct gate_certificate *row,
    struct pair_file *const files[PAIR_ROW_FILES], bool is_new, int64_t now,
    struct tls_cert **out, struct err *err)
{
    struct tls_cert_source source;

    return make_source(row, files, is_new, &source, err) &&
           tls_cert_new(&source, NULL, now, out, err);
}

/* What OpenSSL thinks of it when it is to be used: a key too small. */
static bool
try_in_context(struct tls_cert *cert, const char *host, struct err *err)
{
    struct tls_site site = {
        .hosts = &host, .host_count = 1, .certs = &cert, .cert_count = 1};
    struct tls_context *context = NULL;

    if (!tls_context_new(&site, 1, &context, err))
        return false;
    tls_context_unref(context);
    return true;
}

static bool
probe_staple(const char *spool, const struct tls_cert *cert, int64_t now,
    bool *is_revoked, struct err *err)
{
    const struct ocsp_trust trust = {
        .issuer = cert->issuer, .signers = cert->signers};
    struct cert_ids ids;

    if (spool == NULL)
        return err_set(err, ERR_CONFIG, "no spool is configured");
    if (cert->issuer == NULL)
        return err_set(err, ERR_CONFIG,
            "its issuer is neither in the chain nor named by 'issuer'");
    return cert_ids_make(cert->chain.leaf, cert->issuer, &ids, err) &&
           staple_probe(spool, cert->fp, &ids, &trust, now, is_revoked, err);
}

/* ---- facts of a row ------------------------------------------------------------ */

static void
look_for_staple(const struct looking *l, const struct tls_cert *cert,
    struct pair_row *at, struct pair_facts *facts)
{
    struct err err = {0};
    bool is_revoked = false;

    if (at->row->staple != TLS_STAPLE_REQUIRE)
        return;
    if (!probe_staple(l->config->spool, cert, l->now, &is_revoked, &err))
        (void)snprintf(at->why, sizeof(at->why),
            "no staple yet for the new certificate: %.200s (is ocspd running "
            "and does it know the new chain?)",
            err.text);
    else if (is_revoked)
        (void)snprintf(at->why, sizeof(at->why),
            "the staple of the new certificate says that it is revoked");
    facts->lacks_staple = at->why[0] != 0;
}

static void
look_at_new(const struct looking *l,
    struct pair_file *const files[PAIR_ROW_FILES], struct pair_row *at,
    struct pair_facts *facts)
{
    struct tls_cert *cert = NULL;
    struct err err = {0};

    facts->fit = PAIR_UNFIT;
    if (!load_pair(at->row, files, true, l->now, &cert, &err) ||
        !try_in_context(cert, at->site, &err)) {
        (void)snprintf(at->why, sizeof(at->why), "%s", err.text);
    } else {
        (void)snprintf(at->fp, sizeof(at->fp), "%s", cert->fp);
        at->not_after = cert->facts.not_after;
        facts->fit = PAIR_FITS;
        if (cert->facts.not_after < l->now || cert->facts.not_before > l->now) {
            facts->fit = PAIR_NOT_YET;
            (void)snprintf(at->why, sizeof(at->why),
                cert->facts.not_after < l->now
                    ? "the new certificate has expired"
                    : "the new certificate is not valid yet, or the clock is "
                      "wrong");
        } else {
            look_for_staple(l, cert, at, facts);
        }
    }
    tls_cert_unref(cert);
}

static void
look_at_old(const struct looking *l,
    struct pair_file *const files[PAIR_ROW_FILES], struct pair_row *at,
    struct pair_facts *facts)
{
    struct tls_cert *cert = NULL;
    struct err err = {0};
    bool is_revoked = false;

    if (load_pair(at->row, files, false, l->now, &cert, &err)) {
        facts->has_old = true;
        at->old_not_after = cert->facts.not_after;
        facts->old_is_over =
            cert->facts.not_after < l->now ||
            (probe_staple(l->config->spool, cert, l->now, &is_revoked, &err) &&
                is_revoked);
    }
    tls_cert_unref(cert);
}

/* An operator's reload builds it all anyway and tells what is wrong with it: to
 * be known before is only whether something may have to wait. */
static bool
needs_a_look(const struct looking *l, const struct gate_certificate *row)
{
    return l->asker == PAIR_ASKED_BY_CHANGE ||
           (l->has_old && row->staple == TLS_STAPLE_REQUIRE);
}

static bool
is_in_force(struct pair_file *const files[PAIR_ROW_FILES])
{
    for (size_t i = 0; i < PAIR_ROW_FILES; i++)
        if (files[i] != NULL && files[i]->old.data == NULL)
            return false;
    return true;
}

static bool
look_at_row(
    void *ctx, const struct gate_site *site, const struct gate_certificate *row)
{
    struct pair_file *files[PAIR_ROW_FILES] = {NULL};
    const char *paths[PAIR_ROW_FILES];
    struct looking *l = ctx;
    struct pair_row *at = &l->look->rows[l->look->count];
    struct pair_facts *facts = &l->facts[l->look->count++];
    bool is_changed = false;

    at->row = row;
    at->site = site->hosts.count > 0 ? site->hosts.items[0] : "*";
    pair_row_paths(row, paths);
    for (size_t i = 0; i < PAIR_ROW_FILES; i++) {
        facts->changed[i] = -1;
        if (paths[i] == NULL)
            continue;
        files[i] = pair_files_get(l->look->files, paths[i]);
        if (files[i] == NULL)
            return err_memory(l->err);
        if (files[i]->is_changed) {
            facts->changed[i] = files[i]->number;
            is_changed = true;
        }
    }
    if (is_changed && needs_a_look(l, row)) {
        look_at_old(l, files, at, facts);
        look_at_new(l, files, at, facts);
    } else if (is_changed) {
        facts->fit = PAIR_FITS;
        facts->has_old = is_in_force(files);
    }
    return true;
}

/* ---- the verdicts ----------------------------------------------------------------- */

static bool
judge(struct looking *l)
{
    struct pair_look *look = l->look;
    enum pair_verdict *verdicts = calloc(look->count + 1, sizeof(*verdicts));
    bool ok = verdicts != NULL ? pair_judge(l->facts, look->count,
                                     pair_files_count(look->files), l->asker,
                                     verdicts, l->err)
                               : err_memory(l->err);

    for (size_t i = 0; ok && i < look->count; i++) {
        look->rows[i].verdict = verdicts[i];
        look->taken += verdicts[i] == PAIR_TAKEN;
        if (verdicts[i] == PAIR_WAITS_FOR_OTHER)
            (void)snprintf(look->rows[i].why, sizeof(look->rows[i].why),
                "a file of it belongs to another certificate that waits");
    }
    free(verdicts);
    return ok;
}

static void
take_files(struct pair_look *look)
{
    for (size_t i = 0; i < look->count; i++) {
        const char *paths[PAIR_ROW_FILES];

        pair_row_paths(look->rows[i].row, paths);
        for (size_t k = 0; k < PAIR_ROW_FILES; k++)
            if (paths[k] != NULL && look->rows[i].verdict == PAIR_TAKEN)
                pair_files_get(look->files, paths[k])->is_taken = true;
    }
}

bool
pair_look_new(const struct gate_config *config, struct bundle *old,
    pair_files_suspect *suspect, void *ctx, enum pair_asker asker, int64_t now,
    struct pair_look **out, struct err *err)
{
    struct looking l = {.config = config,
        .asker = asker,
        .has_old = old != NULL,
        .now = now,
        .err = err};
    const size_t count = pair_row_count(config);
    bool ok = false;

    l.look = calloc(1, sizeof(*l.look));
    l.facts = calloc(count + 1, sizeof(*l.facts));
    if (l.look == NULL || l.facts == NULL)
        (void)err_memory(err);
    else if ((l.look->rows = calloc(count + 1, sizeof(*l.look->rows))) == NULL)
        (void)err_memory(err);
    else if ((l.look->files = pair_files_new(old, suspect, ctx, err)) != NULL)
        ok = pair_each_row(config, look_at_row, &l) && judge(&l);
    free(l.facts);
    if (!ok) {
        pair_look_free(l.look);
        return false;
    }
    take_files(l.look);
    *out = l.look;
    return true;
}

void
pair_look_free(struct pair_look *look)
{
    if (look == NULL)
        return;
    free(look->rows);
    pair_files_free(look->files);
    free(look);
}
