/*
 * Spool watch -> the response to staple for a certificate. A response is taken
 * only when it is the certificate's own, signed by the right party and valid
 * now; a bad, missing or unreadable spool never stops anybody.
 */
#ifndef WSGATE_TLS_STAPLE_H
#define WSGATE_TLS_STAPLE_H

#include "shared/cert.h"
#include "shared/err.h"
#include "shared/ocsp_response.h"
#include "shared/span.h"

#include <stdbool.h>
#include <stdint.h>

struct staple_set; /* one per worker */
struct staple_entry; /* one per tracked certificate, counted */

/* New. The folder need not exist. */
struct staple_set *staple_set_new(const char *spool_path, struct err *err);
void staple_set_free(struct staple_set *set);
/* To be polled by the worker; readable: staple_set_on_readable(). */
int staple_set_fd(const struct staple_set *set);
void staple_set_on_readable(struct staple_set *set, int64_t now);
/* Slow net under inotify: call every 10 s. Also logs a staple that ran out. */
void staple_set_on_tick(struct staple_set *set, int64_t now);

/*
 * Starts to care for a certificate and loads what is there. The same
 * fingerprint with the same trust is tracked once and counted. X509s are
 * referenced.
 */
struct staple_entry *staple_track(struct staple_set *set, const char *fp,
    const struct cert_ids *ids, const struct ocsp_trust *trust,
    const char *label, int64_t now, struct err *err);
void staple_untrack(struct staple_set *set, struct staple_entry *entry);

/* The response to staple at `now` (Unix seconds), borrowed until the loop
 * turns; empty when there is none or it is out of date: better no staple than
 * a stale one. */
struct span staple_current(const struct staple_entry *entry, int64_t now);
/* Does it say that the certificate is revoked? (Stapled only by "prefer".) */
bool staple_is_revoked(const struct staple_entry *entry);
/* When the response runs out, Unix seconds; 0: there is none. */
int64_t staple_valid_until(const struct staple_entry *entry);
/* Why there is none, for status and logs; "" when there is one. */
const char *staple_problem(const struct staple_entry *entry);

/*
 * Would a worker find a response to staple for this certificate? Looked up once
 * and not kept, for certificates that are not in use yet. False: why not. What
 * is there may say "revoked".
 */
bool staple_probe(const char *spool_path, const char *fp,
    const struct cert_ids *ids, const struct ocsp_trust *trust, int64_t now,
    bool *is_revoked, struct err *err);

#endif
