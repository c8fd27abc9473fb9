/*
 * Spool watch -> the response to staple for a certificate.
 * Input: files of the spool, told by inotify and a slow tick. Output: checked
 * bytes per certificate; a line in the log when they come or go.
 */
#include "wsgate/tls/staple.h"

#include "shared/list.h"
#include "shared/log.h"
#include "shared/spool.h"
#include "shared/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    STAPLE_BUCKETS = 1024, /* ours: thousands of certificates */
    STAPLE_REMIND_S = 3600, /* ours: a lasting failure hourly */
    STAPLE_RESCAN_S = 60, /* ours: what has no staple is looked for */
    STAPLE_TICK_S = 10 /* how often staple_set_on_tick() comes */
};

struct staple_entry {
    struct list node;
    unsigned refs;
    char fp[CERT_FINGERPRINT_SIZE];
    char *label;
    struct cert_ids ids;
    X509 *issuer; /* referenced */
    STACK_OF(X509) * signers; /* referenced, may be NULL */
    bool allow_weak;
    unsigned char *der; /* owned; NULL: none */
    size_t der_len;
    struct ocsp_single single;
    int64_t valid_until;
    int64_t said_at; /* the problem was last logged; 0: no problem is known */
    char problem[ERR_TEXT_SIZE];
};

struct staple_set {
    char *path;
    struct watch *watch; /* NULL: inotify was refused, the tick does it */
    int silent_fd; /* polled in its place then; else -1 */
    struct spool spool; /* dirfd -1 while the folder is away */
    struct list buckets[STAPLE_BUCKETS];
};

/* ---- entries -------------------------------------------------------------- */

/* Fingerprints are hash values already: their first digits choose the list. */
static struct list *
bucket_of(struct staple_set *set, const char *fp)
{
    uint64_t digits = 0;

    (void)span_hex_to_u64(span_sub(span_str(fp), 0, 8), UINT32_MAX, &digits);
    return &set->buckets[digits % STAPLE_BUCKETS];
}

static bool
same_signers(const STACK_OF(X509) * a, const STACK_OF(X509) * b)
{
    int count = a == NULL ? 0 : sk_X509_num(a);

    if (count != (b == NULL ? 0 : sk_X509_num(b)))
        return false;
    for (int i = 0; i < count; i++)
        if (X509_cmp(sk_X509_value(a, i), sk_X509_value(b, i)) != 0)
            return false;
    return true;
}

/* After a reload the old generation lives on as long as its tunnels: what each
 * trusts is judged apart. */
static struct staple_entry *
find(struct staple_set *set, const char *fp, const struct ocsp_trust *trust)
{
    struct list *bucket = bucket_of(set, fp);

    LIST_EACH(bucket, it)
    {
        struct staple_entry *entry = LIST_ENTRY(it, struct staple_entry, node);

        if (strcmp(entry->fp, fp) == 0 &&
            entry->allow_weak == trust->allow_weak &&
            X509_cmp(entry->issuer, trust->issuer) == 0 &&
            same_signers(entry->signers, trust->signers))
            return entry;
    }
    return NULL;
}

static void
entry_free(struct staple_entry *entry)
{
    if (entry == NULL)
        return;
    list_remove(&entry->node);
    X509_free(entry->issuer);
    cert_stack_free(entry->signers);
    free(entry->der);
    free(entry->label);
    free(entry);
}

static struct staple_entry *
entry_new(const char *fp, const struct cert_ids *ids,
    const struct ocsp_trust *trust, const char *label)
{
    struct staple_entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    list_init(&entry->node);
    entry->refs = 1;
    (void)snprintf(entry->fp, sizeof(entry->fp), "%s", fp);
    entry->ids = *ids;
    entry->allow_weak = trust->allow_weak;
    (void)X509_up_ref(trust->issuer);
    entry->issuer = trust->issuer;
    if (trust->signers != NULL)
        entry->signers =
            X509_chain_up_ref((STACK_OF(X509) *)(uintptr_t)trust->signers);
    entry->label = strdup(label);
    if (entry->label == NULL ||
        (trust->signers != NULL && entry->signers == NULL)) {
        entry_free(entry);
        return NULL;
    }
    return entry;
}

/* ---- coming and going ----------------------------------------------------- */

static void
time_text(int64_t unix_s, char out[32])
{
    time_t t = (time_t)unix_s;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL ||
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        (void)snprintf(out, 32, "%lld", (long long)unix_s);
}

/* Said when it starts and hourly: clients get no staple meanwhile. */
static void
say_problem(struct staple_entry *entry, int64_t now)
{
    if (entry->said_at != 0 && now - entry->said_at < STAPLE_REMIND_S &&
        now >= entry->said_at)
        return;
    entry->said_at = now;
    log_warn("no staple", LOG_S("certificate", entry->label),
        LOG_S("fingerprint", entry->fp), LOG_S("error", entry->problem));
}

static void
drop(struct staple_entry *entry)
{
    free(entry->der);
    entry->der = NULL;
    entry->der_len = 0;
    entry->valid_until = 0;
}

static bool
is_current(const struct staple_entry *entry, int64_t now)
{
    return entry->der != NULL && now < entry->valid_until &&
           now >= entry->single.this_update - OCSP_SKEW_S;
}

static void
adopt(struct staple_entry *entry, struct buf *der,
    const struct ocsp_single *single, int64_t valid_until)
{
    bool is_first = entry->der == NULL || entry->said_at != 0;
    char until[32];

    free(entry->der);
    entry->der = buf_take(der, &entry->der_len);
    entry->single = *single;
    entry->valid_until = valid_until;
    entry->problem[0] = 0;
    entry->said_at = 0;
    time_text(valid_until, until);
    if (is_first)
        log_info("staple loaded", LOG_S("certificate", entry->label),
            LOG_S("status", ocsp_cert_status_word(single->status)),
            LOG_S("until", until));
    else
        log_debug("staple renewed", LOG_S("certificate", entry->label),
            LOG_S("until", until));
}

/* RFC 6960 2.2 "unknown" tells a client nothing that helps it. */
static bool
check(const struct staple_entry *entry, struct span der, int64_t now,
    struct ocsp_single *single, int64_t *valid_until, struct err *err)
{
    const struct ocsp_trust trust = {.issuer = entry->issuer,
        .signers = entry->signers,
        .allow_weak = entry->allow_weak};

    if (!ocsp_response_usable(
            der, &entry->ids, &trust, now, single, valid_until, err))
        return false;
    if (single->status == OCSP_CERT_UNKNOWN)
        return err_set(
            err, ERR_REJECTED, "the responder does not know the certificate");
    return true;
}

/* Why there is nothing new; bad bytes replace nothing. */
static void
refuse(struct staple_entry *entry, const char *why, int64_t now)
{
    if (is_current(entry, now)) {
        log_warn("bad response in the spool, the old one stays",
            LOG_S("certificate", entry->label), LOG_S("error", why));
        return;
    }
    drop(entry);
    (void)snprintf(entry->problem, sizeof(entry->problem), "%s", why);
    say_problem(entry, now);
}

/* A file that went was withdrawn, and so is the staple. */
static void
withdraw(struct staple_entry *entry, int64_t now)
{
    drop(entry);
    refuse(entry, "the spool has no response for it", now);
}

static bool
is_same(const struct staple_entry *entry, const struct buf *der)
{
    return entry->der != NULL &&
           span_eq(span_make(entry->der, entry->der_len), buf_span(der));
}

static void
load_file(struct staple_set *set, struct staple_entry *entry, int64_t now)
{
    struct err err = {.kind = ERR_NONE};
    struct ocsp_single single;
    int64_t valid_until = 0;
    struct buf der;

    buf_init(&der, OCSP_RESPONSE_MAX);
    if (!spool_load(&set->spool, entry->fp, &der, &err)) {
        if (err.kind == ERR_SYSTEM && err.sys_errno == ENOENT)
            withdraw(entry, now);
        else
            refuse(entry, err.text, now);
    } else if (!is_same(entry, &der) || !is_current(entry, now)) {
        if (check(entry, buf_span(&der), now, &single, &valid_until, &err))
            adopt(entry, &der, &single, valid_until);
        else
            refuse(entry, err.text, now);
    }
    buf_fini(&der);
}

/* Of all certificates at once: the master said so at the start, on_gone() says
 * it later. What is left of it here is the hourly reminder. */
static void
miss_spool(struct staple_entry *entry, const struct err *err, int64_t now)
{
    drop(entry);
    (void)snprintf(entry->problem, sizeof(entry->problem), "%s", err->text);
    if (entry->said_at == 0)
        entry->said_at = now;
    say_problem(entry, now);
}

/* While the folder is away, what we have serves until it runs out. */
static void
load(struct staple_set *set, struct staple_entry *entry, int64_t now)
{
    struct err err;

    if (set->spool.dirfd >= 0 || spool_open(&set->spool, set->path, &err))
        load_file(set, entry, now);
    else if (!is_current(entry, now))
        miss_spool(entry, &err, now);
}

/* ---- the folder ----------------------------------------------------------- */

static void
each(struct staple_set *set, int64_t now,
    void (*what)(struct staple_set *, struct staple_entry *, int64_t))
{
    for (size_t i = 0; i < STAPLE_BUCKETS; i++)
        LIST_EACH(&set->buckets[i], it)
    what(set, LIST_ENTRY(it, struct staple_entry, node), now);
}

static void
close_spool(struct staple_set *set)
{
    if (set->spool.dirfd >= 0)
        spool_close(&set->spool);
    set->spool = (struct spool){.path = NULL, .dirfd = -1};
}

static void
on_name(struct staple_set *set, const char *name, int64_t now)
{
    char fp[CERT_FINGERPRINT_SIZE];
    struct list *bucket;

    if (!spool_is_der_name(span_str(name), fp))
        return;
    bucket = bucket_of(set, fp);
    LIST_EACH(bucket, it)
    {
        struct staple_entry *entry = LIST_ENTRY(it, struct staple_entry, node);

        if (strcmp(entry->fp, fp) == 0)
            load(set, entry, now);
    }
}

/* The folder may be another one now: look at all of it anew. */
static void
rescan(struct staple_set *set, int64_t now)
{
    close_spool(set);
    each(set, now, load);
}

/* One that was there. */
static void
on_gone(struct staple_set *set)
{
    if (set->spool.dirfd >= 0)
        log_warn("the spool is gone: is ocspd running? staples serve until "
                 "they run out",
            LOG_S("spool", set->path));
    close_spool(set);
}

void
staple_set_on_readable(struct staple_set *set, int64_t now)
{
    struct watch_event event;

    while (set->watch != NULL && watch_next(set->watch, &event)) {
        switch (event.kind) {
        case WATCH_NAME:
            on_name(set, event.name, now);
            break;
        case WATCH_RESCAN:
            rescan(set, now);
            break;
        case WATCH_GONE:
            on_gone(set);
            break;
        }
    }
}

/* Looks again at what has no staple, and at all where nothing watches. */
static void
tick_entry(struct staple_set *set, struct staple_entry *entry, int64_t now)
{
    bool is_due = now % STAPLE_RESCAN_S < STAPLE_TICK_S;

    if (is_current(entry, now)) {
        if (set->watch == NULL && is_due)
            load(set, entry, now);
        return;
    }
    if (entry->der != NULL || is_due)
        load(set, entry, now); /* one that ran out tells why in refuse() */
    else
        say_problem(entry, now);
}

void
staple_set_on_tick(struct staple_set *set, int64_t now)
{
    if (set->watch != NULL) {
        watch_verify(set->watch);
        staple_set_on_readable(set, now);
    }
    each(set, now, tick_entry);
}

/* ---- life ----------------------------------------------------------------- */

struct staple_set *
staple_set_new(const char *spool_path, struct err *err)
{
    struct staple_set *set = calloc(1, sizeof(*set));
    struct err why;

    if (set == NULL || (set->path = strdup(spool_path)) == NULL) {
        free(set);
        (void)err_memory(err);
        return NULL;
    }
    set->spool.dirfd = -1;
    for (size_t i = 0; i < STAPLE_BUCKETS; i++)
        list_init(&set->buckets[i]);
    set->silent_fd = -1;
    set->watch = watch_new(spool_path, &why);
    if (set->watch == NULL) {
        log_warn("spool cannot be watched, it is looked at every minute",
            LOG_S("spool", spool_path), LOG_ERR(&why));
        set->silent_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    return set;
}

static void
free_entry(struct staple_set *set, struct staple_entry *entry, int64_t now)
{
    (void)set;
    (void)now;
    entry_free(entry);
}

void
staple_set_free(struct staple_set *set)
{
    if (set == NULL)
        return;
    each(set, 0, free_entry);
    close_spool(set);
    watch_free(set->watch);
    if (set->silent_fd >= 0)
        (void)close(set->silent_fd);
    free(set->path);
    free(set);
}

int
staple_set_fd(const struct staple_set *set)
{
    return set->watch == NULL ? set->silent_fd : watch_fd(set->watch);
}

struct staple_entry *
staple_track(struct staple_set *set, const char *fp, const struct cert_ids *ids,
    const struct ocsp_trust *trust, const char *label, int64_t now,
    struct err *err)
{
    struct staple_entry *entry = find(set, fp, trust);

    if (entry != NULL) {
        entry->refs++;
        return entry;
    }
    entry = entry_new(fp, ids, trust, label);
    if (entry == NULL) {
        (void)err_memory(err);
        return NULL;
    }
    list_add_last(bucket_of(set, fp), &entry->node);
    load(set, entry, now);
    return entry;
}

void
staple_untrack(struct staple_set *set, struct staple_entry *entry)
{
    (void)set;
    if (entry != NULL && --entry->refs == 0)
        entry_free(entry);
}

/* ---- answers -------------------------------------------------------------- */

struct span
staple_current(const struct staple_entry *entry, int64_t now)
{
    if (entry == NULL || !is_current(entry, now))
        return SPAN_EMPTY;
    return span_make(entry->der, entry->der_len);
}

bool
staple_is_revoked(const struct staple_entry *entry)
{
    return entry != NULL && entry->der != NULL &&
           entry->single.status == OCSP_CERT_REVOKED;
}

int64_t
staple_valid_until(const struct staple_entry *entry)
{
    return entry == NULL ? 0 : entry->valid_until;
}

const char *
staple_problem(const struct staple_entry *entry)
{
    return entry == NULL ? "no response is looked for" : entry->problem;
}

/* ---- of certificates not in use -------------------------------------------- */

bool
staple_probe(const char *spool_path, const char *fp, const struct cert_ids *ids,
    const struct ocsp_trust *trust, int64_t now, bool *is_revoked,
    struct err *err)
{
    const struct staple_entry asked = {.ids = *ids,
        .issuer = trust->issuer,
        .signers = (STACK_OF(X509) *)(uintptr_t)trust->signers,
        .allow_weak = trust->allow_weak};
    struct spool spool = {.path = NULL, .dirfd = -1};
    struct ocsp_single single;
    int64_t valid_until = 0;
    struct buf der;
    bool ok;

    if (!spool_open(&spool, spool_path, err))
        return false;
    buf_init(&der, OCSP_RESPONSE_MAX);
    ok = spool_load(&spool, fp, &der, err) &&
         check(&asked, buf_span(&der), now, &single, &valid_until, err);
    if (ok)
        *is_revoked = single.status == OCSP_CERT_REVOKED;
    buf_fini(&der);
    spool_close(&spool);
    return ok;
}
