/*
 * Who has the address that we wanted.
 * Input: /proc/net/tcp and tcp6, the descriptors of the processes that we may
 * see, a unix socket's own word. Output: a sentence for an error text.
 */
#include "wsgate/process/port_owner.h"

#include "shared/buf.h"
#include "shared/reach.h"
#include "shared/span.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    OWNERS_MAX = 4, /* ours: what a line of the log takes */
    OWNER_TEXT = 400,
    NAME_ROOM = 64,
    UNKNOWN_ID = 65534, /* PrivateUsers= shows all others so */
    STATE_LISTEN = 0x0A /* tcp(7), net/tcp_states.h */
};

/* A listening socket that overlaps with what we wanted. */
struct owner {
    char address[INET6_ADDRSTRLEN + 10];
    uid_t uid;
    uint64_t inode;
};

struct search {
    const struct sockaddr *wanted;
    struct owner found[OWNERS_MAX];
    size_t count;
};

/* ---- sockets -------------------------------------------------------------- */

/* /proc/net/tcp has addresses as words in host order, in hex. */
static bool
read_address(struct span text, struct in6_addr *out, size_t *words)
{
    *words = text.len / 8;
    if (text.len % 8 != 0 || *words == 0 || *words > 4)
        return false;
    for (size_t i = 0; i < *words; i++) {
        uint64_t word = 0;
        uint32_t raw;

        if (!span_hex_to_u64(span_sub(text, 8 * i, 8), UINT32_MAX, &word))
            return false;
        raw = (uint32_t)word;
        memcpy(out->s6_addr + 4 * i, &raw, sizeof(raw));
    }
    return true;
}

static bool
overlaps_v4(const struct sockaddr_in *wanted, const void *own)
{
    uint32_t a = wanted->sin_addr.s_addr, b;

    memcpy(&b, own, sizeof(b));
    return a == b || a == INADDR_ANY || b == INADDR_ANY;
}

/* Our own IPv6 sockets are IPv6 only; others' take IPv4 as well. */
static bool
overlaps(const struct sockaddr *wanted, const struct in6_addr *own,
    size_t words, in_port_t port)
{
    const struct sockaddr_in *in = (const void *)wanted;
    const struct sockaddr_in6 *in6 = (const void *)wanted;

    if (wanted->sa_family == AF_INET) {
        if (in->sin_port != htons(port))
            return false;
        if (words == 1)
            return overlaps_v4(in, own->s6_addr);
        return IN6_IS_ADDR_UNSPECIFIED(own) ||
               (IN6_IS_ADDR_V4MAPPED(own) &&
                   overlaps_v4(in, own->s6_addr + 12));
    }
    return words == 4 && in6->sin6_port == htons(port) &&
           (IN6_IS_ADDR_UNSPECIFIED(own) ||
               IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) ||
               memcmp(own, &in6->sin6_addr, sizeof(*own)) == 0);
}

static bool
next_word(struct span *line, struct span *word)
{
    *line = span_trim(*line);
    return line->len > 0 && span_split(line, ' ', word);
}

/* "0: 00000000:01BB 00000000:0000 0A q:q t:when retrnsmt uid timeout inode" */
static bool
read_line(struct search *s, struct span line, struct owner *out)
{
    struct span words[10];
    uint64_t port = 0, state = 0, uid = 0;
    struct in6_addr own = {0};
    char text[INET6_ADDRSTRLEN];
    size_t colon, size = 0;

    for (size_t i = 0; i < 10; i++)
        if (!next_word(&line, &words[i]))
            return false;
    colon = span_find(words[1], ':');
    if (!span_hex_to_u64(words[3], 255, &state) || state != STATE_LISTEN ||
        !span_hex_to_u64(span_from(words[1], colon + 1), 65535, &port) ||
        !read_address(span_sub(words[1], 0, colon), &own, &size) ||
        !overlaps(s->wanted, &own, size, (in_port_t)port) ||
        !span_to_u64(words[7], UINT32_MAX, &uid) ||
        !span_to_u64(words[9], UINT64_MAX, &out->inode))
        return false;
    out->uid = (uid_t)uid;
    (void)inet_ntop(size == 1 ? AF_INET : AF_INET6, &own, text, sizeof(text));
    (void)snprintf(out->address, sizeof(out->address),
        size == 1 ? "%s:%u" : "[%s]:%u", text, (unsigned)port);
    return true;
}

/* SO_REUSEPORT: several sockets of one program have one address. */
static bool
is_known(const struct search *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->found[i].address, s->found[s->count].address) == 0)
            return true;
    return false;
}

static void
search_file(struct search *s, const char *path)
{
    char line[512];
    FILE *file = fopen(path, "re");

    while (file != NULL && s->count < OWNERS_MAX &&
           fgets(line, sizeof(line), file) != NULL)
        if (read_line(s, span_str(line), &s->found[s->count]) && !is_known(s))
            s->count++;
    if (file != NULL)
        (void)fclose(file);
}

/* ---- processes ------------------------------------------------------------ */

static bool
has_socket(const char *pid, uint64_t inode)
{
    char folder[32], wanted[40], path[300], target[64];
    struct dirent *entry;
    bool found = false;
    DIR *dir;

    (void)snprintf(folder, sizeof(folder), "/proc/%.10s/fd", pid);
    (void)snprintf(
        wanted, sizeof(wanted), "socket:[%llu]", (unsigned long long)inode);
    dir = opendir(folder);
    while (dir != NULL && !found && (entry = readdir(dir)) != NULL) {
        ssize_t n;

        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        n = readlink(path, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = 0;
        found = strcmp(target, wanted) == 0;
    }
    if (dir != NULL)
        (void)closedir(dir);
    return found;
}

/* The first one: a server's workers come behind their master. 0: not seen. */
static pid_t
find_process(uint64_t inode)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    uint64_t pid = 0, number = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (span_to_u64(span_str(entry->d_name), INT32_MAX, &number) &&
            (pid == 0 || number < pid) && has_socket(entry->d_name, inode))
            pid = number;
    if (dir != NULL)
        (void)closedir(dir);
    return (pid_t)pid;
}

/* A process may call itself anything: only what is harmless in a line. */
static bool
process_name(pid_t pid, char *out, size_t size)
{
    char path[32];
    FILE *file;
    bool ok;

    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    file = fopen(path, "re");
    ok = file != NULL && fgets(out, (int)size, file) != NULL;
    if (file != NULL)
        (void)fclose(file);
    if (!ok)
        return false;
    out[strcspn(out, "\n")] = 0;
    for (char *c = out; *c != 0; c++)
        if (!isprint((unsigned char)*c))
            *c = '?';
    return out[0] != 0;
}

static void
describe(pid_t pid, uid_t uid, const char *address, char *out, size_t size)
{
    char name[NAME_ROOM], user[NAME_ROOM];
    const char *list = address[0] == '/' ? "ss -lxp" : "ss -ltnp";

    reach_user_name(uid, user, sizeof(user));
    if (pid == 1 && process_name(pid, name, sizeof(name)) &&
        strcmp(name, "systemd") == 0)
        (void)snprintf(out, size,
            "a socket unit of systemd has %s (`systemctl list-sockets` names "
            "it)",
            address);
    else if (pid > 0 && process_name(pid, name, sizeof(name)))
        (void)snprintf(out, size, "%s (pid %d, user %s) has %s", name, (int)pid,
            user, address);
    else
        (void)snprintf(out, size,
            "a program%s%s that we may not see has %s (`%s` as root names it)",
            uid == UNKNOWN_ID ? "" : " of user ", uid == UNKNOWN_ID ? "" : user,
            address, list);
}

/* ---- unix sockets ----------------------------------------------------------- */

/* unix(7) SO_PEERCRED: of who called listen(). */
static void
describe_unix(const struct sockaddr *wanted, char *out, size_t size)
{
    const struct sockaddr_un *un = (const void *)wanted;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);

    if (fd >= 0 && connect(fd, wanted, sizeof(*un)) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
        describe(peer.pid, peer.uid, un->sun_path, out, size);
    else
        (void)snprintf(out, size, "%s is there", un->sun_path);
    if (fd >= 0)
        (void)close(fd);
}

/* ---- all of it ------------------------------------------------------------ */

void
port_owner(const struct sockaddr *wanted, char *out, size_t size)
{
    struct search s = {.wanted = wanted};
    size_t used = 0;

    out[0] = 0;
    if (wanted->sa_family == AF_UNIX) {
        describe_unix(wanted, out, size);
        return;
    }
    if (wanted->sa_family == AF_INET)
        search_file(&s, "/proc/net/tcp");
    if (s.count == 0) /* a wildcard of both families stands there alone */
        search_file(&s, "/proc/net/tcp6");
    for (size_t i = 0; i < s.count && used + 2 < size; i++) {
        char text[OWNER_TEXT];

        describe(find_process(s.found[i].inode), s.found[i].uid,
            s.found[i].address, text, sizeof(text));
        used += (size_t)snprintf(
            out + used, size - used, "%s%s", i == 0 ? "" : ", ", text);
    }
}
