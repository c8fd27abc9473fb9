/*
 * Which addresses may a URL from a certificate make us connect to (2 of
 * contrib/doc/ocsp-rules.md)? A certificate is somebody else's text: without this, whoever writes an
 * AIA URL chooses where our requests go. Pure.
 */
#ifndef OCSPD_FETCH_SCREEN_H
#define OCSPD_FETCH_SCREEN_H

#include "shared/cidr.h"
#include "shared/config_table.h"
#include "shared/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct fetch_screen {
    struct cidr *allow; /* owned */
    size_t allow_count;
    bool public_only; /* RFC 1918, ULA and their like are refused too */
};

/* ERR_CONFIG names the item of `allow` that is no address range. `allow` may
 * be NULL. */
bool fetch_screen_init(struct fetch_screen *screen,
    const struct config_strings *allow, bool public_only, struct err *err);
void fetch_screen_fini(struct fetch_screen *screen);

/* An IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4) is
 * judged as the IPv4 address it reaches. */
bool fetch_screen_refuses(
    const struct fetch_screen *screen, const struct sockaddr *address);

/*
 * A host as it stands in a URL, for requests that a proxy resolves: refuses
 * what is refused as an address, and the name "localhost"; other names pass.
 */
bool
fetch_screen_refuses_host(const struct fetch_screen *screen, const char *host);

#endif
