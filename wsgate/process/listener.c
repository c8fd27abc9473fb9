/*
 * Bind or inherit sockets.
 * Input: an address of the configuration, systemd's descriptors. Output:
 * listening descriptors that the master keeps and workers accept from.
 */
#include "wsgate/process/listener.h"

#include "shared/log.h"
#include "shared/reach.h"
#include "shared/service.h"
#include "shared/span.h"
#include "wsgate/process/port_owner.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LISTENER_BACKLOG = 4096, /* somaxconn of current kernels */
    LISTENER_MODE_UNIX = 0660,
    OWNER_ROOM = 400 /* ours: of an error's 640 bytes */
};

union any_address {
    struct sockaddr_storage storage;
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static bool
resolve_unix(
    const char *path, union any_address *out, socklen_t *len, struct err *err)
{
    size_t size = strlen(path) + 1;

    if (size > sizeof(out->un.sun_path))
        return err_set(err, ERR_CONFIG, "socket path is longer than %zu bytes",
            sizeof(out->un.sun_path) - 1);
    out->un.sun_family = AF_UNIX;
    memcpy(out->un.sun_path, path, size);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return true;
}

/* "0.0.0.0:443" or "[::]:443"; gate_config has checked the form. */
static bool
split(const char *address, char host[INET6_ADDRSTRLEN], char port[6])
{
    struct span text = span_str(address), head = text;

    while (head.len > 0 && head.data[head.len - 1] != ':')
        head.len--;
    if (head.len < 2 || !span_to_cstr(span_from(text, head.len), port, 6))
        return false;
    head.len--;
    if (head.data[0] == '[' && head.data[head.len - 1] == ']')
        head = span_sub(head, 1, head.len - 2);
    return span_to_cstr(head, host, INET6_ADDRSTRLEN);
}

static bool
resolve(const char *address, union any_address *out, socklen_t *len,
    struct err *err)
{
    struct addrinfo hints = {
        .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
    };
    char host[INET6_ADDRSTRLEN], port[6];
    struct addrinfo *found = NULL;

    memset(out, 0, sizeof(*out));
    if (strncmp(address, "unix:", 5) == 0)
        return resolve_unix(address + 5, out, len, err);
    if (!split(address, host, port) ||
        getaddrinfo(host, port, &hints, &found) != 0)
        return err_set(err, ERR_CONFIG,
            "%s: not a numeric address (write 0.0.0.0:443 or \"[::]:443\")",
            address);
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

/* What it really is: a port 0 has become one. */
static void
log_listening(int fd, const char *address)
{
    char host[INET6_ADDRSTRLEN] = "", port[6] = "";
    union any_address own = {0};
    socklen_t len = sizeof(own);

    if (getsockname(fd, &own.any, &len) == 0 && own.any.sa_family != AF_UNIX)
        (void)getnameinfo(&own.any, len, host, sizeof(host), port, sizeof(port),
            NI_NUMERICHOST | NI_NUMERICSERV);
    log_info("listening", LOG_S("listen", address), LOG_S("port", port));
}

static bool
same_address(const union any_address *a, const union any_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->in.sin_port == b->in.sin_port &&
               a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    if (a->any.sa_family == AF_INET6)
        return a->in6.sin6_port == b->in6.sin6_port &&
               memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
    return strcmp(a->un.sun_path, b->un.sun_path) == 0;
}

/* systemd's ListenStream=443 binds [::] for both families: it serves
 * 0.0.0.0:443 too. */
static bool
covers(int fd, const union any_address *own, const union any_address *wanted)
{
    socklen_t len = sizeof(int);
    int v6only = 1;

    if (same_address(own, wanted))
        return true;
    if (own->any.sa_family != AF_INET6 || wanted->any.sa_family != AF_INET ||
        own->in6.sin6_port != wanted->in.sin_port ||
        wanted->in.sin_addr.s_addr != INADDR_ANY ||
        !IN6_IS_ADDR_UNSPECIFIED(&own->in6.sin6_addr))
        return false;
    (void)getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len);
    return v6only == 0;
}

static int
find_inherited(const union any_address *wanted)
{
    for (int i = 0; i < service_listen_count(); i++) {
        union any_address own = {0};
        socklen_t len = sizeof(own);
        int fd = service_listen_fd(i);

        if (getsockname(fd, &own.any, &len) == 0 && covers(fd, &own, wanted))
            return fd;
    }
    return -1;
}

/* True: somebody is named. The kernel asks for the right to a port before it
 * looks whether the port is free. */
static bool
is_taken(const char *address, const union any_address *at, int error,
    struct err *err)
{
    char owner[OWNER_ROOM];

    port_owner(&at->any, owner, sizeof(owner));
    if (owner[0] == 0 && error == EACCES)
        return false;
    errno = error;
    (void)err_sys(err, "listen %s: another program has this address: %s",
        address, owner[0] == 0 ? "`ss -tanp` as root names it" : owner);
    return true;
}

/* Without systemd it may be a container: no socket unit to point to there. */
static bool
refused(const char *address, struct err *err)
{
    char unit[64];
    bool is_unit = reach_unit(unit, sizeof(unit));

    errno = EACCES;
    if (is_unit && service_listen_count() == 0)
        return err_sys(err,
            "listen %s: ports below 1024 need wsgate.socket, and it is not "
            "active: `systemctl status wsgate.socket` says why, mostly that "
            "another program has one of its ports (443, 80)",
            address);
    if (is_unit)
        return err_sys(err,
            "listen %s: ports below 1024 need wsgate.socket: `systemctl edit "
            "wsgate.socket`: [Socket] ListenStream=%s; `systemctl restart "
            "wsgate.socket %s`",
            address, address, unit);
    return err_sys(err,
        "listen %s: ports below 1024 need a start as root or "
        "CAP_NET_BIND_SERVICE; in a container: a port above 1024, published "
        "as this one (-p 443:8443), or --sysctl "
        "net.ipv4.ip_unprivileged_port_start=0",
        address);
}

static bool
bind_error(const char *address, const union any_address *at, struct err *err)
{
    bool is_unix = at->any.sa_family == AF_UNIX;
    int error = errno;

    if ((error == EADDRINUSE || (error == EACCES && !is_unix)) &&
        is_taken(address, at, error, err))
        return false;
    if (error == EACCES && !is_unix)
        return refused(address, err);
    if (error == EAFNOSUPPORT)
        return err_set(err, ERR_CONFIG,
            "listen %s: this host has no IPv6: take the address out", address);
    errno = error;
    if (error == EADDRNOTAVAIL)
        return err_sys(err,
            "listen %s: this host has no such address (`ip address` lists "
            "them)",
            address);
    return err_sys(err, "listen %s", address);
}

/* A client that vanished without a word is noticed in two minutes: tunnels have
 * no other deadline while they are silent. */
static void
keep_alive(int fd)
{
    int on = 1, idle_s = 60, interval_s = 15, count = 4;

    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    (void)setsockopt(
        fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* Inherited by accepted sockets: no call per connection. */
static void
set_options(int fd, int family, bool share)
{
    int on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (family == AF_UNIX)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    keep_alive(fd);
    if (share)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
}

/* A socket file that nobody listens on was left by a killed process. */
static void
remove_dead_socket(const union any_address *address, socklen_t len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (connect(fd, &address->any, len) != 0 && errno == ECONNREFUSED)
        (void)unlink(address->un.sun_path);
    (void)close(fd);
}

/*
 * SO_REUSEPORT lets a second program of the same user bind too, and then the
 * kernel deals out connections: the first socket is bound without it, so that a
 * taken port is an error.
 */
static bool
is_free(const char *address, const union any_address *at, socklen_t len,
    struct err *err)
{
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok;

    if (fd < 0)
        return bind_error(address, at, err);
    set_options(fd, at->any.sa_family, false);
    ok = bind(fd, &at->any, len) == 0 || bind_error(address, at, err);
    (void)close(fd);
    return ok;
}

static int
open_one(const char *address, const union any_address *at, socklen_t len,
    struct err *err)
{
    int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
    int fd = socket(at->any.sa_family, type, 0);

    if (fd < 0) {
        (void)err_sys(err, "listen %s", address);
        return -1;
    }
    set_options(fd, at->any.sa_family, true);
    if (bind(fd, &at->any, len) != 0 || listen(fd, LISTENER_BACKLOG) != 0) {
        (void)bind_error(address, at, err);
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool
open_slots(const char *address, union any_address *at, socklen_t len, int slots,
    struct listener *out, struct err *err)
{
    if (at->any.sa_family != AF_UNIX && !is_free(address, at, len, err))
        return false;
    for (int i = 0; i < slots; i++) {
        int fd = open_one(address, at, len, err);

        if (fd < 0)
            return false;
        out->fds[out->fd_count++] = fd;
        /* Port 0: the others take the port that the first one got. */
        (void)getsockname(fd, &at->any, &len);
    }
    return true;
}

static bool
set_mode(const union any_address *at, const char *mode, struct err *err)
{
    unsigned long bits = LISTENER_MODE_UNIX;
    char *end = NULL;

    if (at->any.sa_family != AF_UNIX)
        return true;
    if (mode != NULL)
        bits = strtoul(mode, &end, 8);
    if (end != NULL && *end != 0)
        return err_set(err, ERR_CONFIG, "mode '%s' is not octal", mode);
    if (chmod(at->un.sun_path, (mode_t)bits) != 0)
        return err_sys(err, "chmod %s", at->un.sun_path);
    return true;
}

bool
listener_open(const char *address, const char *mode, int slots,
    struct listener *out, struct err *err)
{
    struct listener made = {0};
    union any_address at;
    socklen_t len = 0;
    int inherited;

    if (!resolve(address, &at, &len, err))
        return false;
    inherited = find_inherited(&at);
    if (at.any.sa_family == AF_UNIX || inherited >= 0)
        slots = 1;
    made.address = strdup(address);
    made.fds = calloc((size_t)slots, sizeof(*made.fds));
    if (made.address == NULL || made.fds == NULL) {
        listener_close(&made);
        return err_memory(err);
    }
    if (inherited >= 0) {
        made.is_inherited = true;
        made.fds[made.fd_count++] = inherited;
        keep_alive(inherited);
        log_info("listening on an inherited socket", LOG_S("listen", address));
        *out = made;
        return true;
    }
    if (at.any.sa_family == AF_UNIX)
        remove_dead_socket(&at, len);
    if (!open_slots(address, &at, len, slots, &made, err) ||
        !set_mode(&at, mode, err)) {
        listener_close(&made);
        return false;
    }
    log_listening(made.fds[0], address);
    *out = made;
    return true;
}

void
listener_close(struct listener *listener)
{
    for (int i = 0; i < listener->fd_count; i++)
        if (!listener->is_inherited)
            (void)close(listener->fds[i]);
    free(listener->fds);
    free(listener->address);
    *listener = (struct listener){0};
}

void
listener_name(int fd, char *name, size_t size)
{
    union any_address own = {0};
    socklen_t len = sizeof(own);
    char host[INET6_ADDRSTRLEN] = "?", port[8] = "?";

    (void)getsockname(fd, &own.any, &len);
    if (own.any.sa_family == AF_UNIX) {
        (void)snprintf(name, size, "unix:%s", own.un.sun_path);
        return;
    }
    (void)getnameinfo(&own.any, len, host, sizeof(host), port, sizeof(port),
        NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(name, size,
        own.any.sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

int
listener_fd(const struct listener *listener, int slot)
{
    return listener->fds[listener->fd_count == 1 ? 0 : slot];
}

int
listener_accept(int fd)
{
    int got;

    do
        got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (got < 0 && errno == EINTR);
    return got;
}
