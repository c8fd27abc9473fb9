/*
 * Host + path + is it a WebSocket upgrade? -> rule. Longest literal prefix on
 * path segments wins ("/chat" matches "/chat" and "/chat/x", not "/chatter").
 * Pure; built once per generation, borrowed configuration.
 */
#ifndef WSGATE_ROUTE_ROUTE_H
#define WSGATE_ROUTE_ROUTE_H

#include "shared/err.h"
#include "shared/span.h"
#include "wsgate/gate_config.h"

#include <stdbool.h>
#include <stddef.h>

enum route_kind {
    ROUTE_NO_SITE, /* 421: no site for this host here */
    ROUTE_NO_HANDLER, /* 404 */
    ROUTE_UPGRADE_REFUSED, /* an upgrade where only plain handlers are: the
                              plain handler gets it as an ordinary request */
    ROUTE_UPGRADE_REQUIRED, /* 426: a plain request where only websocket is */
    ROUTE_WEBSOCKET,
    ROUTE_PROXY,
    ROUTE_FASTCGI,
    ROUTE_FILES
};

struct route_match {
    enum route_kind kind;
    size_t site; /* index into config->sites */
    size_t location; /* index into the site's locations */
    const struct gate_site *site_config; /* NULL: NO_SITE */
    const struct gate_location *location_config; /* NULL: NO_HANDLER */
};

struct route_table;

/* `config` is borrowed for the table's life. */
bool route_table_new(const struct gate_config *config, struct route_table **out,
    struct err *err);
void route_table_free(struct route_table *table);

/* Index of the site for a host (lower case, no port) on a listener address as
 * written in the configuration; (size_t)-1: none. "*" is the default. */
size_t route_site(const struct route_table *table, struct span host,
    const char *listen_address);
struct route_match route_find(const struct route_table *table, size_t site,
    struct span path, bool is_upgrade);

#endif
