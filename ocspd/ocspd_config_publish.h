/*
 * The rows of `publish:`: what is written for other servers, one kind per row
 * of a table. Part of ocspd_config; the station that does it is notify.
 */
#ifndef OCSPD_OCSPD_CONFIG_PUBLISH_H
#define OCSPD_OCSPD_CONFIG_PUBLISH_H

#include "shared/config_table.h"
#include "shared/err.h"

#include <stdbool.h>
#include <sys/types.h>

enum publish_kind {
    PUBLISH_FILE, /* the DER under a stable name */
    PUBLISH_NGINX, /* a snippet that names the spool's file */
    PUBLISH_HAPROXY, /* PEM.ocsp, and its admin socket */
    PUBLISH_CHANGED, /* nothing but the word that it changed */
    PUBLISH_KINDS
};

enum { PUBLISH_NAME_MAX = 64 /* ours: of `changed:`, a unit's instance */ };

struct ocspd_publish {
    int kind; /* enum publish_kind */
    char *file; /* absolute; its name may hold %n and %%; NULL: none */
    char *socket; /* absolute; NULL: none */
    char *changed; /* NULL: none */
    char *mode; /* octal, "0644" */
    struct config_mark mark;
};

extern const char *const publish_kind_words[]; /* ends with NULL */
extern const struct config_row ocspd_publish_rows[];

/* One list of them, as `defaults:` or a certificate's row has it. */
bool ocspd_publish_check(const struct config_list *list, struct err *err);
/* Its file is not in the spool, which holds nothing but responses. */
bool ocspd_publish_outside(
    const struct ocspd_publish *row, const char *spool, struct err *err);
/* Nor is it the certificate itself. */
bool ocspd_publish_spares(
    const struct ocspd_publish *row, const char *cert_path, struct err *err);
/* New items; freed with the table that the list belongs to. */
bool ocspd_publish_copy(
    const struct config_list *from, struct config_list *to, struct err *err);
/*
 * New: the file for the certificate at cert_path: %n becomes its name without
 * .pem, .crt, .cer or .der. NULL: there is no file, or no memory.
 */
char *
ocspd_publish_file(const struct ocspd_publish *row, const char *cert_path);
mode_t ocspd_publish_mode(const struct ocspd_publish *row);

#endif
