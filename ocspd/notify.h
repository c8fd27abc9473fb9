/*
 * What other servers need to take a response: the rows of `publish:` brought up
 * to date, each for itself, in worker threads. The station compares what each
 * output has with what it should have; nobody need tell it of single events.
 */
#ifndef OCSPD_NOTIFY_H
#define OCSPD_NOTIFY_H

#include "ocspd/target.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct notify;
typedef void notify_changed(void *ctx);

/* changed: something ended, tend again. NULL: no memory. */
struct notify *notify_new(uv_loop_t *loop, notify_changed *changed, void *ctx);
/* Waits for what is under way (seconds at most), drops what is not. */
void notify_free(struct notify *notify);

/*
 * The outputs of the configuration, in three steps: begin, one call for each
 * certificate found (and for those in doubt), end. What an output has is kept
 * when it comes again. Without its certificate it is emptied; without its row
 * it is left as it is on disk, but for what names a file of the spool. False: no
 * memory.
 */
bool
notify_bind_begin(struct notify *notify, const struct ocspd_config *config);
bool notify_bind(struct notify *notify, const struct target *target);
/* Its row is unknown at the moment: its outputs stay. After all notify_bind. */
void notify_bind_keep(struct notify *notify, const char *cert_path);
void notify_bind_end(struct notify *notify, const struct ocspd_config *config);

/* A certificate that left while nobody looked: what its rows wrote is emptied. */
void notify_bind_lost(struct notify *notify, const struct ocspd_config *config,
    const char *cert_path);

/* What a certificate has to offer. Texts and bytes are borrowed until
 * notify_tend() has returned. */
struct notify_offer {
    const char *fp;
    const char *label;
    const char *path;
    const char *digest; /* of the response; "": not known */
    struct span der; /* waits for the spool; empty: the spool has it */
    bool in_spool; /* a .der is there */
    bool is_leaving; /* and about to go */
    bool is_gone; /* the certificate has been replaced */
    int64_t this_update; /* of the response; Unix seconds */
    int64_t life_end;
    int64_t removal_at; /* the spool's file goes at the latest */
};

/* One call per certificate, then tend: starts what is to be done, and answers
 * when (boot ms) to come again at the latest, 0: any time. */
void notify_offer(struct notify *notify, const struct notify_offer *offer);
int64_t notify_tend(struct notify *notify, int64_t now);

/*
 * The spool has other bytes than were offered, for a while now: somebody else
 * wrote there (`ocspd fetch`). Whose file it is; once. False: there is none.
 */
bool
notify_take_stranger(struct notify *notify, char fp[CERT_FINGERPRINT_SIZE]);

/*
 * May SPOOL/<fp>.der go, as far as outputs that name it are concerned? They let
 * go when it is offered as leaving; whoever was reading gets a moment. An
 * output that cannot be changed holds nothing up for long.
 */
bool notify_may_remove(const struct notify *notify, const char *fp);

#endif
