/*
 * Which addresses may a URL from a certificate make us connect to?
 * Input: configured ranges, addresses after DNS. Output: refused or not.
 */
#include "ocspd/fetch_screen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Never a responder on the network: this host, this link, groups. */
static const char *const denied[] = {
    "0.0.0.0/8", /* RFC 6890: this network */
    "127.0.0.0/8", /* loopback */
    "169.254.0.0/16", /* link-local: cloud metadata lives here */
    "224.0.0.0/4", /* multicast */
    "255.255.255.255/32", /* broadcast */
    "::/128", /* unspecified */
    "::1/128", /* loopback */
    "fe80::/10", /* link-local */
    "ff00::/8", /* multicast */
};

/* A private PKI's responder is here; public_only shuts them too. */
static const char *const private_ranges[] = {
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", /* RFC 1918 */
    "100.64.0.0/10", /* RFC 6598 */
    "192.0.0.0/24", /* RFC 6890 */
    "198.18.0.0/15", /* RFC 2544 */
    "240.0.0.0/4", /* RFC 1112 */
    "fc00::/7", /* RFC 4193 */
    "fec0::/10", /* RFC 3879 */
    "100::/64", /* RFC 6666 */
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static bool
in_table(const char *const *table, size_t count, const struct sockaddr *address)
{
    for (size_t i = 0; i < count; i++) {
        struct cidr range;

        if (cidr_parse(span_str(table[i]), &range) &&
            cidr_contains(&range, address))
            return true;
    }
    return false;
}

static bool
is_within(const char *range_text, const struct sockaddr *address)
{
    return in_table(&range_text, 1, address);
}

/* Where the IPv4 address stands in the 16 bytes; -1: there is none. */
static int
embedded_offset(const struct sockaddr *address)
{
    static const struct {
        const char *range;
        int offset;
    } forms[] = {
        {"::ffff:0:0/96", 12}, /* RFC 4291 2.5.5.2: mapped */
        {"::ffff:0:0:0/96", 12}, /* RFC 2765: translated */
        {"64:ff9b::/96", 12}, /* RFC 6052: NAT64 */
        {"64:ff9b:1::/48", 12}, /* RFC 8215: local NAT64, in its /96 form */
        {"2002::/16", 2}, /* RFC 3056: 6to4 */
    };

    /* RFC 4291 2.5.5.1: compatible, but :: and ::1 are addresses of their own */
    if (is_within("::/96", address) && !is_within("::/127", address))
        return 12;
    for (size_t i = 0; i < COUNT(forms); i++)
        if (is_within(forms[i].range, address))
            return forms[i].offset;
    return -1;
}

/* False: `address` is no IPv6 address with an IPv4 one inside. */
static bool
unwrap(const struct sockaddr *address, struct sockaddr_in *out)
{
    const struct sockaddr_in6 *in6 = (const void *)address;
    int offset;

    if (address->sa_family != AF_INET6)
        return false;
    offset = embedded_offset(address);
    if (offset < 0)
        return false;
    memset(out, 0, sizeof(*out));
    out->sin_family = AF_INET;
    memcpy(&out->sin_addr, (const unsigned char *)&in6->sin6_addr + offset, 4);
    return true;
}

static bool
is_allowed(const struct fetch_screen *screen, const struct sockaddr *address)
{
    for (size_t i = 0; i < screen->allow_count; i++)
        if (cidr_contains(&screen->allow[i], address))
            return true;
    return false;
}

bool
fetch_screen_refuses(
    const struct fetch_screen *screen, const struct sockaddr *address)
{
    struct sockaddr_in inner;

    if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        return true;
    if (is_allowed(screen, address))
        return false;
    if (unwrap(address, &inner))
        return fetch_screen_refuses(screen, (const void *)&inner);
    return in_table(denied, COUNT(denied), address) ||
           (screen->public_only &&
               in_table(private_ranges, COUNT(private_ranges), address));
}

static bool
is_localhost(struct span host)
{
    if (span_ends(host, SPAN_LIT(".")))
        host.len--;
    return span_ieq(host, SPAN_LIT("localhost")) ||
           (host.len > 10 && span_ieq(span_from(host, host.len - 10),
                                 SPAN_LIT(".localhost")));
}

bool
fetch_screen_refuses_host(const struct fetch_screen *screen, const char *host)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct span bare = span_str(host);
    char text[INET6_ADDRSTRLEN];

    if (bare.len > 2 && bare.data[0] == '[')
        bare = span_sub(bare, 1, bare.len - 2);
    bare.len = span_find(bare, '%'); /* a zone does not change the verdict */
    if (span_ends(bare, SPAN_LIT(".")))
        bare.len--;
    if (!span_to_cstr(bare, text, sizeof(text)))
        return is_localhost(bare);
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return fetch_screen_refuses(screen, (const void *)&in);
    if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        return fetch_screen_refuses(screen, (const void *)&in6);
    return is_localhost(bare);
}

static bool
bad_range(const struct config_strings *allow, size_t i, struct err *err)
{
    static const char why[] =
        "is no address range (10.0.0.0/8, fd00::/8, host bits zero)";

    if (allow->marks != NULL && allow->marks[i].file != NULL)
        return config_fail(
            &allow->marks[i], err, "'%s' %s", allow->items[i], why);
    return err_set(err, ERR_CONFIG, "'%s' %s", allow->items[i], why);
}

bool
fetch_screen_init(struct fetch_screen *screen,
    const struct config_strings *allow, bool public_only, struct err *err)
{
    size_t count = allow == NULL ? 0 : allow->count;
    struct cidr *ranges = NULL;

    if (count > 0) {
        ranges = calloc(count, sizeof(*ranges));
        if (ranges == NULL)
            return err_memory(err);
    }
    for (size_t i = 0; i < count; i++) {
        if (cidr_parse(span_str(allow->items[i]), &ranges[i]))
            continue;
        free(ranges);
        return bad_range(allow, i, err);
    }
    screen->allow = ranges;
    screen->allow_count = count;
    screen->public_only = public_only;
    return true;
}

void
fetch_screen_fini(struct fetch_screen *screen)
{
    free(screen->allow);
    screen->allow = NULL;
    screen->allow_count = 0;
}
