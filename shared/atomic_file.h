/*
 * Whole files: written so that a reader sees the old bytes or the new ones,
 * read with a size limit. Blocking; daemons call it from a worker thread.
 */
#ifndef SHARED_ATOMIC_FILE_H
#define SHARED_ATOMIC_FILE_H

#include "shared/buf.h"
#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <sys/types.h>

/* Temp files are called ".NAME.XXXXXX": dot-names do not exist for consumers. */
#define ATOMIC_FILE_TEMP_PREFIX "."

/*
 * Writes `bytes` as dirfd/name: dot-file in the same folder, fchmod, write,
 * fsync, rename. The folder itself is not synced: atomic_file_sync_dir() once
 * per batch. On failure the old file stands and no temp file is left.
 */
bool atomic_file_write(int dirfd, const char *name, struct span bytes,
    mode_t mode, struct err *err);

bool atomic_file_sync_dir(int dirfd, struct err *err);

/* A file that is not there is no error. */
bool atomic_file_remove(int dirfd, const char *name, struct err *err);

/*
 * Reads a regular file whole into *out (initialised by the caller, emptied
 * first; its max is the limit: a larger file is ERR_LIMIT). dirfd may be
 * AT_FDCWD. Never blocks on a fifo.
 */
bool
atomic_file_read(int dirfd, const char *name, struct buf *out, struct err *err);

/*
 * Removes temp files that a killed writer left (".<anything>.XXXXXX" older than
 * min_age_s seconds); *removed gets their number and may be NULL.
 */
bool
atomic_file_sweep(int dirfd, int min_age_s, size_t *removed, struct err *err);

#endif
