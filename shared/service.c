/*
 * The systemd side of a daemon: sd_notify(3) datagrams and inherited sockets.
 * Input: NOTIFY_SOCKET, WATCHDOG_*, LISTEN_* of the environment.
 * Output: datagrams; without a notify socket, nothing.
 */
#include "shared/service.h"

#include "shared/span.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    LISTEN_FDS_START = 3, /* sd_listen_fds(3) */
    LISTEN_MAX = 64, /* ours: listeners of one daemon */
    LISTEN_NAME_MAX = 256, /* systemd's own limit on names, with a NUL */
    MESSAGE_MAX = 1024 /* ours: one state, one line of status */
};

/* Not constants: one process has one service manager. */
static struct {
    char notify[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
    char watchdog[24]; /* WATCHDOG_USEC as it was given */
    uint64_t watchdog_usec;
    int listen_count;
    char names[LISTEN_MAX][LISTEN_NAME_MAX];
} manager;

static bool
env_u64(const char *name, uint64_t max, uint64_t *out)
{
    const char *text = getenv(name);

    return text != NULL && span_to_u64(span_str(text), max, out);
}

/* Are variables with this pid meant for us? */
static bool
is_for_us(const char *pid_name, bool when_absent)
{
    uint64_t pid;

    if (getenv(pid_name) == NULL)
        return when_absent;
    return env_u64(pid_name, INT32_MAX, &pid) && (pid_t)pid == getpid();
}

static void
read_watchdog(void)
{
    uint64_t usec;

    if (!is_for_us("WATCHDOG_PID", true) ||
        !env_u64("WATCHDOG_USEC", INT64_MAX, &usec))
        return;
    manager.watchdog_usec = usec;
    (void)span_to_cstr(span_str(getenv("WATCHDOG_USEC")), manager.watchdog,
        sizeof(manager.watchdog));
}

static void
read_names(void)
{
    struct span rest = span_str(getenv("LISTEN_FDNAMES")), name;

    for (int i = 0; i < manager.listen_count && span_split(&rest, ':', &name);
         i++)
        (void)span_to_cstr(name, manager.names[i], LISTEN_NAME_MAX);
}

static void
read_listeners(void)
{
    uint64_t count;

    if (!is_for_us("LISTEN_PID", false) ||
        !env_u64("LISTEN_FDS", LISTEN_MAX, &count))
        return;
    manager.listen_count = (int)count;
    for (int i = 0; i < manager.listen_count; i++)
        (void)fcntl(LISTEN_FDS_START + i, F_SETFD, FD_CLOEXEC);
    read_names();
}

void
service_init(void)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC",
        "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"};
    const char *notify = getenv("NOTIFY_SOCKET");

    memset(&manager, 0, sizeof(manager));
    /* A path or, with "@", an abstract name; other families we do not serve. */
    if (notify != NULL && (notify[0] == '/' || notify[0] == '@') &&
        strlen(notify) < sizeof(manager.notify) - 1)
        (void)span_to_cstr(
            span_str(notify), manager.notify, sizeof(manager.notify));
    read_watchdog();
    read_listeners();
    /* Children are not the service: they must not speak for it. */
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unsetenv(names[i]);
}

void
service_keep_for_exec(void)
{
    char pid[24];

    if (!service_is_managed())
        return;
    (void)setenv("NOTIFY_SOCKET", manager.notify, 1);
    if (manager.watchdog_usec == 0)
        return;
    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    (void)setenv("WATCHDOG_USEC", manager.watchdog, 1);
    (void)setenv("WATCHDOG_PID", pid, 1);
}

bool
service_is_managed(void)
{
    return manager.notify[0] != 0;
}

/* A lost datagram is no reason to stop serving: nobody is told. */
static void
notify(const char *message)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(manager.notify);
    int fd;

    if (len == 0)
        return;
    memcpy(to.sun_path, manager.notify, len);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = 0;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT,
        (const struct sockaddr *)&to,
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    (void)close(fd);
}

/* One line: a newline would begin another assignment. */
static void __attribute__((format(printf, 2, 0)))
notify_status(const char *state, const char *fmt, va_list ap)
{
    char message[MESSAGE_MAX];
    size_t used =
        (size_t)snprintf(message, sizeof(message), "%sSTATUS=", state);

    (void)vsnprintf(message + used, sizeof(message) - used, fmt, ap);
    for (char *c = message + used; *c != 0; c++)
        if (*c == '\n' || *c == '\r')
            *c = ' ';
    notify(message);
}

void
service_ready(const char *status_fmt, ...)
{
    va_list ap;

    va_start(ap, status_fmt);
    notify_status("READY=1\n", status_fmt, ap);
    va_end(ap);
}

void
service_status(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    notify_status("", fmt, ap);
    va_end(ap);
}

void
service_reloading(void)
{
    struct timespec now = {0};
    char message[MESSAGE_MAX];

    /* systemd matches it against its own CLOCK_MONOTONIC. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%lld",
        (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    notify(message);
}

static void __attribute__((format(printf, 1, 2)))
notify_stopping(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    notify_status("STOPPING=1\n", fmt, ap);
    va_end(ap);
}

void
service_stopping(const char *status)
{
    notify_stopping("%s", status == NULL ? "" : status);
}

static void
notify_number(const char *name, int64_t number)
{
    char message[MESSAGE_MAX];

    (void)snprintf(
        message, sizeof(message), "%s=%lld", name, (long long)number);
    notify(message);
}

void
service_extend_timeout(int64_t usec)
{
    notify_number("EXTEND_TIMEOUT_USEC", usec);
}

void
service_main_pid(pid_t pid)
{
    notify_number("MAINPID", pid);
}

int64_t
service_watchdog_ms(void)
{
    int64_t half = (int64_t)(manager.watchdog_usec / 2000);

    if (!service_is_managed() || manager.watchdog_usec == 0)
        return 0;
    return half > 0 ? half : 1;
}

void
service_watchdog_pet(void)
{
    if (manager.watchdog_usec > 0)
        notify("WATCHDOG=1");
}

int
service_listen_count(void)
{
    return manager.listen_count;
}

int
service_listen_fd(int index)
{
    if (index < 0 || index >= manager.listen_count)
        return -1;
    return LISTEN_FDS_START + index;
}

const char *
service_listen_name(int index)
{
    if (index < 0 || index >= manager.listen_count)
        return "";
    return manager.names[index];
}
