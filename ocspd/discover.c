/*
 * Configured files, globs and folders -> targets.
 * Input: the configuration and the certificate files it names. Output: a list
 * of targets, what was wrong, and the folders worth watching.
 */
#include "ocspd/discover.h"

#include "ocspd/discover_issuer.h"
#include "shared/buf.h"
#include "shared/denied.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

/* A certificate may be reached by two paths: the first one counts. */
struct seen {
    char fp[CERT_FINGERPRINT_SIZE];
    UT_hash_handle hh;
};

struct run {
    const struct ocspd_config *config;
    uint64_t host_seed;
    int64_t now;
    struct discover_result *out;
    struct discover_issuers issuers;
    struct seen *seen;
    bool no_memory;
};

/* One file on its way to become a target. */
struct candidate {
    struct run *run;
    size_t row;
    const char *path;
    bool is_listed; /* its path stands in the configuration, no pattern */
    struct ocspd_rule rule;
    struct cert_chain chain;
    struct cert_facts facts;
};

/* ---- notes and folders -------------------------------------------------- */

static void note(struct run *run, bool is_error, size_t row, const char *path,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void
note(struct run *run, bool is_error, size_t row, const char *path,
    const char *fmt, ...)
{
    struct discover_result *out = run->out;
    struct discover_note *notes;
    struct buf text;
    va_list ap;

    buf_init(&text, 4096);
    va_start(ap, fmt);
    (void)buf_add_fmt(&text, "certificates[%zu] ", row + 1);
    (void)buf_add_vfmt(&text, fmt, ap);
    va_end(ap);
    notes = realloc(out->notes, (out->note_count + 1) * sizeof(*notes));
    if (notes == NULL) {
        run->no_memory = true;
    } else {
        out->notes = notes;
        notes[out->note_count++] = (struct discover_note){
            is_error, false, strdup(path), strdup(buf_cstr(&text))};
    }
    buf_fini(&text);
}

static void
watch_folder(struct run *run, const char *folder)
{
    struct discover_result *out = run->out;
    char **folders;

    for (size_t i = 0; i < out->folder_count; i++)
        if (strcmp(out->folders[i], folder) == 0)
            return;
    folders = realloc(out->folders, (out->folder_count + 1) * sizeof(*folders));
    if (folders == NULL) {
        run->no_memory = true;
        return;
    }
    out->folders = folders;
    folders[out->folder_count] = strdup(folder);
    if (folders[out->folder_count] != NULL)
        out->folder_count++;
}

static void
watch_parent(struct run *run, const char *path)
{
    char *copy = strdup(path);

    if (copy == NULL)
        run->no_memory = true;
    else
        watch_folder(run, dirname(copy));
    free(copy);
}

/* ---- the issuer --------------------------------------------------------- */

/* The certificates of a configured file or folder; a failure is said once. */
static const STACK_OF(X509) * configured(struct candidate *c, const char *path)
{
    const STACK_OF(X509) * certs;
    bool is_new = false;
    struct err err;

    if (path == NULL)
        return NULL;
    certs = discover_issuers_store(&c->run->issuers, path, &is_new, &err);
    if (certs == NULL && is_new) {
        (void)denied_err(path, &err);
        note(c->run, true, c->row, c->path, "%s", err.text);
    }
    if (is_new)
        watch_parent(c->run, path);
    return certs;
}

/* HAProxy's habit: site.pem and site.pem.issuer. */
static X509 *
find_beside(struct candidate *c)
{
    const STACK_OF(X509) *certs = NULL;
    X509 *found = NULL;
    struct buf path;
    bool is_new;

    buf_init(&path, 4096);
    if (buf_add_fmt(&path, "%s.issuer", c->path) &&
        access(buf_cstr(&path), R_OK) == 0)
        certs = discover_issuers_store(
            &c->run->issuers, buf_cstr(&path), &is_new, NULL);
    if (certs != NULL)
        found = cert_find_issuer(c->chain.leaf, certs);
    buf_fini(&path);
    return found;
}

/* Proven by name and signature, so the order of places does not matter for
 * trust; the operator's word comes first because it is the likelier place. */
static struct issuer *
find_issuer(struct candidate *c)
{
    const STACK_OF(X509) *certs = configured(c, c->rule.issuer);
    const STACK_OF(X509) *signers = configured(c, c->rule.signers);
    X509 *issuer = NULL;

    if (certs != NULL)
        issuer = cert_find_issuer(c->chain.leaf, certs);
    if (issuer == NULL)
        issuer = cert_find_issuer(c->chain.leaf, c->chain.others);
    if (issuer == NULL)
        issuer = find_beside(c);
    if (issuer == NULL)
        return NULL;
    return discover_issuers_share(&c->run->issuers, issuer, signers);
}

/* ---- one target --------------------------------------------------------- */

static bool
set_urls(struct target *target, struct candidate *c)
{
    const char *only = c->rule.responder;

    if (only == NULL) {
        target->urls = c->facts.ocsp_urls;
        target->url_count = (unsigned)c->facts.ocsp_url_count;
        c->facts.ocsp_urls = NULL; /* now the target's */
        c->facts.ocsp_url_count = 0;
        return true;
    }
    if (only[0] == '\0')
        return true;
    target->urls = calloc(1, sizeof(*target->urls));
    if (target->urls == NULL)
        return false;
    target->urls[0] = strdup(only);
    target->url_count = target->urls[0] != NULL ? 1 : 0;
    return target->url_count == 1;
}

static bool
fill_target(struct target *target, struct candidate *c, struct err *err)
{
    target->rule = c->rule;
    target->not_before = c->facts.not_before;
    target->not_after = c->facts.not_after;
    target->must_staple = c->facts.must_staple;
    target->first_seen = c->run->now;
    target->jitter = discover_jitter(c->run->host_seed, target->fp);
    target->label = strdup(cert_facts_label(&c->facts));
    target->path = strdup(c->path);
    if (target->label == NULL || target->path == NULL || !set_urls(target, c))
        return err_memory(err);
    target->issuer = find_issuer(c);
    if (target->issuer != NULL &&
        !cert_ids_make(c->chain.leaf, target->issuer->cert, &target->ids, err))
        return false;
    target_choose_mode(target, c->run->now);
    return true;
}

static bool
is_known(struct run *run, const char *fp)
{
    struct seen *seen = NULL;

    HASH_FIND_STR(run->seen, fp, seen);
    if (seen != NULL)
        return true;
    seen = calloc(1, sizeof(*seen));
    if (seen == NULL) {
        run->no_memory = true;
        return true;
    }
    memcpy(seen->fp, fp, sizeof(seen->fp));
    HASH_ADD_STR(run->seen, fp, seen);
    return false;
}

static void
add_target(struct candidate *c)
{
    struct target *target = calloc(1, sizeof(*target));
    struct err err;

    if (target == NULL) {
        c->run->no_memory = true;
        return;
    }
    list_init(&target->node);
    if (!cert_fingerprint(c->chain.leaf, target->fp, &err) ||
        (!is_known(c->run, target->fp) && !fill_target(target, c, &err))) {
        note(c->run, true, c->row, c->path, "%s: %s", c->path, err.text);
        target_free(target);
        return;
    }
    if (target->label == NULL) { /* known already */
        target_free(target);
        return;
    }
    if (target->mode == TARGET_NO_ISSUER)
        note(c->run, false, c->row, c->path,
            "%s: the issuer '%s' was not found: append it to the file or name "
            "it with issuer:",
            c->path, c->facts.issuer != NULL ? c->facts.issuer : "");
    list_add_last(&c->run->out->targets, &target->node);
}

/* "we may not look" is no "nothing there": certbot's live/ is 0700 root, and so
 * is archive/, where its links point to. False: it is not that. */
static bool
note_denied(struct run *run, size_t row, const char *path)
{
    static const char hook[] =
        "let the hook PREFIX/share/ocspd/hooks/certbot (PREFIX is /usr/local "
        "as a rule) copy each renewed chain to /etc/ocspd/certs, or give this "
        "user access";
    struct denied denied;
    bool is_itself;

    if (!denied_find(path, &denied))
        return false;
    is_itself = strcmp(path, denied.path) == 0;
    note(run, true, row, path, "%s%s%s: %s: %s", is_itself ? "" : path,
        is_itself ? "" : ": ", denied.path, denied.text,
        denied.is_folder && !denied.is_hidden ? hook : denied.mend);
    return true;
}

static void
note_folder(struct run *run, size_t row, const char *folder, int error)
{
    if (error != EACCES || !note_denied(run, row, folder))
        note(run, true, row, folder, "%s: %s", folder, strerror(error));
}

static void
add_file(struct run *run, size_t row, const char *path, bool is_listed)
{
    const struct ocspd_cert_row *rows = run->config->certificates.items;
    struct candidate c = {.run = run,
        .row = row,
        .path = path,
        .is_listed = is_listed,
        .rule = ocspd_rule_over(&rows[row].rule, &run->config->defaults)};
    struct err err = {0};

    watch_parent(run, path);
    if (!cert_file_load(path, &c.chain, &err)) {
        if (err.sys_errno == EACCES && note_denied(run, row, path))
            return;
        /* a pattern may well match a file without a certificate */
        note(run, is_listed || err.kind != ERR_FORMAT, row, path, "%s",
            err.text);
        return;
    }
    if (!cert_facts_read(c.chain.leaf, &c.facts, &err))
        note(run, true, row, path, "%s: %s", path, err.text);
    else if (is_listed || !c.facts.is_ca) /* a folder may hold CAs, too */
        add_target(&c);
    cert_facts_fini(&c.facts);
    cert_chain_fini(&c.chain);
}

/* ---- rows to files ------------------------------------------------------ */

static int
by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int
is_candidate(const struct dirent *entry)
{
    return discover_is_cert_name(entry->d_name);
}

static void
add_folder(struct run *run, size_t row, const char *folder)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_candidate, by_name);

    watch_folder(run, folder);
    if (count < 0)
        note_folder(run, row, folder, errno);
    else if (count == 0)
        note(run, false, row, folder, "%s: no .pem or .crt file here", folder);
    for (int i = 0; i < count; i++) {
        struct buf path;

        buf_init(&path, 4096);
        if (buf_add_fmt(&path, "%s/%s", folder, entries[i]->d_name))
            add_file(run, row, buf_cstr(&path), false);
        buf_fini(&path);
        free(entries[i]);
    }
    free(entries);
}

/* The part of a pattern before its first wildcard's component. New. */
static char *
pattern_base(const char *pattern)
{
    size_t wild = strcspn(pattern, "*?[");

    while (wild > 1 && pattern[wild - 1] != '/')
        wild--;
    if (wild > 1)
        wild--; /* without the slash */
    return span_dup(span_make(pattern, wild));
}

static void
add_pattern(struct run *run, size_t row, const char *pattern)
{
    char *base = pattern_base(pattern);
    DIR *dir = base != NULL ? opendir(base) : NULL;
    bool is_away = dir == NULL;
    glob_t matches;

    if (base != NULL)
        watch_folder(run, base);
    if (dir == NULL && errno != ENOENT) {
        if (base != NULL)
            note_folder(run, row, base, errno);
        free(base);
        return;
    }
    if (dir != NULL)
        (void)closedir(dir);
    if (glob(pattern, 0, NULL, &matches) != 0) {
        note(run, false, row, is_away && base != NULL ? base : pattern,
            "%s: matches nothing", pattern);
        if (is_away && run->out->note_count > 0)
            run->out->notes[run->out->note_count - 1].is_away = true;
        free(base);
        return;
    }
    free(base);
    for (size_t i = 0; i < matches.gl_pathc; i++) {
        struct stat st;

        if (stat(matches.gl_pathv[i], &st) == 0 && S_ISDIR(st.st_mode))
            add_folder(run, row, matches.gl_pathv[i]);
        else
            add_file(run, row, matches.gl_pathv[i], false);
    }
    globfree(&matches);
}

static void
add_row(struct run *run, size_t row)
{
    const struct ocspd_cert_row *rows = run->config->certificates.items;
    const char *path = rows[row].path;
    struct stat st;
    bool exists = stat(path, &st) == 0;

    if (exists && S_ISDIR(st.st_mode))
        add_folder(run, row, path);
    else if (!exists && strpbrk(path, "*?[") != NULL)
        add_pattern(run, row, path);
    else
        add_file(run, row, path, true);
}

/* ---- the station -------------------------------------------------------- */

bool
discover_run(const struct ocspd_config *config, uint64_t host_seed, int64_t now,
    struct discover_result *out, struct err *err)
{
    struct run run = {
        .config = config, .host_seed = host_seed, .now = now, .out = out};
    struct seen *seen, *next;

    memset(out, 0, sizeof(*out));
    list_init(&out->targets);
    discover_issuers_init(&run.issuers);
    for (size_t i = 0; i < config->certificates.count; i++)
        add_row(&run, i);
    discover_issuers_fini(&run.issuers);
    HASH_ITER(hh, run.seen, seen, next)
    {
        HASH_DEL(run.seen, seen);
        free(seen);
    }
    if (!run.no_memory)
        return true;
    discover_result_fini(out);
    return err_memory(err);
}

void
discover_result_fini(struct discover_result *result)
{
    LIST_EACH(&result->targets, it)
    {
        list_remove(it);
        target_free(LIST_ENTRY(it, struct target, node));
    }
    for (size_t i = 0; i < result->note_count; i++) {
        free(result->notes[i].path);
        free(result->notes[i].text);
    }
    for (size_t i = 0; i < result->folder_count; i++)
        free(result->folders[i]);
    free(result->notes);
    free(result->folders);
    memset(result, 0, sizeof(*result));
    list_init(&result->targets);
}

static bool
is_at_or_below(const char *path, const char *top)
{
    size_t len = strlen(top);

    return strncmp(path, top, len) == 0 &&
           (path[len] == '\0' || path[len] == '/');
}

bool
discover_is_doubtful(const struct discover_result *result, const char *path)
{
    for (size_t i = 0; i < result->note_count; i++) {
        const struct discover_note *n = &result->notes[i];

        if (n->path == NULL || path == NULL) {
            if (n->is_error)
                return true;
            continue;
        }
        /* a file that does not parse now may be half written: doubt, too */
        if (is_at_or_below(path, n->path) &&
            (n->is_error || n->is_away || strcmp(path, n->path) == 0))
            return true;
    }
    return false;
}

/* FNV-1a with a final mix: spreads, protects nothing. */
static uint64_t
hash_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++) {
        hash ^= (unsigned char)*text;
        hash *= 0x100000001b3ULL;
    }
    hash ^= hash >> 33;
    hash *= 0xff51afd7ed558ccdULL;
    hash ^= hash >> 33;
    return hash;
}

double
discover_jitter(uint64_t host_seed, const char *fp)
{
    uint64_t hash = hash_text(0xcbf29ce484222325ULL ^ host_seed, fp);

    return (double)(hash >> 11) / (double)(1ULL << 53);
}

uint64_t
discover_host_seed(void)
{
    char id[256] = "";
    FILE *f = fopen("/etc/machine-id", "re");

    if (f != NULL) {
        if (fgets(id, sizeof(id), f) == NULL)
            id[0] = '\0';
        (void)fclose(f);
    }
    if (id[0] == '\0' && gethostname(id, sizeof(id) - 1) != 0)
        id[0] = '\0';
    return hash_text(0xcbf29ce484222325ULL, id);
}
