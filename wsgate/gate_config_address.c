/*
 * Addresses and host names as an operator writes them.
 * Input: one word of the configuration. Output: right, or what would be right.
 */
#include "wsgate/gate_config_address.h"

#include "shared/span.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

static bool
is_literal(int family, struct span text)
{
    char copy[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];

    return span_to_cstr(text, copy, sizeof(copy)) &&
           inet_pton(family, copy, address) == 1;
}

/* Letters, digits, "-", "_" in labels between dots. */
static bool
is_name(struct span name)
{
    struct span label = SPAN_EMPTY;

    if (name.len == 0 || name.len > 253) /* RFC 1035 2.3.4 */
        return false;
    while (span_split(&name, '.', &label)) {
        for (size_t i = 0; i < label.len; i++)
            if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-_",
                    label.data[i]) == NULL ||
                label.data[i] == 0)
                return false;
        if (label.len == 0 || label.len > 63)
            return false;
    }
    return true;
}

static bool
is_port(struct span port, uint64_t least)
{
    uint64_t number = 0;

    return span_to_u64(port, 65535, &number) && number >= least;
}

/* Cuts "host:port" at the last colon. */
static bool
cut(struct span text, struct span *host, struct span *port)
{
    for (size_t i = text.len; i > 0; i--)
        if (text.data[i - 1] == ':') {
            *host = span_sub(text, 0, i - 1);
            *port = span_from(text, i);
            return true;
        }
    return false;
}

static bool
is_bracketed_v6(struct span host)
{
    return host.len > 2 && host.data[0] == '[' &&
           host.data[host.len - 1] == ']' &&
           is_literal(AF_INET6, span_sub(host, 1, host.len - 2));
}

static bool
check_unix(struct span path, struct err *err)
{
    struct sockaddr_un address;

    if (!span_starts(path, SPAN_LIT("/")))
        return err_set(err, ERR_CONFIG,
            "a unix socket needs an absolute path: unix:/run/x.sock");
    if (path.len >= sizeof(address.sun_path))
        return err_set(err, ERR_CONFIG,
            "a unix socket's path has at most %zu bytes",
            sizeof(address.sun_path) - 1);
    return true;
}

bool
gate_config_address_listen(const char *text, struct err *err)
{
    struct span all = span_str(text);
    struct span host = SPAN_EMPTY;
    struct span port = SPAN_EMPTY;

    if (span_starts(all, SPAN_LIT("unix:")))
        return check_unix(span_from(all, 5), err);
    if (cut(all, &host, &port) && is_port(port, 0) &&
        (is_literal(AF_INET, host) || is_bracketed_v6(host)))
        return true;
    return err_set(err, ERR_CONFIG,
        "'%.100s' is no address to listen on; expected 0.0.0.0:443, "
        "\"[::]:443\" or unix:/run/x.sock",
        text);
}

bool
gate_config_address_admin(const char *text, struct err *err)
{
    struct span all = span_str(text);

    if (span_eq(all, SPAN_LIT("off")))
        return true;
    if (span_starts(all, SPAN_LIT("unix:")))
        return check_unix(span_from(all, 5), err);
    return err_set(err, ERR_CONFIG,
        "'%.100s' is no admin socket; expected unix:/run/wsgate/admin.sock or "
        "off",
        text);
}

bool
gate_config_address_server(const char *text, struct err *err)
{
    struct span all = span_str(text);
    struct span host = SPAN_EMPTY;
    struct span port = SPAN_EMPTY;

    if (span_starts(all, SPAN_LIT("unix:")))
        return check_unix(span_from(all, 5), err);
    if (cut(all, &host, &port) && is_port(port, 1) &&
        (is_name(host) || is_bracketed_v6(host)))
        return true;
    return err_set(err, ERR_CONFIG,
        "'%.100s' is no server; expected 127.0.0.1:9000, name:9000, "
        "\"[::1]:9000\" or unix:/run/x.sock",
        text);
}

bool
gate_config_address_host(const char *text, struct err *err)
{
    struct span host = span_str(text);

    if (span_eq(host, SPAN_LIT("*")) || is_literal(AF_INET6, host))
        return true;
    if (span_starts(host, SPAN_LIT("*.")))
        host = span_from(host, 2);
    if (is_name(host))
        return true;
    return err_set(err, ERR_CONFIG,
        "'%.100s' is no host; expected www.example.org, \"*.example.org\" or "
        "\"*\" (no port; other scripts as xn--...)",
        text);
}
