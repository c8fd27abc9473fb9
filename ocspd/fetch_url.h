/*
 * URLs taken apart by curl's own parser, so that what is screened is what curl
 * would connect to. Pure; used by fetch alone.
 */
#ifndef OCSPD_FETCH_URL_H
#define OCSPD_FETCH_URL_H

#include <stdbool.h>

struct fetch_url {
    char *scheme; /* all owned by curl: fetch_url_fini() */
    char *host;
    char *port; /* the scheme's own when none is written */
};

/* False: not a whole http or https URL. */
bool fetch_url_read(const char *url, struct fetch_url *out);
void fetch_url_fini(struct fetch_url *parts);

/* New "host:port", or a copy of the text when it is no URL; NULL: no memory. */
char *fetch_url_responder(const char *url);

#endif
