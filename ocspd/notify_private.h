/*
 * What the station's files share: notify.c (tasks under way), notify_bind.c
 * (rows become outputs), notify_wish.c (what each output should have).
 */
#ifndef OCSPD_NOTIFY_PRIVATE_H
#define OCSPD_NOTIFY_PRIVATE_H

#include "ocspd/notify.h"
#include "ocspd/notify_kind.h"
#include "ocspd/notify_mark.h"
#include "ocspd/notify_trouble.h"
#include "shared/list.h"

#include <uthash.h>

/* Outputs of one certificate path share what it offers. */
struct source {
    char *path;
    struct notify_offer offer;
    bool has_offer;
    struct list outputs;
    UT_hash_handle hh;
};

/* What an output has: a response, or none. */
struct content {
    char fp[CERT_FINGERPRINT_SIZE]; /* "": none */
    char digest[65];
    int64_t ends_at;
};

struct output {
    char *key; /* the file, or what else makes it this one */
    UT_hash_handle hh;
    struct source *source; /* its certificate's */
    struct list in_source;
    const struct notify_kind *kind;
    int word; /* enum publish_kind */
    char *file;
    char *socket;
    char *changed;
    mode_t mode;
    unsigned bind; /* the pass that found its row */
    bool is_dropped; /* its row is gone */
    bool is_orphan; /* its certificate is gone, its row is there */
    unsigned clash; /* the last pass that found two certificates for it */

    unsigned form; /* counts what its row made of it */
    bool is_known; /* `has` is true; false: what an earlier run left */
    struct content has;
    char told[65]; /* digest of what the socket took */
    char left_fp[CERT_FINGERPRINT_SIZE]; /* had before; "": maybe any */
    int64_t left_ms; /* boot time */
    int64_t wait_ms; /* boot time: not before */
    unsigned stale; /* in a row: the spool had other bytes */
    int64_t unknown_ms; /* boot time: since when */
    struct notify_offer old; /* of the certificate that it has */
    bool has_old;
    struct notify_trouble writing;
    struct notify_trouble telling;
    bool is_busy;
};

/* Of all outputs to one socket, one at a time: a server that hangs holds one
 * thread, and is asked again later. */
struct lane {
    char *socket;
    bool is_busy;
    struct notify_trouble trouble;
    UT_hash_handle hh;
};

struct notify {
    uv_loop_t *loop;
    notify_changed *changed;
    void *ctx;
    struct notify_marks *marks;
    char *spool;
    struct source *sources;
    struct lane *lanes;
    struct output *outputs; /* by key */
    unsigned bind;
    char stranger[CERT_FINGERPRINT_SIZE]; /* whose bytes are not ours; "" */
    bool is_writing; /* files, in a worker */
    unsigned socket_tasks;
};

enum {
    NOTIFY_NEVER_BOUND = 1,
    NOTIFY_STUCK_MS = 30 * 1000 /* ours: so long one that fails is waited for */
};

enum notify_wish { WISH_AS_IS, WISH_NONE, WISH_CONTENT };

/* notify_bind.c */
struct source *
notify_find_source(const struct notify *notify, const char *path);
void notify_drop(struct notify *notify, struct output *output);

/* notify_wish.c. What is to be in the output at `now`; NULL offer: nothing. */
const struct notify_offer *notify_choose(const struct output *output);
enum notify_wish notify_wish(const struct output *output,
    const struct notify_offer *offer, int64_t now, struct content *content);

#endif
