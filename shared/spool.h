/*
 * The spool, version 1: the contract between the daemons (ocspd-spool(5)).
 *
 *   SPOOL/<fp>.der   the exact bytes of one OCSPResponse, mode 0644
 *   SPOOL/<fp>.json  what ocspd knows of it; consumers may read it to explain
 *
 * <fp> is cert_fingerprint() of the leaf. This module is the folder's only
 * reader and writer. Blocking; daemons call it from a worker thread (ocspd) or
 * with files that are in the page cache (wsgate).
 */
#ifndef SHARED_SPOOL_H
#define SHARED_SPOOL_H

#include "shared/buf.h"
#include "shared/cert.h"
#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stdint.h>

enum { SPOOL_VERSION = 1, SPOOL_NAME_SIZE = 64 + 5 + 1 /* fp ".json" NUL */ };

struct spool {
    char *path; /* owned */
    int dirfd; /* owned; -1 while closed */
};

/* The folder must exist. */
bool spool_open(struct spool *spool, const char *path, struct err *err);
void spool_close(struct spool *spool);
/*
 * One writer that tidies up: two of them would remove each other's files. Held
 * until spool_close(). ERR_CONFIG when another program has it.
 */
bool spool_lock(const struct spool *spool, struct err *err);

/* Is this file name one of ours ("<fp>.der")? Then *fp gets the digits. */
bool spool_is_der_name(struct span name, char fp[CERT_FINGERPRINT_SIZE]);

/* The side file. Strings are owned by the struct; NULL where unknown. Times are
 * Unix seconds, 0 where unknown. Unknown members of a newer writer are ignored. */
struct spool_meta {
    char *label; /* first DNS name, for people */
    char *cert_path;
    char *source; /* URL the response came from */
    char *status; /* "good" "revoked" "none" */
    char *der_sha256; /* hex; ties this file to one .der; NULL: none */
    char *last_error;
    char *last_error_kind; /* verdict word */
    int64_t this_update;
    int64_t next_update;
    int64_t life_end; /* when the .der will be removed at the latest */
    int64_t fetched_at;
    int64_t last_attempt;
    int64_t next_attempt;
    int64_t failures; /* in a row */
    int64_t not_after; /* of the certificate */
    int64_t replaced_at; /* its successor was ready; 0: it is in use */
    int64_t revoked_at; /* 0: not revoked */
    int revoked_reason;
    bool must_staple;
};
void spool_meta_fini(struct spool_meta *meta);
/* Appends the JSON text of a side file, and reads it back. A version that we do
 * not know is ERR_FORMAT. */
bool spool_meta_write(
    const struct spool_meta *meta, struct buf *out, struct err *err);
bool
spool_meta_parse(struct span json, struct spool_meta *out, struct err *err);

/* *der (initialised; max is the limit) gets the bytes. A missing file is
 * ERR_SYSTEM with ENOENT. */
bool spool_load(const struct spool *spool, const char *fp, struct buf *der,
    struct err *err);
bool spool_load_meta(const struct spool *spool, const char *fp,
    struct spool_meta *out, struct err *err);

/*
 * Writes <fp>.der by rename; equal bytes are not rewritten (*changed = false).
 * Call spool_sync() once after a batch.
 */
bool spool_store(const struct spool *spool, const char *fp, struct span der,
    bool *changed, struct err *err);
bool spool_store_meta(const struct spool *spool, const char *fp,
    const struct spool_meta *meta, struct err *err);
/* The .der alone; what is not there is no error. */
bool
spool_remove_der(const struct spool *spool, const char *fp, struct err *err);
/* Both files: the certificate is no longer under care. */
bool spool_remove(const struct spool *spool, const char *fp, struct err *err);
bool spool_sync(const struct spool *spool, struct err *err);
/* Temp files of a killed writer. */
bool spool_sweep(const struct spool *spool, struct err *err);

/* Calls back for every <fp>.der and every <fp>.json (once per fp); stops when
 * the callback answers false. */
bool spool_each(const struct spool *spool,
    bool (*on_entry)(void *ctx, const char *fp, bool has_der), void *ctx,
    struct err *err);

/* SHA-256 of bytes as 64 hex digits and a NUL: der_sha256 above. */
void spool_digest(struct span der, char out[65]);

#endif
