/*
 * Address ranges: parse and match.
 * Input: configuration text, socket addresses. Output: is it inside?
 */
#include "shared/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { MAPPED_BITS = 96 /* RFC 4291 2.5.5.2 */ };

static void
map_ipv4(const void *ipv4, unsigned char out[16])
{
    memset(out, 0, 10);
    memset(out + 10, 0xff, 2);
    memcpy(out + 12, ipv4, 4);
}

static bool
bits_equal(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

static bool
has_host_bits(const struct cidr *range)
{
    for (unsigned bit = range->prefix; bit < 128; bit++)
        if (range->address[bit / 8] & (0x80 >> (bit % 8)))
            return true;
    return false;
}

bool
cidr_parse(struct span text, struct cidr *out)
{
    size_t slash = span_find(text, '/');
    struct cidr range = {.prefix = 128};
    char address[INET6_ADDRSTRLEN];
    struct in_addr ipv4;
    unsigned offset = 0;
    uint64_t prefix;

    if (!span_to_cstr(span_sub(text, 0, slash), address, sizeof(address)))
        return false;
    if (inet_pton(AF_INET, address, &ipv4) == 1) {
        map_ipv4(&ipv4, range.address);
        offset = MAPPED_BITS;
    } else if (inet_pton(AF_INET6, address, range.address) != 1) {
        return false;
    }
    if (slash < text.len) {
        if (!span_to_u64(span_from(text, slash + 1), 128 - offset, &prefix))
            return false;
        range.prefix = (unsigned)prefix + offset;
    }
    if (has_host_bits(&range))
        return false;
    *out = range;
    return true;
}

bool
cidr_contains(const struct cidr *range, const struct sockaddr *address)
{
    unsigned char bytes[16];

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;

        map_ipv4(&in->sin_addr, bytes);
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;

        memcpy(bytes, &in6->sin6_addr, sizeof(bytes));
    } else {
        return false;
    }
    return bits_equal(range->address, bytes, range->prefix);
}
