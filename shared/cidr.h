/*
 * Address ranges ("10.0.0.0/8", "fd00::/8", a bare address = one host): parse
 * and match. IPv4-mapped IPv6 addresses match as their IPv4 form. Pure.
 */
#ifndef SHARED_CIDR_H
#define SHARED_CIDR_H

#include "shared/span.h"

#include <stdbool.h>
#include <sys/socket.h>

struct cidr {
    unsigned char address[16]; /* IPv4 stands as ::ffff:a.b.c.d */
    unsigned prefix; /* of the 128 bits */
};

/* False: not an address, prefix too long, or host bits set. */
bool cidr_parse(struct span text, struct cidr *out);
/* AF_INET and AF_INET6; false for other families. */
bool cidr_contains(const struct cidr *range, const struct sockaddr *address);

#endif
