/*
 * The files of certificates as they are on disk, beside the bytes in force.
 * Each file is read once, so that what was judged is what is taken. Private
 * keys are among them: every copy is wiped.
 */
#ifndef WSGATE_PROCESS_PAIR_FILES_H
#define WSGATE_PROCESS_PAIR_FILES_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/process/bundle.h"

#include <stdbool.h>
#include <stddef.h>

struct pair_file {
    int number; /* from 0, in the order they were asked for */
    bool is_read; /* else err says why not */
    struct span disk;
    struct span old; /* data NULL: the release in force does not have it */
    bool is_changed; /* disk is not old; an unreadable one is changed */
    bool is_taken; /* disk goes into the next release, else old */
    struct err err;
};

struct pair_files;

/* Should the file be read? False: it is as it was when last read. */
typedef bool pair_files_suspect(void *ctx, const char *path);

/* `old` (borrowed) is the bundle in force, NULL at start; `suspect` NULL: read
 * all. */
struct pair_files *pair_files_new(struct bundle *old,
    pair_files_suspect *suspect, void *ctx, struct err *err);
void pair_files_free(struct pair_files *files);
/* Borrowed; reads it when it is asked for first. NULL: no memory. */
struct pair_file *pair_files_get(struct pair_files *files, const char *path);
int pair_files_count(const struct pair_files *files);

/* What the next release gets of that file: the disk's bytes if taken or if
 * there are no others, else those in force. */
bundle_source pair_files_source;

/* A key that everybody may read is said, no more. */
void pair_files_warn_open(const char *key_path);

#endif
