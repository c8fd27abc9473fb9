/*
 * One look at every certificate of a configuration: what is new on disk, is it
 * of use, and what becomes of it (pair_judge).
 */
#ifndef WSGATE_PROCESS_PAIR_LOOK_H
#define WSGATE_PROCESS_PAIR_LOOK_H

#include "shared/cert.h"
#include "shared/err.h"
#include "wsgate/gate_config.h"
#include "wsgate/process/pair_files.h"
#include "wsgate/process/pair_judge.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pair_row {
    const struct gate_certificate *row; /* borrowed from the configuration */
    const char *site; /* its first host; borrowed */
    enum pair_verdict verdict;
    char why[ERR_TEXT_SIZE]; /* what it waits for, in words */
    char fp[CERT_FINGERPRINT_SIZE]; /* of the new leaf; "": unknown */
    int64_t not_after; /* of the new leaf; 0: unknown */
    int64_t old_not_after; /* 0: unknown */
};

struct pair_look {
    struct pair_row *rows; /* in the order of sites and certificates */
    size_t count;
    size_t taken;
    struct pair_files *files; /* owned; pair_files_source() is what is to be */
};

/*
 * New; pair_look_free(). `config` and `old` (the bundle in force, NULL: none)
 * are borrowed for its life. `suspect` as pair_files_new(). False: no memory;
 * whatever is wrong with a file is a row's verdict.
 */
bool pair_look_new(const struct gate_config *config, struct bundle *old,
    pair_files_suspect *suspect, void *ctx, enum pair_asker asker, int64_t now,
    struct pair_look **out, struct err *err);
void pair_look_free(struct pair_look *look);

/* Every row of `certificates` in order; stops when the callback says no. */
typedef bool pair_row_fn(void *ctx, const struct gate_site *site,
    const struct gate_certificate *row);
bool
pair_each_row(const struct gate_config *config, pair_row_fn *fn, void *ctx);
size_t pair_row_count(const struct gate_config *config);
/* chain, key (NULL: in the chain file), issuer, signers; NULL: none. */
void pair_row_paths(
    const struct gate_certificate *row, const char *paths[PAIR_ROW_FILES]);

#endif
