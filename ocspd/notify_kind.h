/*
 * The kinds of outputs, one row each: what is written, when relative to the
 * spool, and whom to tell. The functions run in worker threads and block.
 */
#ifndef OCSPD_NOTIFY_KIND_H
#define OCSPD_NOTIFY_KIND_H

#include "ocspd/ocspd_config.h"
#include "shared/cert.h"
#include "shared/err.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum notify_pace {
    NOTIFY_OWN_BYTES, /* holds the response itself: with or without the spool */
    NOTIFY_BEFORE_SPOOL, /* names the spool's file: is there only while that is,
                            and gone before it goes */
    NOTIFY_AFTER_SPOOL /* sends others to the spool: after each change there */
};

enum notify_end {
    NOTIFY_DONE,
    NOTIFY_FAILED, /* err */
    NOTIFY_STALE /* what was to be published has changed meanwhile */
};

/* One step for one output: plain facts for the worker, and what came of it. */
struct notify_task {
    const struct notify_kind *kind;
    char *file; /* this and what follows are owned; NULL: none */
    char *socket;
    char *spool;
    char *mark; /* path of what is touched on a change */
    char *label;
    mode_t mode;
    char fp[CERT_FINGERPRINT_SIZE]; /* "": nothing is to be published */
    char digest[65]; /* of the response */
    int64_t ends_at; /* of the response; Unix seconds */
    unsigned char *der; /* owned; NULL: the spool has it */
    size_t der_len;
    bool is_first; /* what an earlier run did is unknown */

    enum notify_end end;
    bool is_changed; /* whoever reads it must read it again */
    struct err err;
};

struct notify_kind {
    enum notify_pace pace;
    int64_t lead_s; /* withdrawn so long before the spool's file goes */
    int64_t least_life_s; /* whoever is told serves nothing in its last so many
                             seconds; 0: serves it to its end */
    void (*apply)(struct notify_task *task);
    void (*tell)(struct notify_task *task); /* NULL: nobody */
};

extern const struct notify_kind notify_kinds[PUBLISH_KINDS];

void notify_task_fini(struct notify_task *task);

#endif
