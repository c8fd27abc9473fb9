/*
 * Accepted bytes -> spool, in worker threads of libuv; an older response never
 * replaces a newer one. Also removal at the end of life and the sweep.
 */
#ifndef OCSPD_PUBLISH_H
#define OCSPD_PUBLISH_H

#include "ocspd/target.h"
#include "shared/err.h"
#include "shared/span.h"
#include "shared/spool.h"

#include <stdbool.h>
#include <uv.h>

struct publish; /* the station: the spool and the queue towards it */

/* `keeper`: the daemon, which removes what it does not know: one per spool. */
struct publish *publish_new(
    uv_loop_t *loop, const char *spool_path, bool keeper, struct err *err);
/* Waits for what is queued. */
void publish_free(struct publish *publish);

typedef void publish_done(
    void *ctx, const char *fp, bool ok, bool changed, const struct err *err);

/*
 * Queues one change for `target`: der empty = only the side file is written;
 * remove_der = the staple is withdrawn. Bytes and facts are copied. Changes of
 * one fingerprint keep their order; each batch ends with one folder fsync.
 */
bool publish_change(struct publish *publish, const struct target *target,
    struct span der, bool remove_der, const char *source, const char *error,
    publish_done *done, void *ctx);
/* The certificate left: both files go. */
bool publish_retire(
    struct publish *publish, const char *fp, publish_done *done, void *ctx);
/* Blocking; for start and for `ocspd fetch`. */
const struct spool *publish_spool(const struct publish *publish);

#endif
