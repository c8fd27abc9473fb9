/*
 * What the operator of ocspd wrote, as plain data: ocspd.yaml(5).
 * Input: a tree. Output: a struct, checked as a whole, const from then on.
 */
#ifndef OCSPD_OCSPD_CONFIG_H
#define OCSPD_OCSPD_CONFIG_H

#include "ocspd/ocspd_config_publish.h"
#include "shared/config_table.h"
#include "shared/err.h"

#include <stdbool.h>
#include <stdint.h>

enum on_revoked {
    ON_REVOKED_WITHDRAW, /* the staple is removed */
    ON_REVOKED_PUBLISH, /* the revoked response is spooled */
    ON_REVOKED_KEEP /* the last good one stays until its life ends */
};

/*
 * Keys that may stand in `defaults:` and in each `certificates:` row; a row
 * wins. In a row a string not given is NULL; numbers and truths not given have
 * been taken from the defaults already (ocspd_rule_over() joins both).
 */
struct ocspd_rule {
    char *issuer; /* file or folder of CA certificates */
    char *responder; /* URL; "" = this certificate is not asked about */
    char *signers; /* file: who else may sign for this issuer */
    char *proxy; /* URL or "none" */
    int on_revoked; /* enum on_revoked */
    bool allow_weak; /* legacy issuer: SHA-1, RSA 1024 */
    bool strict; /* refuse a delegate without ocsp-nocheck */
    int64_t max_age_ms; /* for responses without nextUpdate; 0: refuse */
    struct config_list publish; /* struct ocspd_publish; a row has its own copy
                                   of the defaults' */
};

struct ocspd_cert_row {
    char *path; /* absolute; file, folder or glob */
    struct ocspd_rule rule;
    struct config_mark mark;
};

struct ocspd_config {
    char *spool;
    char *changed_dir; /* NULL: beside us in /run, see notify */
    int64_t changed_interval_ms; /* 60 s: at least this between two touches */
    struct {
        int format; /* enum log_format */
        int level; /* enum log_level */
    } log;
    struct {
        int64_t connect_timeout_ms; /* 5 s */
        int64_t timeout_ms; /* 15 s, whole transfer */
        int64_t max_transfers; /* 16 */
        int64_t max_per_responder; /* 2 */
        int64_t probe_interval_ms; /* 12 h: at least so often */
        int64_t min_interval_ms; /* floor between two requests for one
                                       certificate, 60 s */
        bool public_only; /* RFC 1918 and ULA are refused too */
        struct config_strings allow_addresses; /* CIDRs */
    } fetch;
    struct ocspd_rule defaults;
    struct config_list certificates; /* struct ocspd_cert_row */
    struct config_tree *tree; /* owned; marks point into it */
};

extern const struct config_row ocspd_config_rows[];

/* New; ocspd_config_free(). */
bool
ocspd_config_load(const char *path, struct ocspd_config **out, struct err *err);
/* The no-file form: `ocspd --spool DIR CERT...`. `spool` may be NULL. */
bool ocspd_config_make(const char *spool, char *const *certs, int cert_count,
    struct ocspd_config **out, struct err *err);
void ocspd_config_free(struct ocspd_config *config);

/* A row over the defaults; the strings stay the config's. */
struct ocspd_rule ocspd_rule_over(
    const struct ocspd_rule *row, const struct ocspd_rule *defaults);

#endif
