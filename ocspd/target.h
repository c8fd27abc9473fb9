/*
 * One certificate under care: the plain struct that travels through the
 * stations. Kept as CertID hashes, times and indexes, not as X509 or DER: ten
 * thousand of them are cheap. Its issuer is shared and counted.
 */
#ifndef OCSPD_TARGET_H
#define OCSPD_TARGET_H

#include "ocspd/ocspd_config.h"
#include "ocspd/verdict.h"
#include "shared/cert.h"
#include "shared/list.h"
#include "shared/ocsp_response.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

/* Why nothing is asked about a certificate (said once, not each cycle). */
enum target_mode {
    TARGET_OCSP, /* fetched and spooled */
    TARGET_NO_URL, /* no OCSP URL, no responder configured */
    TARGET_EXPIRED, /* the certificate itself is out of date */
    TARGET_NO_ISSUER, /* issuer not found: retried when files change */
    TARGET_DISABLED /* responder: "" */
};

/* One issuing CA and its operator-listed signers, shared by its targets. */
struct issuer {
    X509 *cert;
    STACK_OF(X509) * signers; /* NULL: none listed */
    unsigned refs;
};

/* What is known from responses; Unix seconds, 0 = unknown. Part of it survives
 * restarts through the spool's side file. */
struct target_state {
    bool has_staple; /* a .der of ours is in the spool */
    enum ocsp_cert_status status; /* of the newest accepted response */
    int64_t this_update;
    int64_t next_update;
    int64_t life_end;
    int64_t revoked_at;
    int revoked_reason;
    int64_t fetched_at;
    int64_t last_attempt;
    int64_t next_attempt; /* decided by schedule */
    unsigned failures; /* in a row */
    int64_t retry_after; /* the responder's own wish: not before; 0: none */
    int64_t max_age_until; /* HTTP freshness; 0: none */
    int64_t replaced_at; /* its successor was ready; 0: in use */
    enum verdict last_verdict;
    char der_sha256[65]; /* of the bytes in the spool; "" none */
};

struct target {
    char fp[CERT_FINGERPRINT_SIZE];
    char *label; /* first DNS name */
    char *path; /* file it was found in */
    enum target_mode mode;
    struct cert_ids ids; /* filled when the issuer is known */
    struct issuer *issuer; /* counted; NULL: TARGET_NO_ISSUER */
    char **urls; /* responder override, or the AIA URLs in order */
    unsigned url_count;
    unsigned url_good; /* index of the one that answered last */
    struct ocspd_rule rule; /* row over defaults; strings borrowed from the
                                config in force */
    int64_t not_before;
    int64_t not_after;
    int64_t first_seen;
    bool must_staple;
    double jitter; /* [0,1): hash(host seed, fingerprint) */
    bool use_sha256; /* the responder knows only SHA-256 CertIDs */
    bool use_post; /* GET failed where POST worked */
    struct target_state state;
    bool is_busy; /* a request is under way */
    bool is_gone; /* retired while busy: freed when it returns */
    struct list node; /* in the cycle's list */
};

struct issuer *issuer_ref(struct issuer *issuer);
void issuer_unref(struct issuer *issuer);
void target_free(struct target *target);
/* From the rule, the end, the URLs and the issuer. */
void target_choose_mode(struct target *target, int64_t now);
/*
 * The time alone changed: a certificate that ends becomes TARGET_EXPIRED, and
 * with a clock set back it is what it was. Answers whether the mode changed.
 */
bool target_judge_time(struct target *target, int64_t now);
/* Word for logs and status: "ocsp" "none" "expired" "no-issuer" "disabled". */
const char *target_mode_word(enum target_mode mode);

#endif
